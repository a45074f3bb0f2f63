"""Shared by the speed benchmarks: peak FLOP/s of the machine, peak memory, timing, and summaries over rounds."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.lora.adapter import LoraAdapter, LoraPair, new_adapter
from seal_agent.lora.targets import find_targets

PEAK_REPEATS = 5


# ---------------------------------------------------------------- time


def matmul_peak(dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s of the fastest square matrix product, over two or three sizes with the best of five timings each."""
    best = 0.0
    for size in (768, 1536, 2048) if device.type == "cpu" else (4096, 8192):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        seconds = min(seconds_of(lambda a=a, b=b: a @ b, device) for _ in range(PEAK_REPEATS))  # type: ignore[misc]
        best = max(best, 2 * size**3 / seconds)
    return best


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock seconds of one call, with the device synchronized before and after."""
    _synchronize(device)
    started = time.perf_counter()
    work()
    _synchronize(device)
    return time.perf_counter() - started


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def threads() -> int:
    """Threads that torch uses within an operation."""
    return torch.get_num_threads() or os.cpu_count() or 1


# ---------------------------------------------------------------- memory


class PeakMemory:
    """Context manager that records peak memory in bytes: of the process on a CPU, of torch's allocator on a GPU.

    On Linux it resets the kernel's high-water mark on entry. Where that is not allowed, `bytes` stays None.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            release_freed_memory()
            self._was_reset = _reset_high_water_mark()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
        elif self._was_reset:
            self.bytes = _process_status_bytes("VmHWM")


def release_freed_memory() -> None:
    """Return freed memory to the system, so that one contender's peak is not the next one's floor."""
    import ctypes
    import gc

    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return


def _reset_high_water_mark() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def _process_status_bytes(field: str) -> int | None:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


# ---------------------------------------------------------------- contenders and reports


def random_adapter(base: BaseModel, config: InnerLoopConfig, seed: int) -> LoraAdapter:
    """An adapter with the rank, alpha and targets of `config` and small random factors."""
    generator = torch.Generator().manual_seed(seed)
    fresh = new_adapter(base.module, find_targets(base.module, config.targets), config.rank, config.alpha, seed)
    pairs = {
        name: LoraPair(pair.a_DR, torch.randn(pair.b_RO.shape, generator=generator) * 1e-3)
        for name, pair in fresh.pairs.items()
    }
    return replace(fresh, pairs=pairs)


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and range over the rounds."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "rounds": len(values)}


def show_progress(text: str) -> None:
    """Replace the terminal's current line; an empty text clears it."""
    print(f"\r\033[K{text}", end="", flush=True)
