"""Calls without effect, left out of what succeeded: so they are not learnt, and what follows is seen without them."""

from __future__ import annotations

from dataclasses import replace

from seal_agent.agents.environments.environment import Task
from seal_agent.agents.exploring.attempts import Path, begin
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.agents.trajectories.trajectory import Step, calls_of


def pruned(worlds: Worlds, task: Task, rollout: Rollout) -> Rollout:
    """A success without its calls that had no effect, as the environment shows it when the others are replayed.

    Left out is a call that was refused, or after which the same is seen as before it, where all that is seen later
    stays the same without it. A call that showed something new stays: what it showed may have led the agent.
    """
    number = 0
    while number < len(rollout.steps) - 1:
        if _is_idle(rollout.steps, number):
            steps = (*rollout.steps[:number], *rollout.steps[number + 1 :])
            path = begin(worlds, Start(task, rollout.seed, calls_of(steps)))
            worlds.keep(())
            if _ends_alike(path, rollout, number):
                given = rollout.given - (number < rollout.given)
                rollout = replace(rollout, steps=path.steps, given=given)
                continue
        number += 1
    return rollout


def _is_idle(steps: tuple[Step, ...], number: int) -> bool:
    return steps[number].failed or steps[number].observation == steps[number + 1].observation


def _ends_alike(path: Path, rollout: Rollout, number: int) -> bool:
    """Whether a replay without one step succeeds, and shows the same after the next step and later."""
    replayed = [*(step.observation for step in path.steps), path.seen.text]
    before = [*(step.observation for step in rollout.steps), rollout.result]
    return path.seen.done and path.seen.success and replayed[number + 1 :] == before[number + 2 :]
