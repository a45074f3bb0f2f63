"""Adapters in memory, by revision: those used last, up to a number of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seal_agent.lora.adapter import LoraAdapter

MAX_LOADED_BYTES = 1 << 30
"""Default limit: some 25 of the default recipe's adapters for the bundled model. Not tuned."""


class LoadedAdapters(MutableMapping[str, "LoraAdapter"]):
    """A thread-safe mapping from revisions to weights that drops what was used longest ago.

    Args:
        max_bytes: Limit of what all weights together take. The adapter used last stays, whatever its size: one larger
            than the limit should not be read from disk for every question.
    """

    def __init__(self, max_bytes: int = MAX_LOADED_BYTES) -> None:
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._adapters: OrderedDict[str, LoraAdapter] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """What the weights take now."""
        return self._bytes

    def __getitem__(self, revision: str) -> LoraAdapter:
        with self._lock:
            self._adapters.move_to_end(revision)
            return self._adapters[revision]

    def __setitem__(self, revision: str, adapter: LoraAdapter) -> None:
        with self._lock:
            self._put(revision, adapter)

    def setdefault(self, revision: str, adapter: LoraAdapter) -> LoraAdapter:
        """The weights in memory, or else these. Threads that call it at once get the same object."""
        with self._lock:
            self._put(revision, self._adapters.get(revision, adapter))
            return self._adapters[revision]

    def __delitem__(self, revision: str) -> None:
        with self._lock:
            if not self._remove(revision):
                raise KeyError(revision)

    def drop(self, revisions: Iterable[str]) -> None:
        """Drop those of the revisions that are in memory."""
        with self._lock:
            for revision in revisions:
                self._remove(revision)

    def __iter__(self) -> Iterator[str]:
        """The revisions, that used longest ago first; a snapshot."""
        with self._lock:
            return iter(list(self._adapters))

    def __len__(self) -> int:
        return len(self._adapters)

    def _put(self, revision: str, adapter: LoraAdapter) -> None:
        self._remove(revision)
        self._adapters[revision] = adapter
        self._bytes += _bytes_of(adapter)
        while self._bytes > self.max_bytes and len(self._adapters) > 1:
            self._remove(next(iter(self._adapters)))

    def _remove(self, revision: str) -> bool:
        adapter = self._adapters.pop(revision, None)
        self._bytes -= _bytes_of(adapter) if adapter else 0
        return adapter is not None


def _bytes_of(adapter: LoraAdapter) -> int:
    return sum(pair.a_DR.nbytes + pair.b_RO.nbytes for pair in adapter.pairs.values())
