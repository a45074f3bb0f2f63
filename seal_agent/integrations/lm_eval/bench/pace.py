"""How long a run would take: one passage or task is tried, and what is left to do is counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from seal_agent.arc.self_edits import Mode, trials_for
from seal_agent.arc.solve import solve
from seal_agent.config import ArcConfig
from seal_agent.evaluation.asked import arc_tasks, learnt_and_reference, sequence_id, sequences_of
from seal_agent.evaluation.assemble import process_facts
from seal_agent.evaluation.contestant import BeginStage, Contestant
from seal_agent.evaluation.harm import BASE_UNIT, neutral_texts, perplexity, questions_after, surrounding_questions
from seal_agent.evaluation.journal import keys_in
from seal_agent.evaluation.passages import question_key, unit_id
from seal_agent.evaluation.samples import BASE
from seal_agent.evaluation.speed import DECODED_ROWS
from seal_agent.integrations.lm_eval.bench.plan import Plan
from seal_agent.integrations.lm_eval.bench.run import journal_of, load_contestant
from seal_agent.types import Context


@dataclass(frozen=True, slots=True)
class Work:
    """What one piece of a run has to do: passages to write about and to train on, questions to answer, texts to score.

    A passage is trained on more than once where earlier ones are replayed beside it. `scored` counts rounds over the
    texts of `harm`.
    """

    written: float = 0.0
    trained: float = 0.0
    asked: int = 0
    scored: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds that one passage or task took, how many pieces are left (passages, tasks, edits or rounds), and how long
    all of them take. It was tried alone; where several are learnt together, each takes less.
    """

    seconds_each: float
    left: int
    seconds: float
    not_counted: str = ""


def expected_time(plan: Plan, begin: BeginStage, contestant: Contestant | None = None) -> Pace:
    """Try one, and multiply by what the journal does not have yet."""
    contestant = contestant or load_contestant(plan)
    path, settings = journal_of(plan, contestant, process_facts(contestant.base, plan.request.engine))
    done = keys_in(path, settings)
    if plan.suite.kind == "arc":
        return _arc_pace(plan, contestant, done, begin)
    (record,) = contestant.measure(plan.contexts[:1], plan.seeds[0], begin)
    per_answer = record.seconds_to_answer / max(1, len(record.answers))
    work = [piece for piece in _WORK[plan.suite.kind](plan, done) if piece != Work()]
    seconds = sum(
        piece.written * record.seconds_to_write + piece.trained * record.seconds_to_train + piece.asked * per_answer
        for piece in work
    )
    if scored := sum(piece.scored for piece in work):
        started = time.perf_counter()
        perplexity(contestant.engine, neutral_texts(plan.contexts), None)
        seconds += scored * (time.perf_counter() - started)
    each = record.seconds_to_write + record.seconds_to_train + record.seconds_to_answer
    return Pace(each, len(work), seconds, "the tasks of lm-eval" if plan.request.tasks else "")


def _arc_pace(plan: Plan, contestant: Contestant, done: Collection[str], begin: BeginStage) -> Pace:
    tasks = arc_tasks(plan.suite, plan.request.limit)
    started = time.perf_counter()
    mode = cast(Mode, plan.recipe.mode)
    trials = trials_for(contestant.engine, contestant.base, tasks[:1], mode, ArcConfig(), seed=0)
    solve(contestant.engine, contestant.base, trials, ArcConfig(), plan.recipe.arc_inner_loop, begin)
    each = time.perf_counter() - started
    left = sum(
        any(f"{seed}:{task.id}:{test}" not in done for test in range(len(task.test)))
        for seed in plan.seeds
        for task in tasks
    )
    return Pace(each, left, each * left)


# ---------------------------------------------------------------- what is left, one piece each


def _of_passages(plan: Plan, done: Collection[str]) -> Iterator[Work]:
    for seed in plan.seeds:
        left = [context for context in plan.contexts if f"{seed}:{question_key(context)}" not in done]
        if left and plan.suite.kind == "together":
            left = list(plan.contexts)
        yield from (Work(1, 1, len(context.questions)) for context in left)


def _of_sequences(plan: Plan, done: Collection[str]) -> Iterator[Work]:
    learns = plan.recipe.mode == "self_edit"
    replayed = plan.recipe.inner_loop.replay
    for seed in plan.seeds:
        for contexts in sequences_of(plan.contexts, plan.size, plan.limit or 1):
            key = f"{seed}:{sequence_id(contexts)}"
            steps = range(BASE, len(contexts)) if learns else (BASE, len(contexts) - 1)
            for step in steps if key not in done else ():
                if f"{key}:{step}" in done:
                    continue
                if step == BASE or not learns:
                    yield Work(asked=_questions(contexts))
                else:
                    yield Work(1, 1 + replayed * (step > 0), _questions(contexts[: step + 1]))


def _of_harm(plan: Plan, done: Collection[str]) -> Iterator[Work]:
    learnt, reference = learnt_and_reference(plan.contexts, plan.limit or 1)
    left = [c for seed in plan.seeds for c in learnt if f"{seed}:{unit_id(c)}" not in done]
    if left and BASE_UNIT not in done:
        yield Work(asked=_questions([about for _, about in surrounding_questions(reference)]), scored=1)
    for context in left:
        yield Work(1, 1, _questions([about for _, about in questions_after(context, reference)]), 1)


def _of_speed(plan: Plan, done: Collection[str]) -> Iterator[Work]:
    contexts = plan.contexts[: plan.size]
    for seed in plan.seeds:
        if str(seed) not in done:
            yield Work(len(contexts), len(contexts), _questions(contexts) + DECODED_ROWS)


def _questions(contexts: Sequence[Context]) -> int:
    return sum(len(context.questions) for context in contexts)


_WORK: dict[str, Callable[[Plan, Collection[str]], Iterator[Work]]] = {
    "passages": _of_passages,
    "together": _of_passages,
    "continual": _of_sequences,
    "harm": _of_harm,
    "speed": _of_speed,
}
