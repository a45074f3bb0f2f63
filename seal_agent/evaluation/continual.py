"""Edits in a row into one adapter: after each, the passages so far are asked again.

The figures of a sequence follow from its accuracy matrix A, where A[i][j] is the accuracy on passage j after edit i,
0..1: the mean of the last row, the mean of the diagonal, backward transfer (Lopez-Paz and Ranzato 2017), the share of
the diagonal that is kept, and the smallest lead over the base model at any step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from seal_agent.adaptation.lesson import Lesson, job_of, write_lessons
from seal_agent.evaluation.contestant import BeginStage, Contestant, Learnt, PassageRecord
from seal_agent.evaluation.passages import unit_id
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.scoring import CONTAINS, graded, mean_scores, scores_of
from seal_agent.generation.engine import resting
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.training.train import train
from seal_agent.types import Context, Verdict, content_hash

BASE = -1
"""The step before the first edit."""
Matrix = list[list[float | None]]


def sequences_of(contexts: Sequence[Context], size: int, count: int) -> list[list[Context]]:
    """Up to `count` sequences of `size` passages each; passages that do not fill one are left out."""
    starts = range(0, len(contexts) - size + 1, size)
    return [list(contexts[start : start + size]) for start in starts][:count]


def sequence_id(contexts: Sequence[Context]) -> str:
    """Hash of the passages, in order."""
    return content_hash([unit_id(context) for context in contexts])[:16]


def run_sequence(
    contestant: Contestant, contexts: Sequence[Context], seed: int, grader: Grader, begin: BeginStage
) -> list[Sample]:
    """Edit by edit, the graded answers to all passages so far; those of the base model first."""
    unit, last = sequence_id(contexts), len(contexts) - 1
    samples = _ask_base(contestant, contexts, unit, seed, grader, begin)
    if contestant.recipe.mode != "self_edit":
        records = contestant.ask(contexts, [Learnt(None)] * len(contexts), begin)
        return [*samples, *_samples(contexts, records, unit, seed, last, grader)]
    lessons: list[Lesson] = []
    adapter: LoraAdapter | None = None
    for step, context in enumerate(contexts):
        adapter, lesson = _edit(contestant, context, adapter, lessons, seed, begin)
        lessons.append(lesson)
        so_far = contexts[: step + 1]
        records = contestant.ask(so_far, [Learnt(adapter)] * len(so_far), begin)
        samples += _samples(so_far, records, unit, seed, step, grader)
    return samples


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
) -> list[Sample]:
    recipe = replace(contestant.recipe, mode="base")
    base = Contestant(contestant.base, contestant.engine, recipe, corpus=())
    records = base.ask(contexts, [Learnt(None)] * len(contexts), begin)
    return _samples(contexts, records, unit, seed, BASE, grader)


def _samples(
    contexts: Sequence[Context], records: Sequence[PassageRecord], unit: str, seed: int, step: int, grader: Grader
) -> list[Sample]:
    return [
        graded(
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
                passage=record.unit,
                step=step,
            ),
            grader,
        )
        for context, record in zip(contexts, records, strict=True)
        for question, answer in zip(context.questions, record.answers, strict=True)
    ]


# ---------------------------------------------------------------- figures


def sequence_scores(samples: Sequence[Sample]) -> dict[str, dict[str, float]]:
    """By sequence, the figures of its matrix, each the mean over seeds."""
    seeds: dict[str, dict[int, list[Sample]]] = {}
    for sample in samples:
        seeds.setdefault(sample.unit, {}).setdefault(sample.seed, []).append(sample)
    return {
        unit: mean_scores([_figures(*matrix_of(of_seed)) for of_seed in by_seed.values()])
        for unit, by_seed in seeds.items()
    }


def matrix_of(samples: Sequence[Sample]) -> tuple[list[float], Matrix]:
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
    return [means.get((BASE, passage), 0.0) for passage in passages], matrix


def _figures(base: Sequence[float], matrix: Matrix) -> dict[str, float]:
    last = [(j, value) for j, value in enumerate(matrix[-1]) if value is not None]
    figures = {"base": fmean(base), "final": fmean(value for _, value in last) if last else 0.0}
    diagonal = {j: value for j in range(len(matrix)) if (value := matrix[j][j]) is not None}
    if len(diagonal) < len(matrix):
        return figures
    figures["just_after"] = fmean(diagonal.values())
    earlier = [value - diagonal[j] for j, value in last if j < len(matrix) - 1]
    figures["backward_transfer"] = fmean(earlier) if earlier else 0.0
    if figures["just_after"]:
        figures["kept"] = figures["final"] / figures["just_after"]
    leads = [
        fmean(value for value in row[: step + 1] if value is not None) - fmean(base[: step + 1])
        for step, row in enumerate(matrix)
    ]
    figures["smallest_lead"] = min(leads)
    return figures


def mean_matrix(samples: Sequence[Sample]) -> dict[str, Matrix]:
    """The matrix and the base model's row, each cell the mean over sequences and seeds."""
    groups: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.unit, sample.seed), []).append(sample)
    found = [matrix_of(group) for group in groups.values()]
    size = len(found[0][1])
    matrix = [[_mean([m[i][j] for _, m in found]) for j in range(size)] for i in range(size)]
    return {"accuracy": matrix, "base": [[_mean([base[j] for base, _ in found]) for j in range(size)]]}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
