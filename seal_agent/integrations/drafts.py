"""What an agent is about to learn, what became of it, and the thread that learns while the agent goes on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from seal_agent.types import Context, Proposal, content_hash

Source = Literal["documents", "corrections"]
KEPT_RESULTS = 1000  # our choice: the newest that nobody has asked for yet

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """Something to learn. The notes come later where nobody has to approve of them."""

    adapter: str
    source: Source
    context: Context
    proposal: Proposal | None = None

    @property
    def id(self) -> str:
        """The same for the same text and title, with notes or without."""
        return content_hash([self.adapter, self.context.title, self.context.text])[:12]

    @property
    def subject(self) -> str:
        return subject_of(self.context)


@dataclass(frozen=True, slots=True)
class LearningOutcome:
    """What became of a draft: a revision, kept or not and why, or an error."""

    adapter: str
    source: Source
    subject: str
    revision: str | None = None
    accepted: bool = False
    reason: str = ""
    error: str = ""

    @classmethod
    def failed(cls, draft: Draft, error: str) -> LearningOutcome:
        return cls(draft.adapter, draft.source, draft.subject, error=error)


_DRAFT: TypeAdapter[Draft] = TypeAdapter(Draft)


def to_json(draft: Draft) -> str:
    """A draft as JSON text, which any checkpointer keeps; from_json gives it back unchanged."""
    return _DRAFT.dump_json(draft).decode()


def from_json(text: str) -> Draft:
    """The draft that to_json wrote."""
    return _DRAFT.validate_json(text)


def subject_of(context: Context) -> str:
    """What a person may call a text by: its title, else how it begins."""
    flat = " ".join(context.text.split())
    return context.title or (flat if len(flat) <= 60 else flat[:59] + "…")


class Background:
    """Learns drafts one by one in a thread of its own: trainings at once would only take turns.

    Results, errors among them, are kept for whoever waits and for the next run of the same adapter.
    """

    def __init__(self, learn: Callable[[Draft], LearningOutcome]) -> None:
        self._learn = learn
        self._pool = ThreadPoolExecutor(1, "seal-adaptation")
        self._lock = threading.Lock()
        self._running: set[Future[None]] = set()
        self._finished: list[LearningOutcome] = []
        self._unreported: list[LearningOutcome] = []

    def begin(self, draft: Draft) -> None:
        future = self._pool.submit(self._run, draft)
        with self._lock:
            self._running = {one for one in self._running if not one.done()} | {future}

    def wait(self, timeout: float | None = None) -> list[LearningOutcome]:
        """Wait for what was begun, at most so many seconds; returns what has finished since the last time."""
        with self._lock:
            running = list(self._running)
        wait(running, timeout)
        with self._lock:
            finished, self._finished = self._finished, []
        return finished

    def unreported(self, adapter: str) -> list[LearningOutcome]:
        """What has finished of one adapter since this was last asked."""
        with self._lock:
            mine = [one for one in self._unreported if one.adapter == adapter]
            self._unreported = [one for one in self._unreported if one.adapter != adapter]
        return mine

    def _run(self, draft: Draft) -> None:
        try:
            result = self._learn(draft)
        except Exception as error:  # nobody would see it here
            _LOG.exception("learning %r in the background failed", draft.subject)
            result = LearningOutcome.failed(draft, f"{type(error).__name__}: {error}")
        if result.error:
            _LOG.warning("adapter %s did not learn %r: %s", result.adapter, result.subject, result.error)
        with self._lock:
            self._finished = [*self._finished, result][-KEPT_RESULTS:]
            self._unreported = [*self._unreported, result][-KEPT_RESULTS:]
