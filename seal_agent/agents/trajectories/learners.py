"""One learner of an adapter's trajectories at a time: what waits is read, learnt and marked before another reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seal_agent.store.ledger import Ledger
from seal_agent.store.locks import locked


@contextmanager
def only_learner(ledger: Ledger, adapter: str) -> Iterator[None]:
    """Keep others from learning trajectories of an adapter, in all threads and processes that share the ledger's home.

    The same thread may ask again inside. Other trainings of the adapter go on. Raises StoreError.

    Args:
        adapter: Its name in the whole store.
    """
    with locked(ledger.path.parent / "locks" / "learning" / f"{adapter}.lock", again=True):
        yield
