"""Losses on their way from the device: read when somebody asks, so that the host need not wait for every pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


class LossReading:
    """The losses of all slots in one pass."""

    def __init__(self, losses_K: Tensor) -> None:
        """Begin to copy them; the tensor may be overwritten by later work on the device."""
        self._values: list[float] | None = None
        on_cuda = losses_K.device.type == "cuda"
        self._host_K: Tensor | None = torch.empty(losses_K.shape, pin_memory=on_cuda)
        self._host_K.copy_(losses_K, non_blocking=True)
        self._copied = torch.cuda.Event() if on_cuda else None  # type: ignore[no-untyped-call]
        if self._copied is not None:
            self._copied.record()

    def of(self, slot: int) -> float:
        """The loss of one slot; waits until the pass has run."""
        if self._values is None:
            if self._copied is not None:
                self._copied.synchronize()
            assert self._host_K is not None
            self._values = self._host_K.tolist()
            self._host_K = self._copied = None  # pinned memory is scarce, and the next pass takes it again
        return self._values[slot]


@dataclass(frozen=True, slots=True)
class StepLoss:
    """The loss of a slot's step: the sum over the passes that it took."""

    slot: int
    readings: tuple[LossReading, ...]

    def __float__(self) -> float:
        return sum((reading.of(self.slot) for reading in self.readings), 0.0)
