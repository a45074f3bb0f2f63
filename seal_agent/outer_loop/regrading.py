"""Grading once more what could not be graded: a judge that could not be reached may be back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from seal_agent.grading.grader import DirectnessGrader, Grader, grade_all
from seal_agent.outer_loop.units import CaseAnswers, CaseResult, TrialResult, UnitResult
from seal_agent.types import Answer, Verdict


def regraded(result: UnitResult, grader: Grader) -> UnitResult:
    """The unit's result with its ungraded answers graded again, in one batch; what was graded stays as it is."""
    ungraded = list(dict.fromkeys(answer for answer in _answers(result) if answer.verdict is Verdict.UNGRADED))
    items = [(answer.question.text, answer.question.golds, answer.text) for answer in ungraded]
    verdicts = grade_all(grader, items) if items else []
    again = {
        answer: replace(answer, verdict=verdict, direct=_direct(answer, grader))
        for answer, verdict in zip(ungraded, verdicts, strict=True)
        if verdict is not Verdict.UNGRADED
    }
    if not again:
        return result
    return replace(result, cases=tuple(_case(case, again) for case in result.cases))


def _direct(answer: Answer, grader: Grader) -> Verdict | None:
    if not isinstance(grader, DirectnessGrader):
        return answer.direct
    return grader.direct(answer.question.text, answer.question.golds, answer.text)


def _answers(result: UnitResult) -> Iterator[Answer]:
    """All answers of a unit, the base model's first in each case."""
    for case in result.cases:
        for answers in (case.baseline, *(tried.answers for tried in case.tried)):
            if answers:
                yield from (*answers.selecting, *answers.reporting, *answers.guard)


def _case(case: CaseResult, again: dict[Answer, Answer]) -> CaseResult:
    return CaseResult(_changed(case.baseline, again), tuple(_trial(tried, again) for tried in case.tried))


def _trial(tried: TrialResult, again: dict[Answer, Answer]) -> TrialResult:
    return replace(tried, answers=_changed(tried.answers, again)) if tried.answers else tried


def _changed(answers: CaseAnswers, again: dict[Answer, Answer]) -> CaseAnswers:
    def of(part: tuple[Answer, ...]) -> tuple[Answer, ...]:
        return tuple(again.get(answer, answer) for answer in part)

    return replace(answers, selecting=of(answers.selecting), reporting=of(answers.reporting), guard=of(answers.guard))
