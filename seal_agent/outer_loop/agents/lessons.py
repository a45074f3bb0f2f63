"""From rollouts to what is done next: which are learnt, which are tried again from which step, and how a task went."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from seal_agent.agents.environments.environment import Task
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.agents.trajectories.trajectory import calls_of
from seal_agent.outer_loop.agents.rounds import TaskExploration, TaskResult


def lessons_of(rollouts: Sequence[Rollout], kept: int) -> list[Rollout]:
    """The successes to learn: of each task the shortest, at most `kept` that differ in their calls."""
    by_task: dict[str, dict[object, Rollout]] = defaultdict(dict)
    for rollout in rollouts:
        if rollout.success and rollout.steps:
            by_task[rollout.task].setdefault(calls_of(rollout.steps), rollout)
    return [
        rollout
        for task in sorted(by_task)
        for rollout in sorted(by_task[task].values(), key=lambda each: len(each.steps))[:kept]
    ]


def starts_again(task: Task, seed: int, rollouts: Sequence[Rollout], steps: int, tries: int) -> list[Start]:
    """Where a task is tried again: `tries` times from each of some steps of its longest attempt, its first among them.

    None where an attempt has succeeded.
    """
    mine = [rollout for rollout in rollouts if rollout.task == task.id]
    if not mine or not steps or any(rollout.success for rollout in mine):
        return []
    calls = calls_of(max(mine, key=lambda rollout: len(rollout.steps)).steps)
    count = min(steps, max(1, len(calls)))
    lengths = sorted({number * len(calls) // count for number in range(count)})
    return [Start(task, seed, calls[:length]) for length in lengths for _ in range(tries)]


def exploration_of(task: Task, explored: Sequence[Rollout], rerolled: Sequence[Rollout]) -> TaskExploration:
    """How a task went."""
    first = [rollout for rollout in explored if rollout.task == task.id]
    again = [rollout for rollout in rerolled if rollout.task == task.id]
    successes = [sum(rollout.success for rollout in some) for some in (first, again)]
    return TaskExploration(task.id, task.grade, len(first), successes[0], len(again), successes[1])


def results_of(rollouts: Sequence[Rollout], tasks: Mapping[str, Task]) -> tuple[TaskResult, ...]:
    """One result for each greedy attempt."""
    return tuple(
        TaskResult(
            rollout.task,
            tasks[rollout.task].grade,
            tasks[rollout.task].family,
            rollout.success,
            len(rollout.steps),
            rollout.shortcut,
        )
        for rollout in rollouts
    )
