"""Adaptations beside serving: one at a time, in a thread of their own, which can be watched, approved and cancelled."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from filelock import FileLock, Timeout

from seal_agent.config import InnerLoopConfig, SelfEditConfig, ServerConfig
from seal_agent.errors import InputError, SealError, StoreError
from seal_agent.integrations.server.errors import ApiError
from seal_agent.integrations.server.journal import ENDED, JobRecord, Journal, now, summary_of
from seal_agent.integrations.server.metrics import Metrics
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.names import check_name
from seal_agent.types import Context, Revision

_log = logging.getLogger(__name__)


class Cancelled(SealError):
    """Somebody ended a job; nothing was changed."""


@dataclass(slots=True, eq=False)
class _Job:
    record: JobRecord
    work: Callable[[_Job], Revision | None]
    stop: str = ""
    """Why it is to end, "" while it may go on."""
    candidate: Revision | None = None
    answered: threading.Event = field(default_factory=threading.Event)
    approved: bool = False
    version: int = 0

    def progress(self, stage: str, done: int, total: int) -> None:
        """Implements StageProgress. Raises Cancelled."""
        if self.stop:
            raise Cancelled(self.stop)
        self.update(stage=stage, done=done, total=total)

    def update(self, **changes: Any) -> None:
        self.record, self.version = replace(self.record, **changes), self.version + 1


class Jobs:
    """The jobs of one store, and the thread that does them.

    Args:
        self_edit, inner_loop: How texts are learnt; default: the default recipe's.
    """

    def __init__(
        self,
        seal: SelfAdaptingModel,
        config: ServerConfig,
        metrics: Metrics,
        reserved: str,
        self_edit: SelfEditConfig | None = None,
        inner_loop: InnerLoopConfig | None = None,
    ) -> None:
        self._seal, self._config, self._metrics, self._reserved = seal, config, metrics, reserved
        self._self_edit, self._inner_loop = self_edit, inner_loop
        self._journal = Journal(seal.home, config.kept_jobs)
        self._lock_file = _only_server(seal)
        self._jobs = {record.id: _Job(record, _nothing) for record in self._journal.recover(seal.ledger)}
        self._waiting: deque[_Job] = deque()
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="seal-jobs", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ what clients do

    def adapt(self, adapter: str, context: Context, *, ask: bool) -> JobRecord:
        """Let an adapter learn a text. Raises ApiError, InputError."""
        if check_name(adapter) == self._reserved:
            raise InputError(f"{adapter!r} is the base model's name; choose another")

        def work(job: _Job) -> Revision:
            return self._seal.adapt(
                context,
                adapter=adapter,
                self_edit=self._self_edit,
                inner_loop=self._inner_loop,
                approve=(lambda candidate: self._asked(job, candidate)) if ask else None,
                metadata={"job": job.record.id},
                progress=job.progress,
            )

        return self._add(_Job(JobRecord(uuid.uuid4().hex, "adapt", adapter, now()), work))

    def forget(self, adapter: str, revision: str) -> JobRecord:
        """Erase a revision. Raises ApiError, AdapterError."""
        recorded = self._seal.ledger.get(revision)
        if recorded.adapter != adapter:
            raise ApiError(404, f"adapter {adapter!r} has no revision {revision!r}", code="not_found")

        def work(job: _Job) -> Revision | None:
            self._seal.forget(revision, adapter=adapter, progress=job.progress)
            return None

        record = JobRecord(uuid.uuid4().hex, "forget", adapter, now(), revision=revision)
        return self._add(_Job(record, work))

    def of(self, adapter: str) -> list[JobRecord]:
        """The jobs of an adapter, oldest first."""
        return [job.record for job in list(self._jobs.values()) if job.record.adapter == adapter]

    def get(self, adapter: str, id_: str) -> tuple[JobRecord, int, Revision | None]:
        """A job, the number of changes it has seen, and the revision that waits for approval. Raises ApiError."""
        job = self._job(adapter, id_)
        return job.record, job.version, job.candidate

    def cancel(self, adapter: str, id_: str) -> JobRecord:
        """End a job at its next step. One that has ended stays as it is. Raises ApiError."""
        job = self._job(adapter, id_)
        self._stop(job, "it was cancelled; nothing was changed")
        return job.record

    def approve(self, adapter: str, id_: str, approved: bool) -> JobRecord:
        """Answer a job that asks. Raises ApiError for one that does not."""
        job = self._job(adapter, id_)
        if job.record.state != "asking":
            raise ApiError(409, f"job {id_} does not wait for approval; it is {job.record.state}")
        job.approved = approved
        job.answered.set()
        return job.record

    def waiting(self) -> int:
        return len(self._waiting)

    def close(self) -> None:
        """Interrupt what runs, give up what waits, and end. Nothing of it is half done."""
        with self._changed:
            self._closed = True
            for job in self._jobs.values():
                if not job.record.has_ended:
                    job.stop = job.stop or "the server was stopped; nothing was changed: ask again"
                    job.answered.set()
            self._changed.notify()
        self._thread.join(timeout=self._config.drain_seconds)
        self._lock_file.release()

    def _job(self, adapter: str, id_: str) -> _Job:
        job = self._jobs.get(id_)
        if job is None or job.record.adapter != adapter:
            raise ApiError(404, f"adapter {adapter!r:.70} has no job {id_!r:.40}", code="not_found")
        return job

    def _add(self, job: _Job) -> JobRecord:
        with self._changed:
            if self._closed:
                raise ApiError(503, "the server is about to end; try again", retry_after=self._config.retry_after)
            if len(self._waiting) >= self._config.max_jobs:
                raise ApiError(429, f"{len(self._waiting)} jobs wait; try again", code="queue_full", retry_after=30)
            self._journal.write(job.record)
            self._jobs[job.record.id] = job
            self._waiting.append(job)
            self._changed.notify()
        return job.record

    def _stop(self, job: _Job, why: str) -> None:
        with self._changed:
            job.stop = job.stop or why
            job.answered.set()
            if job in self._waiting:
                self._waiting.remove(job)
                self._end(job, state="cancelled", detail=why)

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._closed):
                    self._changed.wait()
                if self._closed:
                    break
                job = self._waiting.popleft()
            self._do(job)
        for job in self._waiting:
            self._end(job, state="interrupted", detail=job.stop)

    def _do(self, job: _Job) -> None:
        job.update(state="running")
        try:
            self._journal.write(job.record)
            revision = job.work(job)
        except Cancelled as stopped:
            self._end(job, state="interrupted" if self._closed else "cancelled", detail=str(stopped))
        except InputError as err:
            self._end(job, "the text cannot be learnt", state="failed", detail=str(err))  # the error may quote it
        except SealError as err:
            self._end(job, state="failed", detail=str(err))
        except Exception:
            _log.exception("a job failed")
            self._end(job, state="failed", detail="it failed, and nothing was changed; the server's log says why")
        else:
            changes = {"revision": revision.id, "status": revision.status} if revision else {}
            self._end(job, state="finished", detail=summary_of(revision) if revision else "forgotten", **changes)

    def _end(self, job: _Job, written: str | None = None, **changes: Any) -> None:
        """End a job, and let go of its text. `written` is what the journal says in place of the detail."""
        assert changes["state"] in ENDED
        job.candidate, job.work = None, _nothing
        job.update(ended=now(), **changes)
        self._metrics.job_ended(job.record.kind, job.record.state)
        try:
            self._journal.write(job.record if written is None else replace(job.record, detail=written))
            self._drop_oldest()
        except StoreError as err:
            _log.error("%s", err)

    def _drop_oldest(self) -> None:
        """Keep as many ended jobs as the limit says."""
        with self._changed:
            ended = [job.record.id for job in self._jobs.values() if job.record.has_ended]
            for id_ in ended[: -self._config.kept_jobs]:
                self._journal.delete(id_)
                del self._jobs[id_]

    def _asked(self, job: _Job, candidate: Revision) -> bool:
        """Implements Approve: wait for an answer over HTTP. Silence is a no."""
        if job.stop:
            return False
        job.candidate = candidate
        job.update(state="asking")
        answered = job.answered.wait(self._config.approval_seconds)
        job.update(state="running")
        return answered and job.approved and not job.stop


def _nothing(_: _Job) -> None:
    """The work of a job of an earlier server."""


def _only_server(seal: SelfAdaptingModel) -> FileLock:
    """One server at a time may change a store's adapters, so that each knows what became of its jobs."""
    lock = FileLock(seal.home / "server" / "lock", thread_local=False)  # another thread may release it
    try:
        lock.acquire(timeout=0)
    except Timeout as err:
        raise InputError(
            f"another server changes the adapters in {seal.home}; end it, or start this one without an admin key"
        ) from err
    return lock
