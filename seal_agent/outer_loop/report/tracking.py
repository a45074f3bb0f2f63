"""Logs a round's metrics to TensorBoard, Weights & Biases or Trackio, through accelerate's trackers."""

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
    """Logs each round to one tracker. A resumed run logs its finished rounds again.

    TensorBoard's files are in the run's folder, under tensorboard/.
    """

    def __init__(self, name: str, folder: Path, config: Mapping[str, Any]) -> None:
        """Raises InputError for an unknown name, MissingDependency if the tracker's package is not installed."""
        check_tracker(name)
        from accelerate import PartialState
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS

        PartialState()  # accelerate's logger, which every tracker uses, refuses to work before this
        tracker_class = LOGGER_TYPE_TO_CLASS[name]
        if tracker_class.requires_logging_directory:
            self._tracker = tracker_class(name, logging_dir=folder)
        else:
            self._tracker = tracker_class(PROJECT, name=folder.resolve().name)
        self._tracker.start()
        self._tracker.store_init_configuration(dict(flat(config)))

    def log(self, result: RoundResult) -> None:
        """Log a round; its number is the step."""
        self._tracker.log(metrics(result), step=result.round)

    def close(self) -> None:
        self._tracker.finish()


def check_tracker(name: str) -> None:
    """Raises InputError for an unknown name, MissingDependency with the install line for a missing package."""
    if name not in TRACKERS:
        raise InputError(f"there is no tracker {name!r}; use {', '.join(TRACKERS)}")
    from accelerate.tracking import get_available_trackers

    if name not in [str(getattr(tracker, "value", tracker)) for tracker in get_available_trackers()]:
        raise MissingDependency(f"--report-to {name} needs its package: pip install {name}")


def metrics(result: RoundResult) -> dict[str, float]:
    """A round's scalars by name, without those that it does not have."""
    gains = result.gains()
    values = {
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
        "votes/answer_diversity": result.answer_diversity,
        "votes/policy_kl": result.policy_kl,
        "policy/loss": result.losses[-1] if result.losses else None,
    }
    return {name: value for name, value in values.items() if value is not None}
