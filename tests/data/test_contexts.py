"""Passages from files of several forms, and documents cut to size."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seal_agent.data.contexts import from_squad, from_squad_rows, read_contexts, read_questions
from seal_agent.data.text_files import read_text
from seal_agent.errors import InputError
from seal_agent.text.documents import MAX_DOCUMENT_TOKENS, split_document
from seal_agent.types import Context, Question

ROW = {
    "title": "Kiribati",
    "context": "Tarawa is big.",
    "questions": [{"question": "What is big? ", "answer": "Tarawa"}],
}
CONTEXT = Context("Tarawa is big.", "Kiribati", (Question("What is big?", ("Tarawa",)),))


def write(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def paragraph(*qas: dict[str, object], version: str = "1.1") -> dict[str, object]:
    article = {"title": "South_Pacific%21", "paragraphs": [{"context": "Tarawa is big.", "qas": list(qas)}]}
    return {"version": version, "data": [article]}


# ---------------------------------------------------------------- forms


def test_json_lines_are_read(tmp_path: Path) -> None:
    aliases = {**ROW, "questions": [{"question": "What is big?", "answer": ["Tarawa", "the atoll"]}]}
    bare = {"context": "Banaba is small."}
    text = "\n".join(json.dumps(row) for row in (ROW, aliases, bare)) + "\n\n"
    contexts = read_contexts(write(tmp_path, text))
    assert contexts[0] == CONTEXT
    assert contexts[1].questions[0].golds == ("Tarawa", "the atoll")
    assert contexts[2] == Context("Banaba is small.")


def test_a_file_of_a_single_line_is_read(tmp_path: Path) -> None:
    assert read_contexts(write(tmp_path, json.dumps(ROW))) == [CONTEXT]


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    row = {"context": "Tarawa\u2028is big.\x85"}
    text = json.dumps(row, ensure_ascii=False)
    assert read_contexts(write(tmp_path, f"{text}\r\n{text}\r\n")) == [Context(row["context"])] * 2


def test_questions_are_read_from_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, '{"question": "What is big?", "answer": ["Tarawa"]}\n')
    assert read_questions(path) == CONTEXT.questions
    with pytest.raises(InputError, match="line 2 of"):
        read_questions(write(tmp_path, '{"question": "What?", "answer": "a"}\n{"question": "What?"}'))


def test_squad_1_1_is_read_and_titles_become_readable(tmp_path: Path) -> None:
    answers = [{"text": "Tarawa", "answer_start": 0}, {"text": "Tarawa", "answer_start": 0}]
    path = write(tmp_path, json.dumps(paragraph({"id": "1", "question": "What is big?", "answers": answers})))
    assert read_contexts(path) == [Context("Tarawa is big.", "South Pacific!", CONTEXT.questions)]


def test_squad_2s_unanswerable_questions_are_left_out() -> None:
    yes = {"question": "What is big?", "answers": [{"text": "Tarawa", "answer_start": 0}], "is_impossible": False}
    no = {"question": "Who is big?", "answers": [], "is_impossible": True, "plausible_answers": [{"text": "Tarawa"}]}
    (context,) = from_squad(paragraph(yes, no, version="v2.0"))
    assert context.questions == CONTEXT.questions


def test_rows_of_the_hub_are_grouped_by_passage_in_order() -> None:
    def row(context: str, question: str, *golds: str) -> dict[str, object]:
        return {"title": "A_B", "context": context, "question": question, "answers": {"text": list(golds)}}

    rows = [row("one", "q1?", "x", "x", "y"), row("two", "q2?", "z"), row("one", "q3?", "w"), row("two", "q4?")]
    assert from_squad_rows(rows) == [
        Context("one", "A B", (Question("q1?", ("x", "y")), Question("q3?", ("w",)))),
        Context("two", "A B", (Question("q2?", ("z",)),)),
    ]


def test_ones_own_titles_are_read_as_they_stand(tmp_path: Path) -> None:
    rows = [{"title": title, "context": "It turns."} for title in ("my_module.py", "100%25 rye", "__init__.py")]
    contexts = read_contexts(write(tmp_path, "\n".join(map(json.dumps, rows))))
    assert [context.title for context in contexts] == ["my_module.py", "100%25 rye", "__init__.py"]


def test_rows_of_the_hub_in_a_file_are_grouped_by_passage_wherever_they_stand(tmp_path: Path) -> None:
    def row(context: str, question: str, *golds: str) -> str:
        answers = {"text": list(golds), "answer_start": [0] * len(golds)}
        return json.dumps({"title": "A_B", "context": context, "question": question, "answers": answers})

    rows = [row("one", "q1?", "x", "x"), row("two", "q2?"), row("two", "q3?", "z"), row("one", "q4?", "w")]
    assert read_contexts(write(tmp_path, "\n".join(rows))) == [
        Context("one", "A B", (Question("q1?", ("x",)), Question("q4?", ("w",)))),
        Context("two", "A B", (Question("q3?", ("z",)),)),
    ]


def test_the_real_passages_are_read(shared_data: Path) -> None:
    contexts = read_contexts(shared_data / "squad_val.jsonl")
    assert len(contexts) == 600
    assert all(context.text and context.title and context.questions for context in contexts)


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize(
    "bad",
    ["not json", '{"title": "no context"}', "[1, 2]", '"text"', '{"context": "c", "questions": [{"question": "q"}]}'],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, bad: str) -> None:
    path = write(tmp_path, json.dumps(ROW) + "\n\n" + bad + "\n")
    with pytest.raises(InputError, match=r"line 3 of .*data\.jsonl is not a passage"):
        read_contexts(path)


@pytest.mark.parametrize(
    "bad",
    [
        '{"context": 5}',
        '{"context": "c", "questions": 5}',
        '{"context": "c", "questions": ["q"]}',
        '{"context": "c", "questions": [{"question": 1, "answer": "a"}]}',
        '{"context": "c", "questions": [{"question": "q", "answer": 1862}]}',
        '{"context": "c", "questions": [{"question": "q", "answer": [1862]}]}',
        '{"context": "c", "title": 3}',
        '{"context": "  "}',
        "null",
    ],
)
def test_a_value_of_the_wrong_kind_is_a_bad_line_too(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InputError, match="line 1 of"):
        read_contexts(write(tmp_path, bad))


def test_a_broken_squad_document_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SQuAD"):
        read_contexts(write(tmp_path, '{"version": "1.1", "data": [{"title": "T"}]}'))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x00\x01binary", "is a binary file"),
        ("caf\xe9".encode("latin-1"), "is not UTF-8 text \\(byte 3\\)"),
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
    ],
)
def test_what_is_no_text_is_refused_with_the_fix(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_text(write(tmp_path, content))


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(InputError, match="cannot be read"):
        read_text(tmp_path)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    assert read_text(write(tmp_path, "\ufeffTarawa".encode())) == "Tarawa"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_a_byte_order_mark_names_the_encoding(tmp_path: Path, encoding: str) -> None:
    assert read_text(write(tmp_path, "\ufeffGrüße, 世界".encode(encoding))) == "Grüße, 世界"


# ---------------------------------------------------------------- long documents


def count_words(text: str) -> int:
    return len(text.split())


def squeezed(text: str) -> str:
    return "".join(text.split())


def test_a_short_document_stays_whole() -> None:
    assert split_document("  One.\n\nTwo.  ", count_words, 10) == ["One.\n\nTwo."]


def test_a_document_of_20000_words_is_cut_at_paragraphs_and_nothing_is_lost() -> None:
    paragraphs = [f"Paragraph {i} " + "has some words in it " * 19 + "and ends." for i in range(200)]
    text = "\n\n".join(paragraphs)
    assert count_words(text) > 19_000
    parts = split_document(text, count_words, 512)
    assert max(map(count_words, parts)) <= 512
    assert "\n\n".join(parts) == text
    assert len(parts) <= 1.3 * count_words(text) / 512, "parts are filled, not one per paragraph"


def test_one_paragraph_of_5000_words_without_punctuation_is_cut_at_words() -> None:
    text = " ".join(f"word{i}" for i in range(5000))
    parts = split_document(text, count_words, 256)
    assert max(map(count_words, parts)) <= 256
    assert " ".join(parts) == text


def test_a_long_paragraph_is_cut_at_sentences() -> None:
    text = " ".join(f"Sentence number {i} ends here." for i in range(100))
    assert all(part.endswith(".") for part in split_document(text, count_words, 64))


def test_text_without_any_space_is_cut_too() -> None:
    text = "字" * 1000
    parts = split_document(text, len, 64)
    assert max(map(len, parts)) <= 64
    assert "".join(parts) == text


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="ab .\n!", min_size=1, max_size=400).filter(str.strip), st.integers(1, 40))
def test_no_part_is_too_long_and_nothing_is_lost(text: str, limit: int) -> None:
    parts = split_document(text, len, limit)
    assert all(0 < len(part) <= limit for part in parts)
    assert squeezed("".join(parts)) == squeezed(text)


def test_empty_and_far_too_long_documents_are_refused() -> None:
    with pytest.raises(InputError, match="the context is empty"):
        split_document(" \n ", count_words, 10)
    with pytest.raises(InputError, match=f"more than the {MAX_DOCUMENT_TOKENS}"):
        split_document("word " * (MAX_DOCUMENT_TOKENS + 1), count_words, 10)
