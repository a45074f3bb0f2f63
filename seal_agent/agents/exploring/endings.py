"""Attempts that were one call from success and went elsewhere: ended there, which is what an agent has to learn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

from seal_agent.agents.environments.calls import listed
from seal_agent.agents.exploring.attempts import Path, begin
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.agents.trajectories.trajectory import calls_of
from seal_agent.types import ToolCall

MOST_ENDINGS = 32  # calls of each tool that are tried at each step; not tuned


def ended_in_time(worlds: Worlds, starts: Sequence[Start], rollouts: Sequence[Rollout]) -> list[Rollout]:
    """For each failed attempt, the one that leaves it where a single call first ends the task with success.

    At each step all calls that are possible there are tried, without those of free text; no model is asked. None comes
    of an attempt that was never so near, or of an environment that does not tell what is possible.
    """
    tasks = {start.task.id: start.task for start in starts}
    known = {_identity(rollout) for rollout in rollouts}
    found = dict[object, Rollout]()
    for rollout in rollouts:
        ended = None if rollout.success else _ended(worlds, Start(tasks[rollout.task], rollout.seed), rollout)
        worlds.keep(())
        if ended and _identity(ended) not in known:
            found.setdefault(_identity(ended), ended)
    return list(found.values())


def _ended(worlds: Worlds, start: Start, rollout: Rollout) -> Rollout | None:
    paths = accumulate(rollout.steps, lambda path, step: path.taken(worlds, step.call), initial=begin(worlds, start))
    endings = (ending.rollout() for path in paths if not path.seen.done for ending in _endings(worlds, path))
    return next((ending for ending in endings if ending.success), None)


def _endings(worlds: Worlds, path: Path) -> Iterator[Path]:
    calls = listed(path.seen.calls, MOST_ENDINGS)
    for call in sorted(calls, key=lambda call: call.arguments != "{}"):  # `finish` says nothing but that it is over
        yield path.taken(worlds, call)


def _identity(rollout: Rollout) -> tuple[str, tuple[ToolCall, ...]]:
    return rollout.task, calls_of(rollout.steps)
