"""How long-running work tells its caller how far it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from seal_agent.types import Stage

Progress = Callable[[int, int], None]
"""Called with the units done and the units in all: prompts answered, optimiser steps taken."""


class StageProgress(Protocol):
    """Told how far each stage is; `total` is in the stage's own units."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


class StageClock:
    """Times stages and passes their progress on."""

    def __init__(self, progress: StageProgress | None, earlier: tuple[Stage, ...] = ()) -> None:
        self._progress = progress
        self.stages = earlier

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        def tell(done: int, total: int) -> None:
            if self._progress:
                self._progress(name, done, total)

        tell(0, 1)
        started = time.perf_counter()
        yield tell
        self.stages = (*self.stages, Stage(name, time.perf_counter() - started))
        tell(1, 1)
