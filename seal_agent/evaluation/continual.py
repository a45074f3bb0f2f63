"""Edits in a row into one adapter: after each, the passages so far are asked again.

The figures of a sequence follow from its accuracy matrix A, where A[i][j] is the accuracy on passage j after edit i,
0..1: the mean of the last row, the mean of the diagonal, backward transfer (Lopez-Paz and Ranzato 2017), the share of
the diagonal that is kept, and the smallest lead over the base model at any step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from seal_agent.adaptation.lesson import Lesson, job_of, write_lessons
from seal_agent.errors import TrainingError
from seal_agent.evaluation.asked import sequence_id
from seal_agent.evaluation.contestant import BeginStage, Contestant, Learnt, PassageRecord
from seal_agent.evaluation.samples import BASE, Sample
from seal_agent.evaluation.scoring import CONTAINS, answer_samples, mean_scores, scores_of
from seal_agent.generation.engine import resting
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.training.train import train
from seal_agent.types import Context

Matrix = list[list[float | None]]


@dataclass(frozen=True, slots=True)
class Step:
    """One edit of a sequence: the graded answers after it, the adapter and what it has learnt; or why it failed.

    The step `BASE` has the base model's answers and no adapter.
    """

    number: int
    samples: tuple[Sample, ...]
    adapter: LoraAdapter | None = None
    lesson: Lesson | None = None
    failure: str = ""


def run_sequence(
    contestant: Contestant,
    contexts: Sequence[Context],
    seed: int,
    grader: Grader,
    begin: BeginStage,
    done: Sequence[Step] = (),
) -> Iterator[Step]:
    """Edit by edit, the graded answers to all passages so far; those of the base model first.

    Args:
        done: The steps that were made before, of which the last has its adapter. The sequence goes on behind them.
    """
    unit = sequence_id(contexts)
    if not done:
        yield Step(BASE, _ask_base(contestant, contexts, unit, seed, grader, begin))
    if contestant.recipe.mode != "self_edit":
        last = len(contexts) - 1
        if len(done) < 2:
            records = contestant.ask(contexts, [Learnt(None)] * len(contexts), begin)
            yield Step(last, _samples(contexts, records, unit, seed, last, grader))
        return
    lessons = [step.lesson for step in done if step.lesson]
    adapter = done[-1].adapter if done else None
    for number in range(len(lessons), len(contexts)):
        try:
            adapter, lesson = _edit(contestant, contexts[number], adapter, lessons, seed, begin)
        except TrainingError as err:
            yield Step(number, (), failure=str(err))
            return
        lessons.append(lesson)
        so_far = contexts[: number + 1]
        records = contestant.ask(so_far, [Learnt(adapter)] * len(so_far), begin)
        yield Step(number, _samples(so_far, records, unit, seed, number, grader), adapter, lesson)


def _edit(
    contestant: Contestant,
    context: Context,
    start: LoraAdapter | None,
    earlier: Sequence[Lesson],
    seed: int,
    begin: BeginStage,
) -> tuple[LoraAdapter, Lesson]:
    """The adapter after one more passage."""
    base, engine, recipe = contestant.base, contestant.engine, contestant.recipe
    progress = begin("writing self-edits")
    (lesson,) = write_lessons(
        engine, base, [context], recipe.self_edit, writer=contestant.writer, seed=seed, progress=progress
    )
    job = job_of(engine, base, lesson, replace(recipe.inner_loop, seed=seed), start=start, earlier=earlier)
    with resting(engine):
        (trained,) = train(base, [job], begin("training"))
    return trained.adapter, lesson


def _ask_base(
    contestant: Contestant, contexts: Sequence[Context], unit: str, seed: int, grader: Grader, begin: BeginStage
) -> tuple[Sample, ...]:
    recipe = replace(contestant.recipe, mode="base")
    base = Contestant(contestant.base, contestant.engine, recipe, corpus=())
    records = base.ask(contexts, [Learnt(None)] * len(contexts), begin)
    return _samples(contexts, records, unit, seed, BASE, grader)


def _samples(
    contexts: Sequence[Context], records: Sequence[PassageRecord], unit: str, seed: int, step: int, grader: Grader
) -> tuple[Sample, ...]:
    asked = [(record.unit, context) for context, record in zip(contexts, records, strict=True)]
    return answer_samples(unit, seed, step, asked, records, grader)


# ---------------------------------------------------------------- figures


def sequence_scores(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """By sequence, the figures of its matrix, each the mean over seeds; none of sequences that no seed finished."""
    found: dict[str, list[dict[str, float]]] = {}
    for (unit, _), group in _finished(samples).items():
        found.setdefault(unit, []).append(_figures(*matrix_of(group)))
    return {unit: mean_scores(of_unit) for unit, of_unit in found.items()}


def _finished(samples: Sequence[Sample]) -> dict[tuple[str, int], list[Sample]]:
    """By sequence and seed, the samples of those that were asked after their last edit."""
    groups: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.unit, sample.seed), []).append(sample)
    return {key: group for key, group in groups.items() if is_finished(group)}


def is_finished(samples: Sequence[Sample]) -> bool:
    """Whether samples of one sequence and seed reach its last edit."""
    return max(sample.step or 0 for sample in samples) == len({sample.passage for sample in samples}) - 1


def matrix_of(samples: Sequence[Sample]) -> tuple[list[float | None], Matrix]:
    """Of one sequence and seed: the base model's accuracy on each passage, and the matrix; None where nobody asked.

    Passages whose answers could not be graded count as never asked.
    """
    passages = list(dict.fromkeys(sample.passage for sample in samples))
    cells: dict[tuple[int, str], list[float]] = {}
    for sample in samples:
        if (score := scores_of(sample).get(CONTAINS)) is not None:
            cells.setdefault((sample.step or 0, sample.passage), []).append(score)
    means = {cell: fmean(scores) for cell, scores in cells.items()}
    matrix: Matrix = [[means.get((step, passage)) for passage in passages] for step in range(len(passages))]
    return [means.get((BASE, passage)) for passage in passages], matrix


def _figures(base: Sequence[float | None], matrix: Matrix) -> dict[str, float]:
    """Passages without a grade on one side of a comparison are left out of both."""
    both = _pairs(base, matrix[-1])
    if not both:
        return {}
    figures = {"base": fmean(before for before, _ in both), "final": fmean(after for _, after in both)}
    if len(matrix) > 1 and not any(value is not None for row in matrix[:-1] for value in row):
        return figures  # asked once, since nothing was learnt
    diagonal = [matrix[j][j] for j in range(len(matrix))]
    if kept := _pairs(diagonal, matrix[-1]):
        figures["just_after"] = fmean(just_after for just_after, _ in kept)
    earlier = [after - just_after for just_after, after in _pairs(diagonal[:-1], matrix[-1][:-1])]
    figures["backward_transfer"] = fmean(earlier) if earlier else 0.0
    if figures.get("just_after"):
        figures["kept"] = fmean(after for _, after in kept) / figures["just_after"]
    steps = [_pairs(base[: step + 1], row[: step + 1]) for step, row in enumerate(matrix)]
    figures["smallest_lead"] = min(fmean(after - before for before, after in step) for step in steps if step)
    return figures


def _pairs(first: Sequence[float | None], second: Sequence[float | None]) -> list[tuple[float, float]]:
    """The values of both where both are known."""
    return [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]


def mean_matrix(samples: Sequence[Sample]) -> dict[str, Matrix]:
    """The matrix and the base model's row, each cell the mean over sequences and seeds; {} where none was finished."""
    found = [matrix_of(group) for group in _finished(samples).values()]
    if not found:
        return {}
    size = len(found[0][1])
    matrix = [[_mean([m[i][j] for _, m in found]) for j in range(size)] for i in range(size)]
    return {"accuracy": matrix, "base": [[_mean([base[j] for base, _ in found]) for j in range(size)]]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
