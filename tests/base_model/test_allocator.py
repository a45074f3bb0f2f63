"""glibc keeps freed memory once a model is loaded, unless that is declined, until a piece of work ends."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

MIB = 1 << 20
PROBE = f"""
import ctypes
from seal_agent.base_model.heap import keep_freed_memory
keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
address = libc.malloc({64 * MIB})
heap = next(line.split()[0] for line in open("/proc/self/maps") if line.rstrip().endswith("[heap]"))
start, end = (int(part, 16) for part in heap.split("-"))
print(start <= address < end)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
@pytest.mark.parametrize(("declined", "on_heap"), [(None, True), ("0", True), ("", True), ("1", False)])
def test_large_buffers_come_from_the_heap_unless_that_is_declined(declined: str | None, on_heap: bool) -> None:
    env = {name: value for name, value in os.environ.items() if name != "SEAL_NO_MALLOC_TUNING"}
    env |= {} if declined is None else {"SEAL_NO_MALLOC_TUNING": declined}
    run = subprocess.run([sys.executable, "-c", PROBE], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(on_heap)


HELD = f"""
from seal_agent.base_model.heap import give_back, keep_freed_memory

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) * 1024

keep_freed_memory()
pieces = [bytearray({MIB}) for _ in range(400)]
for i, piece in enumerate(pieces):
    piece[:] = bytes({MIB})
    if i % 20:
        pieces[i] = None  # what stays keeps the heap from shrinking at its end
kept = resident()
give_back()
print(kept - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left alone")
def test_memory_that_lies_free_between_used_pieces_is_given_back() -> None:
    run = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    assert int(run.stdout) > 200 * MIB
