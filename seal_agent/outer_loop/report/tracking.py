"""A round's figures for TensorBoard, Weights & Biases or Trackio, through accelerate's trackers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError, MissingDependency
from seal_agent.outer_loop.archive.facts import flat
from seal_agent.outer_loop.collapse import diversity
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.selection import mean_gain

TRACKERS = ("tensorboard", "wandb", "trackio")
PROJECT = "seal-agent"


class Tracking:
    """Sends every round's figures to one tracker. A run that goes on sends its finished rounds again.

    TensorBoard's files lie in the run's folder, under tensorboard/.
    """

    def __init__(self, name: str, folder: Path, config: Mapping[str, Any]) -> None:
        """Raises InputError for an unknown name, MissingDependency where the tracker's package is not installed."""
        check_tracker(name)
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState()  # accelerate's logger, which every tracker uses, refuses to work before this
        form = LOGGER_TYPE_TO_CLASS[name]
        if form.requires_logging_directory:
            self._tracker = form(name, logging_dir=folder)
        else:
            self._tracker = form(PROJECT, name=folder.resolve().name)
        self._tracker.start()
        self._tracker.store_init_configuration(dict(flat(config)))

    def log(self, result: RoundResult) -> None:
        """One round, at the step of its number."""
        self._tracker.log(metrics(result), step=result.round)

    def close(self) -> None:
        self._tracker.finish()


def check_tracker(name: str) -> None:
    """Raises InputError for an unknown name, MissingDependency with the install line for a missing package."""
    if name not in TRACKERS:
        raise InputError(f"there is no tracker {name!r}; use {', '.join(TRACKERS)}")
    from accelerate.tracking import get_available_trackers

    if name not in [str(getattr(one, "value", one)) for one in get_available_trackers()]:
        raise MissingDependency(f"--report-to {name} needs its package: pip install {name}")


def metrics(result: RoundResult) -> dict[str, float]:
    """What is worth a curve; what a round does not have is left out."""
    gains = result.gains()
    found = {
        "reward/selecting": result.mean,
        "reward/reporting": result.reporting_mean,
        "reward/best": max(gains) if gains else None,
        "reward/context_alone": mean_gain(o for context in result.contexts for o in context.alone),
        "reward/context_alone_reporting": mean_gain(o for context in result.contexts for o in context.alone_reporting),
        "reward/advantage": result.advantage,
        "self_edits/kept": float(sum(len(context.kept) for context in result.contexts)),
        "self_edits/rejected": float(result.rejected),
        "self_edits/failed_outcomes": float(result.failed),
        "self_edits/diversity": diversity(result),
        "votes/entropy": result.vote_entropy,
        "policy/loss": result.losses[-1] if result.losses else None,
    }
    return {name: value for name, value in found.items() if value is not None}
