"""One learner of an adapter's trajectories at a time: what waits is read, learnt and marked before another reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock

from seal_agent.errors import StoreError
from seal_agent.store.ledger import Ledger


@contextmanager
def only_learner(ledger: Ledger, adapter: str) -> Iterator[None]:
    """Keep others from learning trajectories of an adapter, in all threads and processes that share the ledger's home.

    The same thread may ask again inside. Other trainings of the adapter go on. Raises StoreError.

    Args:
        adapter: Its name in the whole store.
    """
    path = ledger.path.parent / "locks" / "learning" / f"{adapter}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, is_singleton=True)
        lock.acquire()
    except OSError as err:
        raise StoreError(f"the adapter store cannot be written ({err}); set SEAL_HOME to a writable folder") from err
    try:
        yield
    finally:
        lock.release()
