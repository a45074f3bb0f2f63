"""The grader that needs no key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seal_agent.knowledge.grading import ContainmentGrader, normalise
from seal_agent.types import Verdict


def verdict(golds: tuple[str, ...], answer: str) -> Verdict:
    return ContainmentGrader().grade("?", golds, answer)


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("the Pacific", "It lies in the pacific ocean."),
        ("1,862", "About 1862 people."),
        ("1862", "1,862."),
        ("Château", "a chateau"),
        ("Ann B. Lee", "ann b lee"),
        ("the old stone church tower", "the old church tower"),
        ("3.5 million", "Some 3.5 million live there."),
    ],
)
def test_right_answers(gold: str, answer: str) -> None:
    assert verdict((gold,), answer) is Verdict.CORRECT


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("5", "35"),
        ("man", "Germany"),
        ("1862", "1863"),
        ("Ann Lee", "Ann Smith"),
        ("Pacific", ""),
        ("3.5 million", "35 million"),
    ],
)
def test_wrong_answers(gold: str, answer: str) -> None:
    assert verdict((gold,), answer) is Verdict.WRONG


def test_any_of_several_golds_will_do() -> None:
    assert verdict(("Atlantic", "Pacific"), "the Pacific") is Verdict.CORRECT


@pytest.mark.parametrize("golds", [(), ("",), ("the",), ("?!",)])
def test_without_a_usable_gold_an_answer_is_ungraded(golds: tuple[str, ...]) -> None:
    assert verdict(golds, "anything") is Verdict.UNGRADED


def test_normalising_keeps_numbers_whole() -> None:
    assert normalise("The 112,934 tonnes, of 2.5!") == ["112934", "tonnes", "of", "2.5"]


def test_it_agrees_with_gpt_4_1_on_most_of_the_real_answers(shared_data: Path) -> None:
    rows = [json.loads(line) for line in (shared_data / "graded_answers.jsonl").read_text("utf-8").splitlines()]
    agree = sum((verdict((row["gold"],), row["answer"]) is Verdict.CORRECT) == row["correct"] for row in rows)
    assert agree / len(rows) > 0.83
