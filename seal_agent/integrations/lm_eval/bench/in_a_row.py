"""The suite of edits in a row: each edit is kept as it is made, so that a stopped run loses no more than one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from seal_agent.adaptation.lesson import Lesson
from seal_agent.evaluation.asked import sequence_id, sequences_of
from seal_agent.evaluation.assemble import Measured
from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.evaluation.continual import Step, is_finished, mean_matrix, run_sequence, sequence_scores
from seal_agent.evaluation.journal import Journal
from seal_agent.evaluation.passages import unit_id
from seal_agent.evaluation.results import Unit
from seal_agent.evaluation.samples import BASE, Sample
from seal_agent.grading.grader import Grader
from seal_agent.integrations.lm_eval.bench.kept import graded_samples, samples_of
from seal_agent.integrations.lm_eval.bench.plan import Plan
from seal_agent.integrations.lm_eval.bench.seen import Seen
from seal_agent.store import files
from seal_agent.types import Context

ADAPTERS = "adapters"
"""Folder beside the journal with the last adapter of each sequence that is not finished."""
_LESSON: TypeAdapter[Lesson] = TypeAdapter(Lesson)


def run_in_a_row(
    contestant: Contestant, plan: Plan, journal: Journal, grader: Grader, seen: Seen, begin: BeginStage
) -> tuple[Measured, list[Sample]]:
    """Measure the sequences of every seed; edits that the journal has are not made again."""
    sequences = sequences_of(plan.contexts, plan.size, plan.limit or 1)
    samples: list[Sample] = []
    failures = []
    for seed in plan.seeds:
        for number, contexts in enumerate(sequences, 1):
            found, failure = _sequence(contestant, contexts, seed, journal, grader, begin)
            samples += found
            failures += [f"sequence {number}, seed {seed}: {failure}"] if failure else []
    scores = sequence_scores(samples)
    units = tuple(
        Unit(unit, f"sequence {number}", scores[unit], any(map(seen, contexts)))
        for number, contexts in enumerate(sequences, 1)
        if scores.get(unit := sequence_id(contexts))
    )
    measured = Measured(units, {"edits": float(plan.size)}, curves=mean_matrix(samples), failures=tuple(failures))
    return measured, samples


def _sequence(
    contestant: Contestant, contexts: Sequence[Context], seed: int, journal: Journal, grader: Grader, begin: BeginStage
) -> tuple[list[Sample], str]:
    """The samples of one sequence and seed, and why it stopped early, "" where it did not.

    Keys tell passages, not questions: steps whose answers are to other questions are made again.
    """
    key = f"{seed}:{sequence_id(contexts)}"
    if key in journal and _are_about(samples_of(journal[key]), contexts):  # written as a whole by older versions
        return list(graded_samples(key, journal, grader)), ""
    keys = [f"{key}:{number}" for number in range(BASE, len(contexts))]
    done = [step for step in keys if step in journal]
    last = journal[done[-1]]["adapter"] if done else ""
    if not _are_about([sample for step in done for sample in samples_of(journal[step])], contexts):
        done = []
    samples = [sample for step in done for sample in graded_samples(step, journal, grader)]
    if failure := next((journal[step]["failure"] for step in done if journal[step]["failure"]), ""):
        return samples, failure
    if samples and is_finished(samples):
        return samples, ""
    folder = journal.path.parent / ADAPTERS
    before = [_step(journal[step], number, folder, contestant) for number, step in enumerate(done, BASE)]
    if any(step.number > BASE and step.adapter is None for step in before[-1:]):  # its adapter was deleted
        before = before[:1]
    samples = [sample for step in before for sample in step.samples]
    for step in run_sequence(contestant, contexts, seed, grader, begin, before):
        name = files.save(step.adapter, contestant.base.name, contestant.base.identity, folder) if step.adapter else ""
        journal.add(f"{key}:{step.number}", _as_json(step, name))
        samples += samples_of(journal[f"{key}:{step.number}"])
        if last and last != name:
            shutil.rmtree(folder / last, ignore_errors=True)
        last = name
        if step.failure:
            return samples, step.failure
    if last:
        shutil.rmtree(folder / last, ignore_errors=True)
    return samples, ""


def _are_about(samples: Sequence[Sample], contexts: Sequence[Context]) -> bool:
    """Whether the answers of every step are to exactly the questions of the passages that it asks about."""
    found: dict[int, list[tuple[str, str, tuple[str, ...]]]] = {}
    for sample in samples:
        step = BASE if sample.step is None else sample.step
        found.setdefault(step, []).append((sample.passage, sample.question, sample.golds))
    asked = [[(unit_id(c), question.text, question.golds) for question in c.questions] for c in contexts]
    return all(
        sorted(of_step) == sorted(chain(*(asked if step == BASE else asked[: step + 1])))
        for step, of_step in found.items()
    )


def _as_json(step: Step, adapter: str) -> dict[str, Any]:
    return {
        "samples": [asdict(sample) for sample in step.samples],
        "adapter": adapter,
        "lesson": _LESSON.dump_python(step.lesson, mode="json") if step.lesson else None,
        "failure": step.failure,
    }


def _step(value: dict[str, Any], number: int, folder: Path, contestant: Contestant) -> Step:
    """A step of the journal; with its adapter, where that still lies there. Raises AdapterError if it is damaged."""
    place = folder / value["adapter"]
    there = bool(value["adapter"]) and place.is_dir()
    return Step(
        number,
        samples_of(value),
        files.load(place, contestant.base.identity) if there else None,
        _LESSON.validate_python(value["lesson"]) if value["lesson"] else None,
    )
