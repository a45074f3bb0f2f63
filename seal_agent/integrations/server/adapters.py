"""/v1/adapters: what adapters know, and how they learn and unlearn. For administrators."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response, StreamingResponse

from seal_agent.errors import AdapterError
from seal_agent.integrations.server.errors import dumps, json_response
from seal_agent.integrations.server.jobs import Jobs
from seal_agent.integrations.server.journal import JobRecord
from seal_agent.integrations.server.requests import (
    AdaptRequest,
    ApproveRequest,
    ForgetRequest,
    RollbackRequest,
    SentQuestion,
)
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.entries import to_json
from seal_agent.store.names import check_name
from seal_agent.types import Context, Question, Revision

Name = Annotated[str, Path(max_length=64)]
Id = Annotated[str, Path(max_length=100)]
_LOOK = 0.1  # seconds between two looks at a job that is watched


def routes(seal: SelfAdaptingModel, jobs: Jobs, draining: asyncio.Event) -> APIRouter:
    """The routes under /v1/adapters."""
    router = APIRouter(prefix="/v1/adapters")
    _add_provenance(router, seal)
    _add_changes(router, seal, jobs)
    _add_jobs(router, jobs, draining)
    _add_decisions(router, jobs)
    return router


def _add_provenance(router: APIRouter, seal: SelfAdaptingModel) -> None:
    @router.get("", response_model=None)
    def adapters() -> Response:
        """All adapters, also those whose revisions are all quarantined or rejected."""
        active = {**dict.fromkeys(seal.ledger.names()), **seal.adapters()}
        rows = [{"name": name, "active": active[name]} for name in sorted(active)]
        return json_response({"object": "list", "data": rows})

    @router.get("/{name}", response_model=None)
    def adapter(name: Name) -> Response:
        """What an adapter has learnt, oldest first."""
        revisions, lineage = seal.history(check_name(name)), seal.ledger.lineage(name)
        in_use = {revision.id for revision in lineage}
        rows = [{**_summary(revision), "in_use": revision.id in in_use} for revision in revisions]
        forgotten = [asdict(gone) for gone in seal.forgotten(name)]
        active = seal.ledger.active(name)
        return json_response({"name": name, "active": active, "revisions": rows, "forgotten": forgotten})

    @router.get("/{name}/revisions/{revision}", response_model=None)
    def provenance(name: Name, revision: Id) -> Response:
        """All that led to a revision: its text, notes, questions, checks and figures."""
        recorded = seal.ledger.get(revision)
        if recorded.adapter != name:
            raise AdapterError(f"adapter {name!r} has no revision {revision!r}")
        return json_response(provenance_of(recorded))


def _add_changes(router: APIRouter, seal: SelfAdaptingModel, jobs: Jobs) -> None:
    @router.post("/{name}/adapt", response_model=None)
    def adapt(name: Name, body: AdaptRequest) -> Response:
        """Learn a text, as a job."""
        questions = tuple(map(_question, body.questions or ()))
        context = Context(body.text, body.title or "", questions, body.trust)
        return _accepted(jobs.adapt(name, context, ask=body.ask_before_use))

    @router.post("/{name}/rollback", response_model=None)
    def rollback(name: Name, body: RollbackRequest) -> Response:
        """Make an earlier revision active again: the parent, a revision's id, or "base"."""
        active = seal.rollback(name, body.to)
        return json_response({"name": name, "active": active.id if active else None})

    @router.post("/{name}/forget", response_model=None)
    def forget(name: Name, body: ForgetRequest) -> Response:
        """Erase what a revision learnt, as a job."""
        return _accepted(jobs.forget(check_name(name), body.revision))


def _add_jobs(router: APIRouter, jobs: Jobs, draining: asyncio.Event) -> None:
    @router.get("/{name}/jobs", response_model=None)
    def jobs_of(name: Name) -> Response:
        """The jobs of an adapter, oldest first."""
        return json_response({"object": "list", "data": [asdict(record) for record in jobs.of(check_name(name))]})

    @router.get("/{name}/jobs/{job}", response_model=None)
    def job_of(name: Name, job: Id) -> Response:
        """How far a job is; with the revision that waits for approval, if it asks."""
        return json_response(_job_body(jobs, name, job))

    @router.get("/{name}/jobs/{job}/events", response_model=None)
    async def watch(name: Name, job: Id) -> Response:
        """The job after each change, as server-sent events, up to its end."""
        jobs.get(name, job)  # raises before the answer begins
        events = _events(jobs, name, job, draining)
        return StreamingResponse(events, media_type="text/event-stream", headers={"cache-control": "no-cache"})


def _add_decisions(router: APIRouter, jobs: Jobs) -> None:
    @router.post("/{name}/jobs/{job}/cancel", response_model=None)
    def cancel(name: Name, job: Id) -> Response:
        """End a job at its next step."""
        return json_response(asdict(jobs.cancel(name, job)))

    @router.post("/{name}/jobs/{job}/approve", response_model=None)
    def approve(name: Name, job: Id, body: ApproveRequest) -> Response:
        """Let the revision of a job that asks become active, or not."""
        return json_response(asdict(jobs.approve(name, job, body.approve)))


def provenance_of(revision: Revision) -> dict[str, Any]:
    """A revision as the ledger stores it, with its total seconds."""
    return {**json.loads(to_json(revision)), "seconds": round(revision.seconds, 2)}


def _summary(revision: Revision) -> dict[str, Any]:
    return {
        "id": revision.id,
        "parent": revision.parent,
        "created": revision.created,
        "title": revision.context.title,
        "text": revision.context.text[:200],
        "status": revision.status,
        "reason": revision.reason,
        "seconds": round(revision.seconds, 2),
    }


def _question(sent: SentQuestion) -> Question:
    return Question(sent.question, (sent.answer,) if isinstance(sent.answer, str) else tuple(sent.answer))


def _accepted(record: JobRecord) -> Response:
    return json_response(asdict(record), 202, {"location": f"/v1/adapters/{record.adapter}/jobs/{record.id}"})


def _job_body(jobs: Jobs, name: str, job: str) -> dict[str, Any]:
    record, _, candidate = jobs.get(name, job)
    return {**asdict(record), **({"candidate": provenance_of(candidate)} if candidate else {})}


async def _events(jobs: Jobs, name: str, job: str, draining: asyncio.Event) -> AsyncIterator[str]:
    seen = -1
    while True:
        record, version, _ = jobs.get(name, job)
        if version != seen:
            seen = version
            yield f"data: {dumps(asdict(record))}\n\n"
        if record.has_ended or draining.is_set():
            return
        await asyncio.sleep(_LOOK)
