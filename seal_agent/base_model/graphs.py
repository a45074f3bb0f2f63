"""Records device work once and replays it: on a slow host, launches cost more than the work itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch

_log = logging.getLogger(__name__)

Replay = Callable[[], None]


class Recorder(Protocol):
    """Turns work into something that can be replayed on the same memory."""

    def record(self, work: Callable[[], None]) -> Replay:
        """Record the work, which has run before with tensors of the same sizes. It is not executed."""
        ...


class CudaRecorder:
    """CUDA graphs that share one pool of memory: a replay reads nothing that another one left in it."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], None]) -> Replay:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Other threads may use the device meanwhile, an engine that answers for one.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                work()
        finally:
            torch.cuda.set_stream(stream)  # a capture that fails leaves its own
        replay: Replay = graph.replay
        return replay


def free_bytes(device: torch.device) -> int:
    """Bytes of a CUDA device that can still be allocated: what the system has left, and what torch keeps for reuse."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Within the block, streams, events, graphs and kernels are those of this device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def recorder_for(device: torch.device) -> Recorder | None:
    """A recorder for the device; None where there are no graphs."""
    return CudaRecorder() if device.type == "cuda" else None


class Recordings:
    """Records work of one kind; after a failure, which is named once, nothing more of it."""

    def __init__(self, recorder: Recorder | None, what: str) -> None:
        self._recorder, self._what = recorder, what

    def of(self, work: Callable[[], None]) -> Replay | None:
        """A replay of the work; None where nothing can be recorded."""
        if self._recorder is None:
            return None
        replay = recorded(self._recorder, work, self._what)
        if replay is None:
            self._recorder = None
        return replay


def recorded(recorder: Recorder, work: Callable[[], None], what: str) -> Replay | None:
    """A replay of the work; None, with a line of warning, where it cannot be recorded."""
    try:
        return recorder.record(work)
    except (RuntimeError, NotImplementedError) as err:  # whatever the model does that a graph cannot hold
        _log.warning("%s runs without a CUDA graph (%s)", what, str(err).strip().split("\n")[0])
        return None
