"""Suites without an lm-eval task: sequences of edits, speed, harm."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any, Protocol

from pydantic import TypeAdapter

from seal_agent.evaluation.assemble import Measured
from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.evaluation.continual import mean_matrix, run_sequence, sequence_id, sequence_scores, sequences_of
from seal_agent.evaluation.files import Journal
from seal_agent.evaluation.harm import UNRELATED, harm_of, survey
from seal_agent.evaluation.passages import is_seen, unit_id
from seal_agent.evaluation.results import Unit
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.scoring import mean_scores
from seal_agent.evaluation.speed import run_round
from seal_agent.evaluation.suites import Suite
from seal_agent.grading.graders import make_grader
from seal_agent.integrations.lm_eval.bench.other_tasks import OtherTasks, before_and_after
from seal_agent.types import Context

_SAMPLES: TypeAdapter[list[Sample]] = TypeAdapter(list[Sample])


class Request(Protocol):
    """What these suites read of a request."""

    @property
    def limit(self) -> int | None: ...
    @property
    def grader(self) -> str: ...
    @property
    def judge_model(self) -> str | None: ...
    @property
    def judge_url(self) -> str | None: ...
    @property
    def tasks(self) -> tuple[str, ...]: ...
    @property
    def include_path(self) -> str | None: ...
    @property
    def task_limit(self) -> int | None: ...


class Planned(Protocol):
    """What these suites read of a plan."""

    @property
    def request(self) -> Request: ...
    @property
    def contexts(self) -> tuple[Context, ...]: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def size(self) -> int: ...


def run(
    suite: Suite, contestant: Contestant, plan: Planned, journal: Journal, begin: BeginStage
) -> tuple[Measured, list[Sample]]:
    """Measure the suite; what the journal has is not measured again."""
    runs: dict[str, Callable[..., tuple[Measured, list[Sample]]]] = {
        "continual": _continual,
        "speed": _speed,
        "harm": _harm,
    }
    return runs[suite.kind](suite, contestant, plan, journal, begin)


def _continual(
    suite: Suite, contestant: Contestant, plan: Planned, journal: Journal, begin: BeginStage
) -> tuple[Measured, list[Sample]]:
    grader = _grader(contestant, plan.request)
    sequences = sequences_of(plan.contexts, plan.size, plan.request.limit or suite.limit or 1)
    samples: list[Sample] = []
    for seed in plan.seeds:
        for contexts in sequences:
            key = f"{seed}:{sequence_id(contexts)}"
            if key not in journal:
                measured = run_sequence(contestant, contexts, seed, grader, begin)
                journal.add(key, [asdict(sample) for sample in measured])
            samples += _SAMPLES.validate_python(journal[key])
    scores = sequence_scores(samples)
    searched = contestant.recipe.searched
    units = tuple(
        Unit(sequence_id(of), f"sequence {number}", scores[sequence_id(of)], searched and any(map(is_seen, of)))
        for number, of in enumerate(sequences, 1)
    )
    return Measured(units, {"edits": float(plan.size)}, curves=mean_matrix(samples)), samples


def _speed(
    suite: Suite, contestant: Contestant, plan: Planned, journal: Journal, begin: BeginStage
) -> tuple[Measured, list[Sample]]:
    rounds = plan.request.limit or suite.limit or 1
    rows = []
    for number in range(rounds):
        if str(number) not in journal:
            journal.add(str(number), run_round(contestant, plan.contexts[: plan.size], number, begin))
        rows.append(journal[str(number)])
    units = tuple(Unit(str(number), f"round {number + 1}", row) for number, row in enumerate(rows))
    return Measured(units, {"passages_at_once": float(plan.size)}), []


def _harm(
    suite: Suite, contestant: Contestant, plan: Planned, journal: Journal, begin: BeginStage
) -> tuple[Measured, list[Sample]]:
    limit = plan.request.limit or suite.limit or 1
    learnt_contexts, others = plan.contexts[:limit], plan.contexts[limit : limit + UNRELATED]
    grader = _grader(contestant, plan.request)
    keys = [f"{seed}:{unit_id(context)}" for seed in plan.seeds for context in learnt_contexts]
    if any(key not in journal for key in keys):
        around = survey(contestant, others, begin)
        tasks = _other_tasks(contestant, plan.request)
        before = tasks.scores(None) if tasks else {}
        for seed, context in product(plan.seeds, learnt_contexts):
            key = f"{seed}:{unit_id(context)}"
            if key not in journal:
                (learnt,) = contestant.learn([context], seed, begin)
                scores = {} if learnt.failure else harm_of(contestant, context, learnt, around, grader, begin)
                if tasks and learnt.adapter:
                    scores |= before_and_after(before, tasks.scores(learnt.adapter))
                journal.add(key, {"scores": scores, "failure": learnt.failure})
    units, failures = _harm_units(contestant, learnt_contexts, plan.seeds, journal)
    return Measured(tuple(units), {}, failures=tuple(failures)), []


def _harm_units(
    contestant: Contestant, contexts: Sequence[Context], seeds: Sequence[int], journal: Journal
) -> tuple[list[Unit], list[str]]:
    units, failures = [], []
    for context in contexts:
        rows: list[Any] = [journal[f"{seed}:{unit_id(context)}"] for seed in seeds]
        failures += [f"{context.title}: {row['failure']}" for row in rows if row["failure"]]
        if scores := mean_scores([row["scores"] for row in rows if row["scores"]]):
            seen = contestant.recipe.searched and is_seen(context)
            units.append(Unit(unit_id(context), context.title, scores, seen))
    return units, failures


def _other_tasks(contestant: Contestant, request: Request) -> OtherTasks | None:
    if not request.tasks:
        return None
    return OtherTasks(contestant.base, request.tasks, request.include_path, request.task_limit)


def _grader(contestant: Contestant, request: Request) -> Any:
    return make_grader(
        request.grader, engine=contestant.engine, judge_model=request.judge_model, judge_url=request.judge_url
    )
