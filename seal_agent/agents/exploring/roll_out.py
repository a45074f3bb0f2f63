"""Rolling out: attempts at many tasks side by side, one call each at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from seal_agent.agents.exploring.actor import Actor
from seal_agent.agents.exploring.attempts import Path, begin, stuck
from seal_agent.agents.exploring.waves import in_waves
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.types import ToolCall


def roll_out(
    actor: Actor,
    worlds: Worlds,
    starts: Sequence[Start],
    *,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Rollout]:
    """An attempt from each start, in order, in waves.

    Args:
        temperature: 0 for the likeliest calls.
        progress: Called with the attempts that have ended.
    """
    follow = partial(_together, actor, worlds, temperature)
    return in_waves(follow, worlds, starts, seed=seed, progress=progress)


def _together(
    actor: Actor, worlds: Worlds, temperature: float, starts: Sequence[Start], seed: int, progress: Progress
) -> list[Rollout]:
    """An attempt from each start, side by side."""
    bounds = worlds.any.max_steps, actor.config.repeats
    paths = [begin(worlds, start) for start in starts]
    turn = 0
    while going := [i for i, path in enumerate(paths) if not path.ended(*bounds)]:
        worlds.keep(paths[i].here for i in going)
        choices = actor.act([paths[i].view for i in going], temperature, derived_seed(seed, "step", turn))
        for i, calls in zip(going, choices, strict=True):
            paths[i] = _next(paths[i], worlds, calls)
        turn += 1
        progress(sum(path.ended(*bounds) for path in paths), len(paths))
    return [path.rollout() for path in paths]


def _next(path: Path, worlds: Worlds, calls: Sequence[ToolCall]) -> Path:
    return path.taken(worlds, calls[0]) if calls else stuck(path)
