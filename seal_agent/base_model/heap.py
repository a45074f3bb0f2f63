"""What glibc does with memory that this process has freed: kept while work goes on, given back when a piece of it ends.

Each return to the system costs page faults at the next allocation of the same size, so work is faster without. But keys
and values grow with every token, and what one batch frees seldom fits the next: a process that never gave anything back
came to hold 8.5 GB for the bundled model, most of it free.
"""

from __future__ import annotations

import ctypes
import os
import platform

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


_keeps = False  # whether this process has been told to


def keep_freed_memory() -> None:
    """Ask glibc to reuse freed buffers instead of handing them back to the system after every tensor operation.

    SEAL_NO_MALLOC_TUNING=1 leaves the allocator alone; so does any C library but glibc.
    """
    global _keeps
    if os.environ.get("SEAL_NO_MALLOC_TUNING", "0") in ("", "0") and platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        _keeps = True


def give_back() -> None:
    """Give free pages back to the system, where `keep_freed_memory` keeps them. A few milliseconds."""
    if _keeps:
        ctypes.CDLL(None).malloc_trim(0)
