"""What an answer scores, and its grading again from what is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from seal_agent.arc.grids import STYLES, Grid, cell_accuracy
from seal_agent.arc.text import parse_attempts
from seal_agent.config import ArcConfig
from seal_agent.evaluation.contestant import PassageRecord
from seal_agent.evaluation.samples import UNANSWERED, Sample
from seal_agent.grading.grader import DirectnessGrader, Grader, grade_all
from seal_agent.types import Context, Verdict

CONTAINS, DIRECT, IS_ANSWER, WORDS = "contains", "direct", "is_answer", "words"
"""The answer conveys a gold one; it also singles it out; and it is at most twice as long. Words of the answer."""
EXACT, CELLS = "exact_match", "cell_acc"
"""Of ARC: one of the attempts is the output; the share of cells that is right in the best one."""
_TWICE = 2
_ARTICLES = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)


def is_answer(golds: Sequence[str], answer: str, verdict: Verdict, direct: Verdict | None) -> bool:
    """Right, direct where the grader can tell, and at most twice as many words as the longest gold answer."""
    right = verdict is Verdict.CORRECT and direct in (None, Verdict.CORRECT)
    return right and word_count(answer) <= _TWICE * max(map(word_count, golds))


def word_count(text: str) -> int:
    """Words other than articles, at least 1."""
    return max(1, len(_ARTICLES.sub(" ", text).split()))


def scores_of(sample: Sample, arc: bool = False) -> dict[str, float]:
    """By measure; nothing for an answer that could not be graded."""
    if sample.verdict is Verdict.UNGRADED:
        return {}
    right = float(sample.verdict is Verdict.CORRECT)
    if arc:
        return {EXACT: right, CELLS: best_cells(sample)}
    direct = Verdict(sample.direct) if sample.direct else None
    scores = {CONTAINS: right} | ({DIRECT: float(direct is Verdict.CORRECT)} if direct else {})
    scores[IS_ANSWER] = float(is_answer(sample.golds, sample.answer, sample.verdict, direct))
    return scores | {WORDS: float(len(sample.answer.split()))}


def unit_scores(samples: Sequence[Sample], arc: bool = False) -> dict[str, dict[str, float]]:
    """By unit, the mean of every measure over its samples, all seeds weighing the same. Empty where none was graded."""
    by_unit: dict[str, dict[int, list[dict[str, float]]]] = {}
    for sample in samples:
        by_unit.setdefault(sample.unit, {}).setdefault(sample.seed, []).append(scores_of(sample, arc))
    return {unit: mean_scores([mean_scores(of_seed) for of_seed in seeds.values()]) for unit, seeds in by_unit.items()}


def mean_scores(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each measure's mean over the samples or seeds that have it."""
    names = dict.fromkeys(name for item in scores for name in item)
    return {name: fmean(item[name] for item in scores if name in item) for name in names}


# ---------------------------------------------------------------- grading


def graded(sample: Sample, grader: Grader) -> Sample:
    """The sample with the grader's verdicts on its answer."""
    (again,) = graded_all([sample], grader)
    return again


def graded_all(samples: Sequence[Sample], grader: Grader) -> tuple[Sample, ...]:
    """The samples with the grader's verdicts; an answer that was never given stays ungraded."""
    given = [sample for sample in samples if not sample.answer.startswith(UNANSWERED)]
    verdicts = iter(grade_all(grader, [(sample.question, sample.golds, sample.answer) for sample in given]))
    return tuple(
        replace(sample, verdict=Verdict.UNGRADED, direct="")
        if sample.answer.startswith(UNANSWERED)
        else _with_verdict(sample, next(verdicts), grader)
        for sample in samples
    )


def answer_samples(
    unit: str,
    seed: int,
    step: int,
    asked: Sequence[tuple[str, Context]],
    records: Sequence[PassageRecord],
    grader: Grader,
) -> tuple[Sample, ...]:
    """Graded samples of the answers to the questions of contexts, each context with the `passage` of its samples."""
    samples = [
        Sample(
            unit,
            seed,
            question.text,
            question.golds,
            answer.answer,
            Verdict.UNGRADED,
            prompt_tokens=answer.prompt_tokens,
            recalled=answer.recalled,
            confidence=answer.confidence,
            passage=passage,
            step=step,
        )
        for (passage, context), record in zip(asked, records, strict=True)
        for question, answer in zip(context.questions, record.answers, strict=True)
    ]
    return graded_all(samples, grader)


def _with_verdict(sample: Sample, verdict: Verdict, grader: Grader) -> Sample:
    direct = ""
    if isinstance(grader, DirectnessGrader) and verdict is not Verdict.UNGRADED:
        direct = grader.direct(sample.question, sample.golds, sample.answer).value
    return replace(sample, verdict=verdict, direct=direct)


def with_missing_grades(samples: Sequence[Sample], grader: Grader) -> tuple[Sample, ...]:
    """The samples; those that a grader could not grade, such as a judge that did not answer, are graded again."""
    missing = [place for place, sample in enumerate(samples) if sample.verdict is Verdict.UNGRADED]
    again = dict(zip(missing, graded_all([samples[place] for place in missing], grader), strict=True))
    return tuple(again.get(place, sample) for place, sample in enumerate(samples))


def graded_arc(sample: Sample) -> Sample:
    """The sample of a task of ARC with its verdict: one of the attempts equals the output."""
    if sample.answer.startswith(UNANSWERED):
        return replace(sample, verdict=Verdict.UNGRADED, direct="")
    gold = Grid.of(json.loads(sample.golds[0]))
    return replace(sample, verdict=Verdict.CORRECT if gold in _attempts(sample) else Verdict.WRONG, direct="")


def best_cells(sample: Sample) -> float:
    """Share of cells that is right in the best attempt, 0..1."""
    gold = Grid.of(json.loads(sample.golds[0]))
    return max((cell_accuracy(grid, gold) for grid in _attempts(sample)), default=0.0)


def _attempts(sample: Sample) -> list[Grid]:
    """The attempts in an answer, which names the style of its grids by what it looks like."""
    for style in STYLES:
        if found := list(parse_attempts(sample.answer, style, ArcConfig().attempts)):
            return found
    return []
