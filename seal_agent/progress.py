"""Progress callbacks for long-running work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from seal_agent.types import Stage

Progress = Callable[[int, int], None]
"""Called with (done, total), in units such as prompts answered or optimiser steps taken."""


class StageProgress(Protocol):
    """Called with the progress of each stage; `total` is in the stage's own units."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


def begin_stage(progress: StageProgress | None, name: str) -> Progress:
    """Report that a stage begins, as 0 of 1. Returns the callback for its progress."""

    def report(done: int, total: int) -> None:
        if progress:
            progress(name, done, total)

    report(0, 1)
    return report


class StageClock:
    """Times stages and passes their progress on."""

    def __init__(self, progress: StageProgress | None, earlier: tuple[Stage, ...] = ()) -> None:
        self._progress = progress
        self.stages = earlier

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Time the block as one stage. Yields the callback for its progress."""
        report = begin_stage(self._progress, name)
        started = time.perf_counter()
        yield report
        self.stages = (*self.stages, Stage(name, time.perf_counter() - started))
        report(1, 1)


def part_of(progress: StageProgress | None, number: int, count: int) -> StageProgress | None:
    """Progress of one of several equal parts, `number` from 0, reported as that of the whole."""
    if progress is None:
        return None

    def report(stage: str, done: int, total: int) -> None:
        progress(stage, number * total + done, count * total)

    return report


def shares_of(stages: Sequence[Stage], count: int) -> tuple[Stage, ...]:
    """The stages of work that was done for several at once, as the share of each."""
    return tuple(Stage(stage.name, stage.seconds / max(1, count)) for stage in stages)
