"""Labels of steps: what rollouts proved, and steps that are made wrong on purpose.

A step is good if any rollout that begins with it succeeds. It is bad if enough rollouts began with it and none did. The
first negatives come of successes that are corrupted, as in UI-Genie (Xiao et al., 2025, arXiv 2505.21496).
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from seal_agent.agents.scoring.scorer import ACCEPTED, Attempt, Scorer
from seal_agent.agents.trajectories.rollout import Rollout
from seal_agent.agents.trajectories.trajectory import calls_of
from seal_agent.seeds import derived_seed
from seal_agent.types import ToolCall

Kind = Literal["success", "dead end", "cut short", "goal swapped", "repetition", "wrong argument"]


@dataclass(frozen=True, slots=True)
class Label:
    """A step that is known to be good or bad, and of which task. `kind` says how that is known."""

    attempt: Attempt
    good: bool
    task: str
    kind: Kind


def labels_of(rollouts: Sequence[Rollout], tries: int) -> list[Label]:
    """Labels of the steps that rollouts went through, each once; a call that failed is not good, and maybe not bad.

    Args:
        tries: Rollouts that must have gone through a step without success before it is bad.
    """
    through: dict[tuple[str, tuple[ToolCall, ...]], list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        calls = calls_of(rollout.steps)
        for number in range(1, len(calls) + 1):
            through[rollout.task, calls[:number]].append(rollout)
    labels = []
    for (task, calls), some in through.items():
        good = any(rollout.success for rollout in some)
        if good and some[0].steps[len(calls) - 1].failed:
            continue
        if good or len(some) >= tries or all(len(rollout.steps) == len(calls) for rollout in some):
            attempt = _attempt(some[0], len(calls) - 1)
            labels.append(Label(attempt, good, task, "success" if good else "dead end"))
    return labels


def corrupted(rollouts: Sequence[Rollout], seed: int) -> list[Label]:
    """Bad steps made of successful rollouts: cut short, goal swapped, needless repetition, wrong argument.

    None of them is a step that some success took.
    """
    successes = [rollout for rollout in rollouts if rollout.success]
    known = {
        (rollout.goal, calls_of(rollout.steps[:number]), step.call)
        for rollout in successes
        for number, step in enumerate(rollout.steps)
    }
    draw = random.Random(derived_seed(seed, "corruption"))
    made: dict[tuple[object, ...], Label] = {}
    for rollout in successes:
        for label in _corruptions(rollout, successes, draw):
            attempt = label.attempt
            key = (attempt.goal, calls_of(attempt.steps), attempt.call)
            if key not in known:
                made.setdefault(key, label)
    return list(made.values())


def _corruptions(rollout: Rollout, others: Sequence[Rollout], draw: random.Random) -> Iterable[Label]:
    last = len(rollout.steps) - 1
    for number, step in enumerate(rollout.steps):
        attempt = _attempt(rollout, number)
        if number < last:
            yield _bad(rollout, attempt, rollout.steps[last].call, "cut short")
        if number:
            yield _bad(rollout, attempt, rollout.steps[number - 1].call, "repetition")
        if swapped := _other_goal(rollout, others, draw):
            other = Attempt(swapped.goal, attempt.steps, attempt.observation, step.call)
            yield Label(other, False, rollout.task, "goal swapped")
        if wrong := _wrong_argument(step.call, rollout, others, draw):
            yield _bad(rollout, attempt, wrong, "wrong argument")


def _bad(rollout: Rollout, attempt: Attempt, call: ToolCall, kind: Kind) -> Label:
    return Label(Attempt(attempt.goal, attempt.steps, attempt.observation, call), False, rollout.task, kind)


def _attempt(rollout: Rollout, number: int) -> Attempt:
    """The step of a rollout with this number."""
    step = rollout.steps[number]
    return Attempt(rollout.goal, rollout.steps[:number], step.observation, step.call)


def _other_goal(rollout: Rollout, others: Sequence[Rollout], draw: random.Random) -> Rollout | None:
    different = [other for other in others if other.goal != rollout.goal]
    return draw.choice(different) if different else None


def _wrong_argument(
    call: ToolCall, rollout: Rollout, others: Sequence[Rollout], draw: random.Random
) -> ToolCall | None:
    """The call with one argument as another call of the same tool has it; None where there is no other value."""
    arguments = json.loads(call.arguments)
    values: dict[str, set[str]] = defaultdict(set)
    for other in (rollout, *others):
        for step in other.steps:
            if step.call.name == call.name:
                for name, value in json.loads(step.call.arguments).items():
                    values[name].add(json.dumps(value))
    choices = [
        (name, value)
        for name in sorted(arguments)
        for value in sorted(values[name])
        if value != json.dumps(arguments[name])
    ]
    if not choices:
        return None
    name, value = draw.choice(choices)
    return ToolCall(call.name, json.dumps({**arguments, name: json.loads(value)}, ensure_ascii=False))


def hard_negatives(labels: Sequence[Label], last: Scorer) -> set[int]:
    """Positions of the bad steps that the last scorer accepted."""
    bad = [i for i, label in enumerate(labels) if not label.good]
    scores = last.score([labels[i].attempt for i in bad])
    return {i for i, score in zip(bad, scores, strict=True) if score is not None and score >= ACCEPTED}


def balanced(labels: Sequence[Label], hard: set[int], per_good: float, most: int, seed: int) -> list[Label]:
    """Good steps, and at most `per_good` bad ones for each: see `picked`.

    Args:
        most: Labels in all; good and bad ones are then left out alike.
    """
    good = min(sum(label.good for label in labels), max(1, int(most / (1 + per_good))))
    return picked(labels, hard, good, int(per_good * good), seed)


def picked(labels: Sequence[Label], hard: set[int], most_good: int, most_bad: int, seed: int) -> list[Label]:
    """Some of the good steps, and of the bad ones: hard negatives first, then those of every kind in turn."""
    draw = random.Random(derived_seed(seed, "balance"))
    good = [i for i, label in enumerate(labels) if label.good]
    bad = [i for i, label in enumerate(labels) if not label.good]
    good = sorted(draw.sample(good, min(len(good), most_good)))
    kinds: dict[str, list[int]] = defaultdict(list)
    for i in draw.sample(bad, len(bad)):
        kinds["hard" if i in hard else labels[i].kind].append(i)
    chosen = kinds.pop("hard", [])
    while any(kinds.values()) and len(chosen) < most_bad:
        for kind in sorted(kinds):
            if kinds[kind]:
                chosen.append(kinds[kind].pop())
    return [labels[i] for i in [*good, *chosen[:most_bad]]]
