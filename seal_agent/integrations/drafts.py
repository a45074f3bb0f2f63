"""Drafts (what an agent is about to learn), their outcomes, and a thread that learns drafts in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from seal_agent.store.queue import MAX_ATTEMPTS, Lesson, LessonQueue
from seal_agent.types import Context, Proposal, content_hash

Source = Literal["documents", "corrections"]
MAX_UNREAD_OUTCOMES = 1000  # newer outcomes replace older ones that nobody has read; not tuned

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Draft:
    """Something to learn. `proposal` holds the notes; without approval they may be written later."""

    adapter: str
    source: Source
    context: Context
    proposal: Proposal | None = None

    @property
    def id(self) -> str:
        """A hash of adapter, title and text; the notes do not change it."""
        return content_hash([self.adapter, self.context.title, self.context.text])[:12]

    @property
    def subject(self) -> str:
        return subject_of(self.context)


@dataclass(frozen=True, slots=True)
class LearningOutcome:
    """What became of a draft: a revision with the reason for keeping it or not, or an error."""

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
    """A draft as JSON text, which any checkpointer can store. `from_json` restores it unchanged."""
    return _DRAFT.dump_json(draft).decode()


def from_json(text: str) -> Draft:
    """The draft that `to_json` wrote."""
    return _DRAFT.validate_json(text)


def subject_of(context: Context) -> str:
    """A short label for a context: its title, else its first 60 characters."""
    flat = " ".join(context.text.split())
    return context.title or (flat if len(flat) <= 60 else flat[:59] + "…")


Learn = Callable[[Draft, str | None], LearningOutcome]
"""Learns a draft. The text is the time since when it may have been learnt already, by a process that ended then."""


class BackgroundLearner:
    """Learns drafts one by one in a thread of its own; several trainings at once would only take turns.

    Drafts are in a queue on disk until they are learnt, so that they outlive the process. Outcomes, errors included,
    are kept for `wait` and for the adapter's next run.
    """

    def __init__(self, learn: Learn, queue: LessonQueue) -> None:
        self._learn, self._queue = learn, queue
        self._pool = ThreadPoolExecutor(1, "seal-adaptation")
        self._lock = threading.Lock()
        self._running: set[Future[None]] = set()
        self._finished: list[LearningOutcome] = []
        self._unreported: list[LearningOutcome] = []

    def begin(self, draft: Draft) -> None:
        """Queue a draft. It is on disk when this returns."""
        self._submit(self._queue.add(draft.adapter, draft.context.text, to_json(draft)))

    def resume(self) -> None:
        """Learn what processes that have ended left in the queue."""
        for lesson in self._queue.take_over():
            self._submit(lesson)

    def _submit(self, lesson: Lesson) -> None:
        future = self._pool.submit(self._run, lesson)
        with self._lock:
            self._running = {running for running in self._running if not running.done()} | {future}

    def wait(self, timeout: float | None = None) -> list[LearningOutcome]:
        """Wait at most `timeout` seconds for all drafts begun so far. Returns outcomes that are new since last time."""
        with self._lock:
            running = list(self._running)
        wait(running, timeout)
        with self._lock:
            finished, self._finished = self._finished, []
        return finished

    def unreported(self, adapter: str) -> list[LearningOutcome]:
        """The adapter's outcomes that are new since this was last called."""
        with self._lock:
            outcomes = [outcome for outcome in self._unreported if outcome.adapter == adapter]
            self._unreported = [outcome for outcome in self._unreported if outcome.adapter != adapter]
        return outcomes

    def _run(self, lesson: Lesson) -> None:
        try:
            draft = from_json(lesson.body)
        except ValidationError:
            _LOG.exception("a queued lesson of adapter %s cannot be read", lesson.adapter)
            self._queue.remove(lesson)
            return
        outcome = self._outcome(draft, lesson)
        if outcome.error:
            _LOG.warning("adapter %s did not learn %r: %s", outcome.adapter, outcome.subject, outcome.error)
        with self._lock:
            self._finished = [*self._finished, outcome][-MAX_UNREAD_OUTCOMES:]
            self._unreported = [*self._unreported, outcome][-MAX_UNREAD_OUTCOMES:]

    def _outcome(self, draft: Draft, lesson: Lesson) -> LearningOutcome:
        try:
            if not self._queue.begin(lesson):
                return LearningOutcome.failed(draft, "its text was forgotten before it was learnt")
            if lesson.attempts >= MAX_ATTEMPTS:
                outcome = LearningOutcome.failed(draft, f"the process ended {lesson.attempts} times while learning it")
            else:
                outcome = self._learn(draft, lesson.queued)
            self._queue.remove(lesson)
            return outcome
        except Exception as error:  # nobody would see it in this thread
            _LOG.exception("learning %r in the background failed", draft.subject)
            with suppress(Exception):  # a full disk, say
                self._queue.remove(lesson)
            return LearningOutcome.failed(draft, f"{type(error).__name__}: {error}")
