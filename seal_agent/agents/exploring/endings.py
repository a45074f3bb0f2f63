"""Attempts that stood at their goal and went on: ended there, which is what an agent has to learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seal_agent.agents.environments.calls import listed
from seal_agent.agents.exploring.attempts import Path, begin
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.agents.trajectories.trajectory import calls_of
from seal_agent.generation.answer_form.form import Tool
from seal_agent.types import ToolCall

MOST_ENDINGS = 32  # calls that are tried at a goal; not tuned


def ended_at_goal(worlds: Worlds, starts: Sequence[Start], rollouts: Sequence[Rollout]) -> list[Rollout]:
    """For each failed attempt, the one that leaves it where its goal was reached first and ends the task by one call.

    The calls that are possible there are tried one by one, those without arguments first; no model is asked. None comes
    of an attempt that never stood at its goal, or of an environment that does not tell what is possible.
    """
    tasks = {start.task.id: start.task for start in starts}
    found = dict[object, Rollout]()
    for rollout in rollouts:
        if not rollout.success and (path := _ended(worlds, Start(tasks[rollout.task], rollout.seed), rollout)):
            found.setdefault((rollout.task, calls_of(path.steps)), path.rollout())
        worlds.keep(())
    known = {(rollout.task, calls_of(rollout.steps)) for rollout in rollouts}
    return [rollout for key, rollout in found.items() if key not in known]


def _ended(worlds: Worlds, start: Start, rollout: Rollout) -> Path | None:
    path = begin(worlds, start)
    for step in rollout.steps:
        path = path.taken(worlds, step.call)
        if path.seen.success and not path.seen.done:
            ended = (path.taken(worlds, call) for call in _endings(path.seen.calls))
            return next((each for each in ended if each.seen.done and each.seen.success), None)
    return None


def _endings(tools: Sequence[Tool]) -> Iterator[ToolCall]:
    calls = sorted(listed(tools, MOST_ENDINGS), key=lambda call: call.arguments != "{}")
    yield from calls[:MOST_ENDINGS]
