"""Lock files, which the system lets go of however their process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from seal_agent.errors import StoreError


@contextmanager
def locked(path: Path, wait: bool = True, again: bool = False) -> Iterator[None]:
    """Hold a lock file; the system lets go of it however its process ends. Raises StoreError.

    Args:
        again: Whether the thread that holds it may take it once more inside.
    """
    lock = FileLock(path, is_singleton=again)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as err:
        raise StoreError(f"{path.name} is held by another program; try again") from err
    except OSError as err:
        raise StoreError(f"the adapter store cannot be written ({err}); set SEAL_HOME to a writable folder") from err
    try:
        yield
    finally:
        lock.release()
