"""Revisions as the ledger keeps them: JSON text with a state, and what stands beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import TypeAdapter, ValidationError

from seal_agent.errors import AdapterError, StoreError
from seal_agent.types import Context, Revision, RevisionState, TrainingSummary

_REVISION: TypeAdapter[Revision] = TypeAdapter(Revision)
_STATE: TypeAdapter[RevisionState] = TypeAdapter(RevisionState)
_DAMAGED = "damaged in the ledger"


def to_json(revision: Revision) -> str:
    """A revision as JSON text; from_json gives it back unchanged."""
    return _REVISION.dump_json(revision).decode()


def from_json(text: str) -> Revision:
    """The revision that to_json wrote. Raises StoreError for a text that is none."""
    try:
        return _REVISION.validate_json(text)
    except ValidationError as err:
        raise StoreError("a revision in the ledger is damaged; `seal verify` says which") from err


def revision_of(id_: str, body: str, state: str) -> Revision:
    """A revision with the state it has now; older ledgers only knew whether it was accepted.

    Raises StoreError for a row that is damaged.
    """
    try:
        revision = _REVISION.validate_json(body)
        now = _STATE.validate_python(state or revision.status)
    except ValidationError as err:
        raise StoreError(
            f"revision {id_} is damaged in the ledger; `seal restore` brings a backup back, `seal forget {id_}` "
            "erases it"
        ) from err
    return replace(revision, state=now, accepted=now == "active") if state else revision


def damaged(id_: str, adapter: str, parent: str | None, created: str) -> Revision:
    """What is left of a revision whose body cannot be read: enough to list and to erase it."""
    return Revision(
        id=id_,
        adapter=adapter,
        parent=parent,
        created=created,
        base="",
        context=Context(f"{_DAMAGED} {id_}"),
        self_edits=(),
        before=(),
        after=(),
        stages=(),
        training=TrainingSummary(0, 0, 0, ()),
        accepted=False,
        reason=_DAMAGED,
        state="rejected",
    )


def is_damaged(revision: Revision) -> bool:
    """Whether this is only what is left of a revision."""
    return revision.reason == _DAMAGED and not revision.base


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
