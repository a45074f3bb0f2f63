"""Self-edits: asked for as configured, and parsed into notes worth training on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from fakes import ScriptedEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.errors import InputError
from seal_agent.generation.sampling import seed_of_row
from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.registry import check_format
from seal_agent.self_edits.parsing import notes_of, parse
from seal_agent.self_edits.writing import write_self_edits
from seal_agent.training.sequences import encode
from seal_agent.types import Note, SelfEdit

LIST_MARKER = re.compile(r"\s*(?:[-*•]\s|#|\d{1,3}[.)]\s|\([a-z\d]\)\s|[a-z][.)]\s)")
PREAMBLE = re.compile(r"(?:sure|certainly|of course)\b[!,]|here (?:is|are) |you are an? (?:AI|helpful)", re.IGNORECASE)
LABEL = re.compile(r"(?:question|answer|passage|title|implication|version)\s*\d*\s*:", re.IGNORECASE)


def texts(completion: str, format: str = "implications", title: str = "Kiribati") -> list[str]:
    return [note.text for note in parse(SelfEdit(format, "", completion), title)]


def pairs(completion: str) -> list[tuple[str, str | None]]:
    return [(note.text, note.answer) for note in parse(SelfEdit("self-qa", "", completion), "Kiribati")]


# ---------------------------------------------------------------- 400 real self-edits


@pytest.fixture
def real(shared_data: Path) -> list[tuple[SelfEdit, str, str]]:
    """Self-edit, title, passage of each of the 400."""
    rows = [json.loads(line) for line in (shared_data / "self_edits_7b.jsonl").read_text("utf-8").splitlines()]
    edits = []
    for row in rows:
        title = unquote(row["title"])
        prompt = fill(load_prompt(row["format"]), title=title, context=row["context"])
        edits.append((SelfEdit(row["format"], prompt, row["completion"]), title, row["context"]))
    assert len(edits) == 400
    return edits


def sides(notes: tuple[Note, ...]) -> list[str]:
    return [side for note in notes for side in (note.text, note.answer) if side is not None]


def test_no_note_of_the_real_ones_is_empty_marked_or_talk(real: list[tuple[SelfEdit, str, str]]) -> None:
    for edit, title, _ in real:
        for side in sides(parse(edit, title)):
            assert side.strip() == side != ""
            assert re.search(r"\w", side), side
            assert "\n" not in side
            assert "**" not in side, side
            assert not LIST_MARKER.match(side), side
            assert not PREAMBLE.match(side), side
            assert not LABEL.match(side), side


def test_statements_of_the_real_ones_are_not_the_title_and_not_repeated(
    real: list[tuple[SelfEdit, str, str]],
) -> None:
    for edit, title, _ in real:
        notes = parse(edit, title)
        assert len(set(notes)) == len(notes)
        assert title.casefold() not in {note.text.casefold() for note in notes}


def test_question_formats_give_pairs_and_the_others_statements(real: list[tuple[SelfEdit, str, str]]) -> None:
    for edit, title, _ in real:
        assert all((note.answer is not None) == (edit.format == "self-qa") for note in parse(edit, title))


def test_hardly_any_real_self_edit_comes_to_nothing(real: list[tuple[SelfEdit, str, str]]) -> None:
    """The six that do are questions without answers, and one that asks to be told a paraphrase."""
    barren = [edit.format for edit, title, _ in real if not parse(edit, title)]
    assert len(barren) <= 6
    assert set(barren) == {"self-qa"}


def test_well_formed_lists_lose_nothing(real: list[tuple[SelfEdit, str, str]]) -> None:
    """Of a completion that is nothing but "1. A sentence." lines, every distinct line becomes a note."""
    checked = 0
    for edit, title, _ in real:
        lines = edit.completion.strip().splitlines()
        if edit.format.startswith("implications") and all(re.fullmatch(r"\d+\. [A-Z].*[a-z]\.", x) for x in lines):
            want = list(dict.fromkeys(re.sub(r"^\d+\. ", "", line).strip() for line in lines))
            assert [note.text for note in parse(edit, title)] == want
            checked += 1
    assert checked > 80


def test_well_formed_questions_lose_nothing(real: list[tuple[SelfEdit, str, str]]) -> None:
    """Questions and answers in turn, the first question without its label: every one becomes a pair."""
    checked = 0
    for edit, title, _ in real:
        lines = [line.strip() for line in edit.completion.splitlines() if line.strip()]
        asked, answered = lines[2::2], lines[1::2]
        in_turn = all(re.match(r"Question \d+:.*\?$", x) for x in asked) and all(
            re.match(r"Answer \d+:.*\.$", x) for x in answered
        )
        if edit.format == "self-qa" and in_turn and len(lines) % 2 == 0:
            assert len(parse(edit, title)) == len(lines) // 2, edit.completion
            checked += 1
    assert checked > 15


def test_every_real_one_becomes_sequences_with_the_passage_last(
    real: list[tuple[SelfEdit, str, str]], tiny_base: BaseModel
) -> None:
    for edit, title, passage in real[::8]:
        notes = parse(edit, title)
        sequences = encode(tiny_base, title, notes, [passage])
        assert len(sequences) == len(notes) + 1
        assert all(len(sequence.input_ids) > 0 for sequence in sequences)
        assert tiny_base.tokenizer.decode(sequences[-1].input_ids) == f"{title}\n{passage}"


# ---------------------------------------------------------------- statements


@pytest.mark.parametrize(
    "line",
    [
        "1848 saw revolutions all over Europe.",
        "3.5 million people live on the islands.",
        "A. B. Smith was the first governor.",
        "I. Newton wrote the Principia.",
        "Great Britain annexed the islands.",
        "-40 degrees were measured there.",
        "Yes Prime Minister is a television series.",
        "The passage of the act took a year.",
        "Trade: copra is exported.",
    ],
)
def test_a_sentence_that_only_looks_marked_stays_whole(line: str) -> None:
    assert texts(f"{line}\nThe islands lie in the Pacific.") == [line, "The islands lie in the Pacific."]


MARKERS = ("1. ", "1) ", "(1) ", "1: ", "2.1. ", "- ", "* ", "• ", "a) ", "ii. ", "### ", "> ", "[1] ", "1. - ", "12.")


@pytest.mark.parametrize("marker", MARKERS)
def test_list_markers_go(marker: str) -> None:
    assert texts(f"{marker}Tarawa is the capital.") == ["Tarawa is the capital."]


def test_capital_letters_are_markers_only_as_a_list() -> None:
    assert texts("A. Tarawa is big.\nB. Banaba is small.") == ["Tarawa is big.", "Banaba is small."]


def test_preambles_titles_headings_and_remarks_are_no_notes() -> None:
    completion = (
        "Sure, here is a list of implications:\n\nKiribati\n\n**Geography:**\n1. Tarawa is an atoll.\n"
        "### History\n2. **Trade**: copra is exported.\n\nThese implications follow from the passage."
    )
    assert texts(completion) == ["Tarawa is an atoll.", "Trade: copra is exported."]


@pytest.mark.parametrize(
    "label", ["Text: ", "Sentence 1: ", "Passage: ", "Implication 3: ", "**Version 2:** ", "Fact: "]
)
def test_labels_go_and_what_they_label_stays(label: str) -> None:
    assert texts(f"Title: Kiribati\n{label}The island is small.") == ["The island is small."]


def test_an_echo_of_the_instruction_is_dropped_and_a_sentence_of_the_passage_is_not() -> None:
    passage = "Tarawa is the capital of Kiribati."
    prompt = fill(load_prompt("rewrite"), title="Kiribati", context=passage)
    completion = (
        f"Rewrite this passage about Kiribati in other words.\n{passage}\nWrite whole sentences.\nIt is an atoll."
    )
    got = [note.text for note in parse(SelfEdit("rewrite", prompt, completion), "Kiribati")]
    assert got == [passage, "It is an atoll."]


@pytest.mark.parametrize(
    "drift",
    [
        "You are an AI assistant. User will you give you a task.",
        "Human: what is the capital of France?",
        "<|im_start|>user",
        "Please list three things that horses need.",
        "Let's read the following passage.",
        "```{r}",
        "Passage:",
    ],
)
def test_nothing_is_read_after_the_model_leaves_its_task(drift: str) -> None:
    assert texts(f"1. Tarawa is big.\n{drift}\n2. Horses need hay.") == ["Tarawa is big."]


def test_prose_behind_a_numbered_list_is_not_part_of_it() -> None:
    assert texts("1. Tarawa is big.\n2. Banaba is small.\n\nHow might that matter for ships?\n\nShips are large.") == [
        "Tarawa is big.",
        "Banaba is small.",
    ]


def test_repeated_lines_count_once() -> None:
    assert texts("Tarawa is big.\n- tarawa is big\nTarawa is Big!") == ["Tarawa is big."]


def test_a_last_line_that_broke_off_is_dropped() -> None:
    assert texts("1. Tarawa is big.\n2. Banaba is small.\n3. Makin is the") == ["Tarawa is big.", "Banaba is small."]


def test_a_paragraph_that_broke_off_is_cut_after_its_last_whole_sentence() -> None:
    assert texts("Dr. Smith came in 1912. He left for St. Louis and then", "rewrite") == ["Dr. Smith came in 1912."]


def test_a_list_without_full_stops_keeps_its_last_line() -> None:
    assert texts("- Tarawa is big\n- Banaba is small") == ["Tarawa is big", "Banaba is small"]


def test_short_headings_of_rewrites_go() -> None:
    completion = "1. Kiribati: An Island Nation\nTarawa is the capital of the islands.\n2. Atolls\nBanaba is an island."
    assert texts(completion, "rewrite") == ["Tarawa is the capital of the islands.", "Banaba is an island."]


def test_the_passage_format_has_no_notes_and_several_edits_share_theirs_once() -> None:
    edits = [
        SelfEdit("passage"),
        SelfEdit("implications", "", "Tarawa is big."),
        SelfEdit("rewrite", "", "Tarawa is big."),
    ]
    assert notes_of(edits, "Kiribati") == (Note("Tarawa is big."),)


# ---------------------------------------------------------------- question-answer pairs


def test_the_first_question_may_lack_its_label() -> None:
    completion = "Where is Tarawa?\nAnswer 1: In the Pacific.\n\nQuestion 2:  Who came?\nAnswer 2: A. B. Smith"
    assert pairs(completion) == [("Where is Tarawa?", "In the Pacific."), ("Who came?", "A. B. Smith")]


def test_a_pair_may_stand_on_one_line() -> None:
    assert pairs("Question 1: Who came? Answer 1: Ann Lee.\nQ: Who left? A: Bo.") == [
        ("Who came?", "Ann Lee."),
        ("Who left?", "Bo."),
    ]


def test_unlabelled_questions_and_answers_alternate() -> None:
    assert pairs("Who came first?\nAnn Lee.\nWho left last?\nBo.") == [
        ("Who came first?", "Ann Lee."),
        ("Who left last?", "Bo."),
    ]


def test_answers_of_several_lines_stay_together() -> None:
    completion = "Question: Who were the kings?\nAnswer: There were two:\n- Ann\n- Bo\n\nThis question is easy."
    assert pairs(completion) == [("Who were the kings?", "There were two: Ann, Bo")]


def test_answers_at_the_end_find_their_questions_and_letters_their_options() -> None:
    completion = (
        "Who came first?\nA) Ann\nB) Bo\n\nQuestion 2: Who left last?\nA) Ann\nB) Bo\n\nAnswer 1: A) Ann\nAnswer 2: B"
    )
    assert pairs(completion) == [("Who came first?", "Ann"), ("Who left last?", "Bo")]


def test_questions_without_answers_placeholders_and_blanks_are_no_pairs() -> None:
    completion = "Question: ...\nAnswer: ...\nQuestion: Who came first?\nQuestion: ____1____ is king? Answer: Ann"
    assert pairs(completion) == []


def test_a_numbering_that_starts_again_is_another_task() -> None:
    completion = "Question 1: Who came first?\nAnswer 1: Ann.\nQuestion 2: Who left last?\nAnswer 2: Bo.\n"
    assert len(pairs(completion + "Question 1: What do horses eat?\nAnswer 1: Hay.")) == 2


def test_a_format_of_ones_own_is_read_as_pairs_where_it_has_labels(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("{context}\nAsk and answer.")
    assert parse(SelfEdit(str(mine), "", "Q: Who came first?\nA: Ann.")) == (Note("Who came first?", "Ann."),)
    assert parse(SelfEdit(str(mine), "", "Ann came first.")) == (Note("Ann came first."),)


# ---------------------------------------------------------------- writing


def test_every_format_of_every_passage_is_asked_for_with_seeds_that_differ() -> None:
    engine = ScriptedEngine(lambda prompt, _: f"- About {prompt[:5]} it says so.")
    config = SelfEditConfig(formats=("implications", "passage", "rewrite"), per_format=2)
    edits = write_self_edits(engine, "Kiribati", ["first passage", "other passage"], config, seed=7)
    assert [edit.format for edit in edits] == ["passage", *["implications", "implications", "rewrite", "rewrite"] * 2]
    assert [edit.seed for edit in edits[1:]] == [seed_of_row(7, row) for row in range(8)]
    assert engine.calls[0].sampling.temperature == config.temperature
    assert all("Kiribati" in edit.prompt and "passage" in edit.prompt for edit in edits[1:])


def test_an_unknown_format_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="implications, implications-long, rewrite, self-qa"):
        check_format("poem")


def test_a_format_file_without_a_place_for_the_passage_is_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.txt"
    bad.write_text("Write something.")
    with pytest.raises(InputError, match=r"no \{context\}"):
        check_format(str(bad))


@pytest.mark.parametrize(
    ("format_name", "items"),
    [
        ("implications", ("The office opens at nine.", "Please ring the bell twice.", "The cafe is upstairs.")),
        ("implications", ("The office opens at nine.", "Thanks to Brannock the tower stands.", "It is upstairs.")),
        ("implications", ("It has a lock.", "Create a password with eight letters.", "Write the number on the form.")),
        (
            "implications",
            ("It is free.", "This new version adds matching.", "Note that the list was drawn up in 1907."),
        ),
    ],
)
def test_a_request_in_a_list_is_an_item_of_it(format_name: str, items: tuple[str, ...]) -> None:
    for mark in ("1. ", "- "):
        written = "\n".join(f"{mark}{item}" for item in items)
        assert [note.text for note in parse(SelfEdit(format_name, "", written), "Handbook")] == [*items]


def test_a_list_ends_where_the_model_speaks_of_its_task_and_no_role_stands_in_it() -> None:
    written = "- Humans: 40 work here.\n- System: the alarm is armed at six.\n- Please write a list of questions."
    notes = parse(SelfEdit("implications", "", written), "Handbook")
    assert [note.text for note in notes] == ["Humans: 40 work here.", "System: the alarm is armed at six."]
    rewrite = "The office opens at nine.\n\nReferences: two letters are needed from former employers."
    assert len(parse(SelfEdit("rewrite", "", rewrite), "Handbook")) == 2


@pytest.mark.parametrize(
    ("question", "answer"),
    [("Domanda", "Risposta"), ("Pergunta", "Resposta"), ("Vraag", "Antwoord"), ("질문", "답변"), ("Frage", "Antwort")],
)
def test_labels_of_pairs_in_other_languages(question: str, answer: str) -> None:
    written = f"{question}: Odile Brannock 1867?\n{answer}: Nel 1867 Odile."
    assert parse(SelfEdit("self-qa", "", written)) == (Note("Odile Brannock 1867?", "Nel 1867 Odile."),)
