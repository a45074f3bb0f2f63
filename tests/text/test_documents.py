"""Long documents cut to size: what stands between two cuts is the text itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seal_agent.text.documents import split_document
from seal_agent.text.sentences import sentences_of

TABLE = "\n".join(f"Orrin {i:>4} | {i * 7:>6}  | Tamsin Vole. Miller" for i in range(200))
CODE = "\n\n".join(f"    def turn_{i}(self):\n        # Turns. By night!\n\n        return {i}" for i in range(80))
LISTING = "\n".join(f"- item {i}. It is kept.\n  - part {i}\n\t- deep {i}" for i in range(90))
WRAPPED = "\n".join(f"Line {i} of a text that is wrapped by hand\nand ends here." for i in range(90))


def count_words(text: str) -> int:
    return len(text.split())


@pytest.mark.parametrize("text", [TABLE, CODE, LISTING, WRAPPED], ids=["table", "code", "listing", "wrapped"])
@pytest.mark.parametrize("limit", [17, 60, 250])
def test_parts_are_slices_of_the_text_and_only_white_space_is_lost_between_them(text: str, limit: int) -> None:
    parts, at = split_document(text, count_words, limit), 0
    assert len(parts) > 2
    for part in parts:
        start = text.index(part, at)
        assert not text[at:start].strip()
        at = start + len(part)
    assert not text[at:].strip()
    assert max(map(count_words, parts)) <= limit


@pytest.mark.parametrize("text", [TABLE, CODE, LISTING], ids=["table", "code", "listing"])
def test_tables_listings_and_code_are_cut_between_lines(text: str) -> None:
    lines = {line.strip() for line in text.splitlines()}
    for part in split_document(text, count_words, 60):
        assert {part.splitlines()[0].strip(), part.splitlines()[-1].strip()} <= lines


def test_the_first_line_of_code_keeps_its_indent() -> None:
    for part in split_document(CODE, count_words, 60):
        assert part.startswith("    ")
    assert split_document("    a = 1\n    b = 2\n", count_words, 60) == ["    a = 1\n    b = 2"]
    assert split_document("    Prose that begins with an indent.\nAnd goes on.", count_words, 60)[0][0] == "P"


def test_rows_with_windows_line_ends_stay_rows() -> None:
    text = TABLE.replace("\n", "\r\n")
    assert all(part in text for part in split_document(text, count_words, 50))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab .\n\t!|", min_size=1, max_size=300).filter(str.strip), st.integers(1, 40))
def test_every_part_is_a_slice(text: str, limit: int) -> None:
    at = 0
    for part in split_document(text, len, limit):
        start = text.index(part, at)
        assert not text[at:start].strip()
        at = start + len(part)


@pytest.mark.parametrize(
    ("sentence", "between"),
    [
        ("安娜住在北京的老磨坊里。", ""),
        ("彼は「はい。」と言った。", ""),
        ("“你好！”她说。", ""),
        ("अन्ना दिल्ली में रहती है।", " "),
        ("انا لاہور میں رہتی ہے۔", " "),
        ("أين تعمل آنا؟", " "),
        ("Աննան ապրում է Երևանում։", " "),
    ],
)
def test_long_paragraphs_of_every_script_are_cut_between_sentences(sentence: str, between: str) -> None:
    parts = split_document(between.join([sentence] * 40), len, 100)
    assert len(parts) > 3
    assert all(part == between.join([sentence] * (len(part) // len(sentence))) for part in parts)


def test_a_chinese_sentence_that_is_too_long_is_cut_behind_its_commas() -> None:
    clause = "安娜住在北京，"
    assert set(split_document(clause * 20 + "好。", len, 16)[:-1]) == {clause * 2}


# ---------------------------------------------------------------- prose


def split_as_before(text: str, limit: int, separators: tuple[tuple[str, str], ...]) -> list[str]:
    """How prose was split when the parts were joined with a fixed string, which the README's figures used."""
    if count_words(text) <= limit:
        return [text]
    (separator, joiner), *finer = separators
    passages: list[str] = []
    used = 0
    for block in filter(str.strip, re.split(separator, text)):
        for part in split_as_before(block.strip(), limit, tuple(finer)):
            size = count_words(part) + 1
            if passages and used + size <= limit:
                passages[-1] += joiner + part
                used += size
            else:
                passages.append(part)
                used = size
    return passages


def test_no_sentence_of_prose_is_cut(shared_data: Path) -> None:
    """Neither behind "Lewis S." nor behind "St.", as a rule of stops alone does."""
    lines = (shared_data / "squad_val.jsonl").read_text("utf-8").splitlines()
    text = "\n\n".join(json.loads(line)["context"] for line in lines[:300])
    parts, sentences = split_document(text, count_words, 200), {*sentences_of(text)}
    assert " ".join(parts).split() == text.split()
    assert all(sentence in sentences for part in parts for sentence in sentences_of(part))


def test_prose_is_split_as_before(shared_data: Path) -> None:
    """At the same places; a sentence too long for one part was glued again with the wrong white space then."""
    limit = 700
    lines = (shared_data / "squad_val.jsonl").read_text("utf-8").splitlines()
    passages = [json.loads(line)["context"] for line in lines]
    separators = ((r"\n\s*\n", "\n\n"), (r"(?<=[.!?。！？])\s+", " "), (r"\s+", " "))
    for start in range(0, 600, 60):
        text = "\n\n".join(passages[start : start + 60])
        parts, before = split_document(text, count_words, limit), split_as_before(text, limit, separators)
        assert [part.split() for part in parts] == [part.split() for part in before]
        assert sum(new != old for new, old in zip(parts, before, strict=True)) <= 1
