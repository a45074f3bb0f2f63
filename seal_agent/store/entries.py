"""Revisions as the ledger keeps them: JSON text with a state, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from seal_agent.errors import AdapterError
from seal_agent.types import Revision, RevisionState

_REVISION: TypeAdapter[Revision] = TypeAdapter(Revision)
_STATE: TypeAdapter[RevisionState] = TypeAdapter(RevisionState)


def to_json(revision: Revision) -> str:
    """A revision as JSON text; from_json gives it back unchanged."""
    return _REVISION.dump_json(revision).decode()


def from_json(text: str) -> Revision:
    """The revision that to_json wrote."""
    return _REVISION.validate_json(text)


def revision_of(body: str, state: str) -> Revision:
    """A revision with the state it has now; older ledgers only knew whether it was accepted."""
    revision = from_json(body)
    now = _STATE.validate_python(state or revision.status)
    return replace(revision, state=now, accepted=now == "active") if state else revision


@dataclass(frozen=True, slots=True)
class Entry:
    """A revision with what the ledger keeps beside it: the hash of what was committed, and its weights' folder."""

    revision: Revision
    proposal: str
    folder: str


def check_usable(revision: Revision, *, named: bool = False) -> None:
    """Raises AdapterError for a revision that may not answer.

    Args:
        named: It was asked for by its id, which quarantined revisions answer to.
    """
    if revision.status == "active" or (named and revision.status == "quarantined"):
        return
    fix = f"`seal promote {revision.id}` makes it active" if revision.status == "quarantined" else "use another"
    why = f": {revision.reason}" if revision.status == "rejected" else ""
    raise AdapterError(f"revision {revision.id} is {revision.status}{why}; {fix}")
