"""Records device work once and replays it: on a slow host, launches cost more than the work itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch

_log = logging.getLogger(__name__)

Replay = Callable[[], None]

_recording = threading.Lock()  # torch records one graph at a time in a process, and empties no cache meanwhile


class Recorder(Protocol):
    """Turns work into something that can be replayed on the same memory."""

    def record(self, work: Callable[[], None]) -> Replay:
        """Record the work, which has run before with tensors of the same sizes. It is not executed."""
        ...


class CudaRecorder:
    """CUDA graphs that share one pool of memory: a replay reads nothing that another one left in it.

    Recorders of several threads wait for each other. A graph that does nothing stays in the pool: torch may refuse to
    record into one whose graphs are all gone (pytorch issues 189126 and 193402).
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, torch.cuda.graph_pool_handle()
        # Torch's own stream for recording is one for all threads, on the device that was first.
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._anchor: torch.cuda.CUDAGraph | None = None

    def record(self, work: Callable[[], None]) -> Replay:
        with _recording, on_device(self._device):
            if self._anchor is None:
                self._touch()  # what runs for the first time may load its kernel, which cannot be recorded
                self._anchor = self._recorded(self._touch)
            replay: Replay = self._recorded(work).replay
        return replay

    def _recorded(self, work: Callable[[], None]) -> torch.cuda.CUDAGraph:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        try:
            # Other threads may use the device meanwhile, an engine that answers for one.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                work()
        finally:
            torch.cuda.set_stream(stream)  # a capture that fails leaves its own
        return graph

    def _touch(self) -> None:
        torch.zeros(1, device=self._device)


def release_memory() -> None:
    """Give back what torch keeps for reuse. Waits for a recording in another thread, which this would break."""
    with _recording:
        torch.cuda.empty_cache()


def free_bytes(device: torch.device) -> int:
    """Bytes of a CUDA device that can still be allocated: what the system has left, and what torch keeps for reuse."""
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)


def on_device(device: torch.device) -> AbstractContextManager[object]:
    """Within the block, streams, events, graphs and kernels are those of this device."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def recorder_for(device: torch.device) -> Recorder | None:
    """A recorder for the device; None where there are no graphs."""
    return CudaRecorder(device) if device.type == "cuda" else None


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
