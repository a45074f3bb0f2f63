"""The two measures of an answer, and which passages a suite asks about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from seal_agent.arc.grids import Grid
from seal_agent.arc.text import format_attempts
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError
from seal_agent.evaluation.harm import BASE_UNIT, GUARD, harm_scores
from seal_agent.evaluation.passages import choose_passages, data_hash, is_seen, question_key, unit_id
from seal_agent.evaluation.samples import BASE, Sample, read_samples, write_samples
from seal_agent.evaluation.scoring import (
    graded,
    graded_all,
    graded_arc,
    scores_of,
    unit_scores,
    with_missing_grades,
)
from seal_agent.evaluation.suites import SUITES, contexts_of, suite_named
from seal_agent.grading.graders import make_grader
from seal_agent.self_edits.diversity import note_figures
from seal_agent.types import Question, Verdict


def sample(answer: str, golds: tuple[str, ...] = ("Odile Brannock",), question: str = "Who built it?") -> Sample:
    return graded(Sample("unit", 0, question, golds, answer, Verdict.UNGRADED), make_grader())


@pytest.mark.parametrize(
    ("answer", "contains", "is_answer"),
    [
        ("Odile Brannock", 1.0, 1.0),
        ("the engineer Odile Brannock", 1.0, 1.0),  # three words and an article, for two
        ("It was built in 1867 by the engineer Odile Brannock.", 1.0, 0.0),
        ("Somebody else", 0.0, 0.0),
    ],
)
def test_an_answer_may_contain_the_gold_one_without_being_it(answer: str, contains: float, is_answer: float) -> None:
    scores = scores_of(sample(answer))
    assert (scores["contains"], scores["is_answer"]) == (contains, is_answer)


def test_what_could_not_be_graded_is_in_no_mean() -> None:
    ungraded = replace(sample("x"), verdict=Verdict.UNGRADED)
    assert scores_of(ungraded) == {}
    assert unit_scores([ungraded]) == {"unit": {}}
    assert unit_scores([ungraded, sample("Odile Brannock")])["unit"]["contains"] == 1.0


def test_seeds_weigh_the_same_however_many_answers_they_have() -> None:
    right, wrong = sample("Odile Brannock"), sample("nobody")
    samples = [right, replace(wrong, seed=1), replace(wrong, seed=1), replace(wrong, seed=1)]
    assert unit_scores(samples)["unit"]["contains"] == 0.5


@pytest.mark.parametrize("style", ["compact", "lists"])
def test_attempts_at_a_task_are_graded_from_their_text(style: str) -> None:
    gold, near = Grid.of([[1, 2], [3, 4]]), Grid.of([[1, 2], [3, 5]])
    golds = (json.dumps(gold.rows),)
    solved = graded_arc(Sample("t", 0, "t", golds, format_attempts([near, gold], style), Verdict.UNGRADED))
    missed = graded_arc(Sample("t", 0, "t", golds, format_attempts([near], style), Verdict.UNGRADED))
    assert scores_of(solved, arc=True) == {"exact_match": 1.0, "cell_acc": 1.0}
    assert scores_of(missed, arc=True) == {"exact_match": 0.0, "cell_acc": 0.75}


# ---------------------------------------------------------------- passages


def test_passages_that_the_search_has_not_seen_come_first() -> None:
    chosen = choose_passages(novel())
    assert [is_seen(context) for context in chosen] == [False] * 16 + [True] * 24
    assert choose_passages(novel(), 5) == chosen[:5]


def test_the_order_of_a_file_does_not_matter_to_its_hash() -> None:
    passages = novel()
    assert data_hash(passages) == data_hash(passages[::-1])
    assert data_hash(passages) != data_hash(passages[1:])
    other = replace(passages[0], questions=(Question("Another?", ("yes",)),))
    assert data_hash([other]) != data_hash(passages[:1])
    assert question_key(other) != question_key(passages[0])
    assert unit_id(other) == unit_id(passages[0])


def test_a_suite_that_needs_data_says_so() -> None:
    with pytest.raises(InputError, match="give --data"):
        contexts_of(SUITES["squad_n1"], None, 3)
    with pytest.raises(InputError, match="there is no suite 'squad'"):
        suite_named("squad")


# ---------------------------------------------------------------- diversity


def test_repeated_notes_are_less_diverse() -> None:
    same = note_figures(["The light stands on Skarholm."] * 4, len)
    different = note_figures(["The light stands on Skarholm.", "Odile Brannock built a tower of 43 metres."], len)
    assert same.distinct == pytest.approx(0.25)
    assert (same.similarity, different.distinct) == (1.0, 1.0)
    assert different.similarity == 0.0
    assert note_figures([], len).distinct is None


class Recovering:
    """A judge that does not answer at first."""

    def __init__(self) -> None:
        self.asked = 0

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        self.asked += 1
        return Verdict.UNGRADED if self.asked < 2 else Verdict.CORRECT


def test_only_grades_that_are_missing_are_asked_for_again() -> None:
    judge = Recovering()
    samples = graded_all([sample("one"), sample("two"), sample("[no answer: lost]")], judge)
    assert [s.verdict for s in samples] == [Verdict.UNGRADED, Verdict.CORRECT, Verdict.UNGRADED]
    assert [s.verdict for s in with_missing_grades(samples, judge)] == [
        Verdict.CORRECT, Verdict.CORRECT, Verdict.UNGRADED,
    ]  # fmt: skip
    assert judge.asked == 3


def test_a_guard_question_without_a_grade_is_left_out_of_both_sides() -> None:
    def answer(unit: str, question: str, verdict: Verdict, step: int) -> Sample:
        return Sample(unit, 0, question, ("gold",), "same", verdict, passage=GUARD, step=step)

    right, wrong, unknown = Verdict.CORRECT, Verdict.WRONG, Verdict.UNGRADED
    before = [answer(BASE_UNIT, q, v, BASE) for q, v in (("a", unknown), ("b", right), ("c", wrong))]
    after = [answer("u", q, v, 0) for q, v in (("a", wrong), ("b", right), ("c", unknown))]
    assert harm_scores([*before, *after])["u"][0] == {"changed_answers": 0.0, "guard_before": 1.0, "guard_after": 1.0}


def test_answers_with_unusual_line_ends_are_read_back(tmp_path: Path) -> None:
    samples = [sample("one\u2028two\u0085three"), sample("four")]
    path = tmp_path / "answers.gz"
    assert read_samples(path, write_samples(samples, path)) == samples
