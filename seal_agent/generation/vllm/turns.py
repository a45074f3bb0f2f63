"""Who may ask a server now: rows without an adapter and rows with one take turns."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets calls of one kind at a time through, many at once, in the order in which they came.

    See `apart` for the reason. A thread that has a turn waits for no other: while it reads a stream, it may ask.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()
        self._inside: Counter[bool] = Counter()
        self._threads: Counter[int] = Counter()

    @contextmanager
    def of(self, with_adapter: bool) -> Iterator[None]:
        """A turn for rows of this kind, for as long as the block runs."""
        thread = threading.get_ident()
        with self._changed:
            if not self._threads[thread]:
                self._wait(with_adapter)
            self._inside[with_adapter] += 1
            self._threads[thread] += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside[with_adapter] -= 1
                self._threads -= Counter((thread,))  # which forgets those that have none left
                self._changed.notify_all()

    def _wait(self, with_adapter: bool) -> None:
        place = object()
        self._waiting.append(place)
        try:
            self._changed.wait_for(lambda: self._waiting[0] is place and not self._inside[not with_adapter])
        finally:
            self._waiting.remove(place)
            self._changed.notify_all()
