"""What torch's profiler says of some work: launches, and the share of the time in which the device was busy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from parts.measure import seconds_of

_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")


@dataclass(frozen=True, slots=True)
class Profiled:
    """One piece of work."""

    seconds: float
    """Without the profiler."""
    launches: float
    """Per unit: of kernels, graphs and copies on a GPU; of torch's operators on a CPU."""
    busy: float | None
    """Share of the seconds in which the device computed, 0..1; None on a CPU."""

    def cells(self) -> str:
        """For a table: launches and busy share."""
        return f"{self.launches:.0f} | {'—' if self.busy is None else f'{self.busy:.1%}'}"


def profiled(work: Callable[[], object], device: torch.device, units: int) -> Profiled:
    """Run the work twice, once to time it and once under the profiler; `units` are the passes or tokens of one run."""
    seconds = seconds_of(work, device)
    on_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities) as profiler:
        seconds_of(work, device)
    events = profiler.key_averages()
    if not on_cuda:
        return Profiled(seconds, sum(e.count for e in events if e.key.startswith("aten::")) / units, None)
    launches = sum(e.count for e in events if e.key.startswith(_LAUNCHES))
    microseconds = sum(e.self_device_time_total for e in events if e.device_type == DeviceType.CUDA)
    return Profiled(seconds, launches / units, microseconds / 1e6 / seconds)
