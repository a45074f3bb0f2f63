"""A stand-in for CUDA graphs where there is no GPU."""

from __future__ import annotations

from collections.abc import Callable


class ReplayByRunning:
    """Records by keeping the work: a replay runs it again, on what its tensors hold by then."""

    def __init__(self) -> None:
        self.recordings = self.replays = 0

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recordings += 1

        def replay() -> None:
            self.replays += 1
            work()

        return replay
