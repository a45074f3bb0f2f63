"""What the speed benchmarks share: the machine's peak, memory, and figures over rounds."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

ROUNDS_OF_PEAK = 5


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of the fastest of three square matrix products, best of five timings each."""
    best = 0.0
    for size in (768, 1536, 2048) if device.type == "cpu" else (4096, 8192):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        seconds = min(seconds_of(lambda a=a, b=b: a @ b, device) for _ in range(ROUNDS_OF_PEAK))  # type: ignore[misc]
        best = max(best, 2 * size**3 / seconds)
    return best


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one call, waiting for the device before and after."""
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class PeakMemory:
    """Most memory in use inside the block, in bytes: of the process, or of the GPU's allocator.

    On Linux the kernel's high-water mark is reset at the start; where that is not allowed, `bytes` is None.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            release_freed()
            self._may = _reset_high_water()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
        elif self._may:
            self.bytes = _status("VmHWM")


def release_freed() -> None:
    """Hand freed memory back to the system, so that one contender's peak is not the next one's floor."""
    import ctypes
    import gc

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return


def _reset_high_water() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _status(field: str) -> int | None:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and range over the rounds."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": len(values)}


def threads() -> int:
    return torch.get_num_threads() or os.cpu_count() or 1
