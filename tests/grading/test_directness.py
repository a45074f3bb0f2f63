"""An answer is direct if it singles out what was asked for. Verdicts by hand are the yardstick."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.metrics import cohen_kappa_score

from seal_agent.grading.lexical import LexicalGrader
from seal_agent.types import Verdict

GRADER = LexicalGrader()
MVP = (
    "Denver linebacker Von Miller was named Super Bowl MVP, recording five solo tackles, 2½ sacks, and two forced "
    "fumbles."
)
SONS = "Börte had three more sons, Chagatai, Ögedei, Batu and Tolui, of whom little is known."
QUOTATION = (
    "As well as period rooms, the collection includes parts of buildings, for example the two top stories of the "
    "facade of a merchant's house from Bishopsgate with elaborately carved wood and leaded windows, a rare "
    "survivor of the Great Fire of London."
)


@pytest.mark.parametrize(
    ("question", "gold", "answer", "verdict"),
    [
        ("Who was named Super Bowl MVP?", "Von Miller", MVP, Verdict.CORRECT),
        ("How many tackles did he have?", "five", MVP, Verdict.WRONG),
        ("How many tackles did he have?", "five", "five solo tackles", Verdict.CORRECT),
        ("What was Börte's second son called?", "Ögedei", SONS, Verdict.WRONG),
        ("What was Börte's second son called?", "Ögedei", "Her second son was Ögedei.", Verdict.CORRECT),
        ("What did the merchant's house survive?", "Great Fire of London", QUOTATION, Verdict.WRONG),
        (
            "What did the merchant's house survive?",
            "Great Fire of London",
            "It survived the Great Fire of London.",
            Verdict.CORRECT,
        ),
        ("Who was named Super Bowl MVP?", "Cam Newton", MVP, Verdict.WRONG),
        ("Did Miller play?", "yes", MVP, Verdict.UNGRADED),
    ],
)
def test_the_answer_is_singled_out_or_not(question: str, gold: str, answer: str, verdict: Verdict) -> None:
    assert GRADER.direct(question, [gold], answer) is verdict


def test_a_direct_answer_is_always_a_correct_one(shared_data: Path) -> None:
    for row in _quoted(shared_data):
        question, golds, answer = row["question"], row["gold"], row["answer"]
        if GRADER.direct(question, golds, answer) is Verdict.CORRECT:
            assert GRADER.grade(question, golds, answer) is Verdict.CORRECT


def test_agreement_with_verdicts_by_hand(shared_data: Path) -> None:
    rows = _quoted(shared_data)
    direct = [GRADER.direct(row["question"], row["gold"], row["answer"]) is Verdict.CORRECT for row in rows]
    conveys = [GRADER.grade(row["question"], row["gold"], row["answer"]) is Verdict.CORRECT for row in rows]
    assert cohen_kappa_score([row["direct"] for row in rows], direct) >= 0.75
    assert cohen_kappa_score([row["conveys"] for row in rows], conveys) >= 0.95


def _quoted(shared_data: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (shared_data / "quoted_answers.jsonl").read_text().splitlines()]
