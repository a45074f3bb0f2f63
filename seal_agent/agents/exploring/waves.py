"""Attempts in waves: only as many side by side as an environment serves without being led again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seal_agent.agents.environments.environment import is_cheap
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed

SIDE_BY_SIDE = 8
"""Paths at once where an environment is not cheap: ExplorationConfig.environments by default, and fixed, since how many
environments are open may change no result."""

Follow = Callable[[Sequence[Start], int, Progress], list[Rollout]]
"""Follows some starts together to their ends: with a seed, and with a progress callback for ended paths."""


def in_waves(
    follow: Follow,
    worlds: Worlds,
    starts: Sequence[Start],
    *,
    paths: int = 1,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Rollout]:
    """The rollouts from some starts, in order: those of a cheap environment all at once.

    Args:
        paths: Followed from each start.
        seed: Of the first wave; the others have seeds of their own.
        progress: Called with the paths that have ended.
    """
    size = max(1, len(starts) if is_cheap(worlds.any) else SIDE_BY_SIDE // paths)
    rollouts = list[Rollout]()
    for number, first in enumerate(range(0, len(starts), size)):
        worlds.keep(())
        seed_of_wave = derived_seed(seed, "wave", number) if number else seed
        within = _within(progress, first * paths, len(starts) * paths)
        rollouts += follow(starts[first : first + size], seed_of_wave, within)
    return rollouts


def _within(progress: Progress | None, before: int, in_all: int) -> Progress:
    """Progress of a wave, reported as that of all."""

    def report(ended: int, _: int) -> None:
        if progress:
            progress(before + ended, in_all)

    return report
