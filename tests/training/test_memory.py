"""Free memory is what the system has or what a container's limit leaves, whichever is less."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seal_agent.training import memory
from seal_agent.training.memory import available_bytes, cgroup_bytes, is_out_of_memory

GIB = 2**30


@pytest.mark.parametrize(
    ("error", "ran_out"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory is a band"), False),
    ],
)
def test_errors_that_mean_that_memory_ran_out(error: BaseException, ran_out: bool) -> None:
    assert is_out_of_memory(error) is ran_out


def group(folder: Path, version: int, limit: str, used: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, str(used)), strict=True):
        (folder / name).write_text(value + "\n")
    (folder / "memory.stat").write_text(f"anon {used - cached}\ninactive_file {cached}\n")


def test_the_limits_of_all_groups_above_count_and_file_cache_can_go(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("0::/pod/container\n")
    group(tmp_path / "cg", 2, "max", 0, 0)
    group(tmp_path / "cg/pod", 2, str(8 * GIB), 7 * GIB, 2 * GIB)
    group(tmp_path / "cg/pod/container", 2, str(4 * GIB), GIB, 0)
    assert sorted(cgroup_bytes(tmp_path / "cg", tmp_path / "self")) == [3 * GIB, 3 * GIB]


def test_inside_a_container_the_root_holds_the_limit_whatever_path_the_host_calls_it(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("0::/docker/4f2a\n")
    group(tmp_path / "cg", 2, str(2 * GIB), GIB, 0)
    assert list(cgroup_bytes(tmp_path / "cg", tmp_path / "self")) == [GIB]


def test_version_1_counts_too_and_none_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "self").write_text("5:cpu,cpuacct:/a\n4:memory:/a\n0::/\n")
    group(tmp_path / "cg/memory/a", 1, str(2 * GIB), 3 * GIB, 0)
    assert list(cgroup_bytes(tmp_path / "cg", tmp_path / "self")) == [0]
    assert list(cgroup_bytes(tmp_path / "cg", tmp_path / "absent")) == []


def test_the_smaller_of_system_and_container_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "cgroup_bytes", lambda mounted, own: iter([123]))
    assert available_bytes(torch.device("cpu")) == 123
    monkeypatch.setattr(memory, "cgroup_bytes", lambda mounted, own: iter([1 << 62]))
    assert 0 < available_bytes(torch.device("cpu")) < 1 << 62
