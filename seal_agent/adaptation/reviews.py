"""What a person decides about a revision after the gate: it is trusted, or it may never be used again."""

from __future__ import annotations

from seal_agent.errors import AdapterError
from seal_agent.store.ledger import Ledger
from seal_agent.types import Revision


def promote(ledger: Ledger, revision: Revision) -> Revision:
    """Make a quarantined revision active.

    Raises AdapterError where it is not quarantined, or where its adapter is no longer at its parent.
    """
    if revision.status != "quarantined":
        raise AdapterError(f"revision {revision.id} is {revision.status}, not quarantined; nothing was changed")
    active = ledger.active(revision.adapter)
    if active != revision.parent:
        back = f"roll back to {revision.parent or 'base'} first"
        raise AdapterError(
            f"the adapter is at {active or 'the base model'}, which {revision.id} does not go on from; {back}"
        )
    ledger.set_state(revision.id, "active", active=revision.id)
    return ledger.get(revision.id)


def revoke(ledger: Ledger, revision: Revision) -> Revision | None:
    """Revoke a revision and all that was learned on top of it; the adapter goes back to what is left.

    Returns the revision now active, None for the base model.
    """
    history = {each.id: each for each in ledger.history(revision.adapter)}
    gone = {revision.id}
    while more := {each.id for each in history.values() if each.parent in gone} - gone:
        gone |= more
    active = ledger.active(revision.adapter)
    kept = active
    while kept in gone:
        kept = history[kept].parent
    for each in sorted(gone, key=lambda known: known == revision.id):
        ledger.set_state(each, "revoked", active=kept if each == revision.id and active in gone else "same")
    return ledger.get(kept) if kept else None
