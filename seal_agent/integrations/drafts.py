"""Drafts (what an agent is about to learn), their outcomes, and a thread that learns drafts in the background."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from seal_agent.errors import BudgetError, EngineError, SealError, StoreError
from seal_agent.store.queue import MAX_ATTEMPTS, Lesson, LessonQueue
from seal_agent.types import Context, Proposal, content_hash

Source = Literal["documents", "corrections"]
MAX_UNREAD_OUTCOMES = 1000  # newer outcomes replace older ones that nobody has read; not tuned
TEMPORARY = (BudgetError, EngineError, StoreError)
"""Errors after which the same draft may be learnt later."""
FIRST_RETRY, LAST_RETRY = 30.0, 1800.0  # seconds; the time to the next try doubles up to the last; not tuned

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
    def text_id(self) -> str:
        """A hash of the text alone, white space aside: the same for every adapter."""
        return content_hash([" ".join(self.context.text.split())])[:12]

    @property
    def subject(self) -> str:
        return subject_of(self.context)


@dataclass(frozen=True, slots=True)
class LearningOutcome:
    """What became of a draft: a revision with the reason for keeping it or not, or an error.

    `will_retry`: The error may pass, such as a budget that is used up. The draft is kept and tried again.
    """

    adapter: str
    source: Source
    subject: str
    revision: str | None = None
    accepted: bool = False
    reason: str = ""
    error: str = ""
    will_retry: bool = False

    @classmethod
    def failed(cls, draft: Draft, error: str | SealError) -> LearningOutcome:
        will_retry = isinstance(error, TEMPORARY)
        return cls(draft.adapter, draft.source, draft.subject, error=str(error), will_retry=will_retry)


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


@dataclass(slots=True, eq=False)
class _Waiting:
    """A lesson that waits for its turn. `due` is by the monotonic clock, `tried` is done after the first try."""

    lesson: Lesson
    due: float = 0.0
    retries: int = 0
    tried: Future[None] = field(default_factory=Future)


class BackgroundLearner:
    """Learns drafts one by one in a thread of its own; several trainings at once would only take turns.

    Drafts are in a queue on disk until they are learnt, so that they outlive the process. Outcomes, errors included,
    are kept for `wait` and for the adapter's next run. After an error that may pass, a draft stays in the queue and is
    tried again later; the first such error is told. A process that ends waits for the lesson that is being learnt, no
    longer.
    """

    def __init__(self, learn: Learn, queue: LessonQueue) -> None:
        self._learn, self._queue = learn, queue
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._running: set[Future[None]] = set()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._finished: list[LearningOutcome] = []
        self._unreported: list[LearningOutcome] = []
        atexit.register(_close, weakref.ref(self))

    def begin(self, draft: Draft) -> None:
        """Queue a draft. It is on disk when this returns."""
        self._submit(self._queue.add(draft.adapter, draft.context.text, to_json(draft)))

    def resume(self) -> None:
        """Learn what processes that have ended left in the queue."""
        for lesson in self._queue.take_over():
            self._submit(lesson)

    def close(self) -> None:
        """End after the lesson that is being learnt. Those that wait stay on disk, for the next process."""
        with self._changed:
            self._closed, thread = True, self._thread
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        for waiting in self._waiting:
            _set_done(waiting.tried)

    def wait(self, timeout: float | None = None) -> list[LearningOutcome]:
        """Wait at most `timeout` seconds until each draft begun so far was tried. Returns outcomes new since last time.

        Those that are tried again are not waited for.
        """
        with self._changed:
            running = list(self._running)
        wait(running, timeout)
        with self._changed:
            finished, self._finished = self._finished, []
        return finished

    def unreported(self, adapter: str) -> list[LearningOutcome]:
        """The adapter's outcomes that are new since this was last called."""
        with self._changed:
            outcomes = [outcome for outcome in self._unreported if outcome.adapter == adapter]
            self._unreported = [outcome for outcome in self._unreported if outcome.adapter != adapter]
        return outcomes

    def _submit(self, lesson: Lesson) -> None:
        waiting = _Waiting(lesson)
        with self._changed:
            if self._closed:
                return
            self._running = {running for running in self._running if not running.done()} | {waiting.tried}
            self._waiting.append(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="seal-adaptation", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    # ------------------------------------------------------------ the thread

    def _work(self) -> None:
        """Learn what waits, as long as something does."""
        while (waiting := self._next()) is not None:
            try:
                self._run(waiting)
            except Exception:  # the queue cannot be written, say; the next process finds the lesson there
                _LOG.exception("a queued lesson of adapter %s was given up", waiting.lesson.adapter)
            finally:
                _set_done(waiting.tried)

    def _next(self) -> _Waiting | None:
        """The first lesson that is due, when there is one; None where the thread is to end."""
        with self._changed:
            while self._waiting and not self._closed:
                now = time.monotonic()
                due = next((waiting for waiting in self._waiting if waiting.due <= now), None)
                if due is not None:
                    self._waiting.remove(due)
                    return due
                self._changed.wait(min(waiting.due for waiting in self._waiting) - now)
            self._thread = None
            return None

    def _run(self, waiting: _Waiting) -> None:
        lesson = waiting.lesson
        try:
            draft = from_json(lesson.body)
        except ValidationError:
            _LOG.exception("a queued lesson of adapter %s cannot be read", lesson.adapter)
            self._queue.remove(lesson)
            return
        outcome = self._outcome(draft, lesson)
        if outcome.error:
            _LOG.warning("adapter %s did not learn %r: %s", outcome.adapter, outcome.subject, outcome.error)
        if not (outcome.will_retry and waiting.retries):
            with self._changed:
                self._finished = [*self._finished, outcome][-MAX_UNREAD_OUTCOMES:]
                self._unreported = [*self._unreported, outcome][-MAX_UNREAD_OUTCOMES:]
        if outcome.will_retry:
            self._try_later(waiting)

    def _outcome(self, draft: Draft, lesson: Lesson) -> LearningOutcome:
        try:
            if not self._queue.begin(lesson):
                return LearningOutcome.failed(draft, "its text was forgotten before it was learnt")
            if lesson.attempts >= MAX_ATTEMPTS:
                outcome = LearningOutcome.failed(draft, f"the process ended {lesson.attempts} times while learning it")
            else:
                outcome = self._learn(draft, lesson.queued)
            (self._queue.postpone if outcome.will_retry else self._queue.remove)(lesson)
            return outcome
        except TEMPORARY as error:
            return LearningOutcome.failed(draft, error)
        except Exception as error:  # nobody would see it in this thread
            _LOG.exception("learning %r in the background failed", draft.subject)
            with suppress(Exception):
                self._queue.remove(lesson)
            return LearningOutcome.failed(draft, f"{type(error).__name__}: {error}")

    def _try_later(self, waiting: _Waiting) -> None:
        seconds = min(LAST_RETRY, FIRST_RETRY * 2**waiting.retries)
        with self._changed:
            waiting.due, waiting.retries = time.monotonic() + seconds, waiting.retries + 1
            self._waiting.append(waiting)


def _close(learner: weakref.ref[BackgroundLearner]) -> None:
    """Close a learner that is still there as the process ends."""
    if (alive := learner()) is not None:
        alive.close()


def _set_done(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)
