"""How much memory is free, and which errors mean that it ran out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from seal_agent.base_model.graphs import free_bytes

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""What the messages hold of torch's CPU allocators, of CUDA outside torch's allocator, and of cuBLAS."""


def available_bytes(device: torch.device) -> int:
    """Bytes that can still be allocated on a device; 1 GiB if the system does not say.

    On the processor that is what the system has left or what a container's memory limit leaves, whichever is less.
    """
    if device.type == "cuda":
        return free_bytes(device)
    return min([_system_bytes(), *cgroup_bytes(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))])


def cgroup_bytes(mounted: Path, own: Path) -> Iterator[int]:
    """What each memory limit above this process leaves, in version 2 and 1 of Linux's control groups."""
    try:
        lines = own.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = mounted / "memory" if controllers else mounted
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else ("memory.max", "memory.current")
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder != root and root not in folder.parents:
                break  # in a container the path may be that of the host: the root is then the container's own
            if (left := _bytes_left(folder, *names)) is not None:
                yield left


def _bytes_left(folder: Path, limit: str, usage: str) -> int | None:
    """The limit less the usage without file cache that can be dropped; None where there is no limit."""
    try:
        used, cached = int((folder / usage).read_text()), 0
        for line in (folder / "memory.stat").read_text().splitlines():
            if line.startswith(("inactive_file ", "total_inactive_file ")):
                cached = int(line.split()[1])
        return max(0, int((folder / limit).read_text()) - used + cached)
    except (OSError, ValueError):  # "max" is no number
        return None


def _system_bytes() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):
        return 1 << 30


def is_out_of_memory(error: BaseException) -> bool:
    """True for CUDA's errors and cuBLAS's, Python's, and those of torch's CPU allocators."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
