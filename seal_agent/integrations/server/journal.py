"""The journal of jobs, by which a restarted server says what became of those of a killed one.

One small file each, under the store. It holds no text that is learnt, nor questions about it: `forget` erases those
from the store alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from seal_agent import durable
from seal_agent.errors import StoreError
from seal_agent.store.ledger import Ledger
from seal_agent.types import Revision

JobState = Literal["queued", "running", "asking", "finished", "failed", "cancelled", "interrupted"]
ENDED: tuple[JobState, ...] = ("finished", "failed", "cancelled", "interrupted")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is known of a job. `revision` is what a forgetting erases, and what a learning made."""

    id: str
    kind: Literal["adapt", "forget"]
    adapter: str
    created: str
    state: JobState = "queued"
    stage: str = ""
    done: int = 0
    total: int = 0
    revision: str | None = None
    status: str | None = None
    """The state of the revision that was made: active, rejected, quarantined."""
    detail: str = ""
    ended: str | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


_RECORD: TypeAdapter[JobRecord] = TypeAdapter(JobRecord)


class Journal:
    """Files under `home/server/jobs`. A file is whole or not there."""

    def __init__(self, home: Path, kept: int) -> None:
        self._folder, self._kept = home / "server" / "jobs", kept
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise StoreError(f"jobs cannot be recorded in {self._folder} ({err}); make it writable") from err

    def write(self, record: JobRecord) -> None:
        """Raises StoreError."""
        path = self._folder / f"{record.id}.json"
        draft = path.with_suffix(".draft")
        try:
            durable.write(draft, json.dumps(asdict(record)).encode())
            draft.replace(path)
            durable.flush(self._folder)
        except OSError as err:
            raise StoreError(f"the job cannot be recorded in {self._folder} ({err}); free some space") from err

    def records(self) -> list[JobRecord]:
        """All jobs, oldest first; ended ones beyond the limit are deleted."""
        records = sorted(self._read(), key=lambda record: (record.created, record.id))
        ended = [record for record in records if record.has_ended]
        dropped = {record.id for record in ended[: max(0, len(ended) - self._kept)]}
        for id_ in dropped:
            self.delete(id_)
        return [record for record in records if record.id not in dropped]

    def delete(self, id_: str) -> None:
        """Delete the record of a job, where it can be."""
        with suppress(OSError):
            (self._folder / f"{id_}.json").unlink()

    def _read(self) -> Iterator[JobRecord]:
        for path in self._folder.glob("*.json"):
            try:
                yield _RECORD.validate_json(path.read_bytes())
            except (OSError, ValidationError):
                _log.warning("the record of a job in %s is damaged and left out", path)

    def recover(self, ledger: Ledger) -> list[JobRecord]:
        """All jobs; those that a server left unended are now finished, if the store says so, or interrupted."""
        records = [_settled(record, ledger) for record in self.records()]
        for record in records:
            self.write(record)
        return records


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def summary_of(revision: Revision) -> str:
    """The state of a revision and the checks that it failed, without what they say: that may quote the text."""
    failed = [check.name for check in revision.checks if check.passed is False]
    return f"{revision.status}; checks that failed: {', '.join(failed)}" if failed else revision.status


def _settled(record: JobRecord, ledger: Ledger) -> JobRecord:
    if record.has_ended:
        return _without_reason(record)
    ended = replace(record, ended=now())
    if record.kind == "forget":
        if record.revision and not ledger.exists(record.revision):
            return replace(ended, state="finished", detail="it had been done when the server was stopped")
        return replace(ended, state="interrupted", detail="the server was stopped; nothing has changed: ask again")
    for revision in ledger.history(record.adapter):
        if ("job", record.id) in revision.metadata:
            detail = summary_of(revision)
            return replace(ended, state="finished", revision=revision.id, status=revision.status, detail=detail)
    return replace(ended, state="interrupted", detail="the server was stopped; nothing was learnt: send the text again")


def _without_reason(record: JobRecord) -> JobRecord:
    """An ended job without the gate's reason, which earlier versions wrote down with it."""
    if record.status is None or f"{record.detail};".startswith(f"{record.status};"):
        return record
    return replace(record, detail=record.status)
