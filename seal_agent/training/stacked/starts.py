"""Adapters that training starts from, drawn ahead of time by other threads and packed for one transfer.

An adapter of a large model takes a core half a second to draw and to copy, which is what a GPU trains a step in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.training.job_run import JobRun

AHEAD = 4  # adapters that are drawn before they are needed, one thread each; not tuned


@dataclass(frozen=True, slots=True)
class PackedStart:
    """An adapter, and its numbers side by side."""

    adapter: LoraAdapter
    flat: Tensor
    """A of every layer in the order of `adapter.pairs`, then B of every layer; without B where all of it is zero."""
    fresh: bool
    """Whether B is zero."""


def pack(adapter: LoraAdapter, fresh: bool, pinned: bool) -> PackedStart:
    """Pack an adapter; into pinned memory, which a GPU reads by itself, where that is asked for."""
    parts = [pair.a_DR for pair in adapter.pairs.values()]
    parts += [] if fresh else [pair.b_RO for pair in adapter.pairs.values()]
    flat = torch.empty(sum(part.numel() for part in parts), pin_memory=pinned)
    return PackedStart(adapter, torch.cat([part.float().reshape(-1) for part in parts], out=flat), fresh)


class Starts:
    """The starts of a queue of jobs, in its order."""

    def __init__(self, base: BaseModel, runs: Sequence[JobRun]) -> None:
        self._base, self._queue = base, deque(runs)
        self._executor = ThreadPoolExecutor(AHEAD, thread_name_prefix="seal-starts")
        self._drawn: deque[tuple[JobRun, Future[PackedStart]]] = deque()
        self._draw_ahead()

    def take(self, run: JobRun) -> PackedStart:
        """The start of the next job of the queue, which is `run`."""
        known, future = self._drawn.popleft()
        assert known is run, "jobs are taken in the order of the queue"
        start = future.result()
        self._draw_ahead()
        return start

    def close(self) -> None:
        """Draw no more."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _draw_ahead(self) -> None:
        while self._queue and len(self._drawn) < AHEAD:
            run = self._queue.popleft()
            self._drawn.append((run, self._executor.submit(self._draw, run)))

    def _draw(self, run: JobRun) -> PackedStart:
        pinned = self._base.device.type == "cuda"
        return pack(run.start(self._base), fresh=run.job.start is None, pinned=pinned)
