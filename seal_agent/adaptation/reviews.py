"""What a person decides about a revision after the gate: it is trusted, or it may never be used again.

Each decision is one transaction, which looks at the ledger as it is then: whoever rolls back or trains meanwhile comes
before it or after it.
"""

from __future__ import annotations

from seal_agent.errors import AdapterError
from seal_agent.store import states
from seal_agent.store.ledger import Ledger
from seal_agent.types import Revision


def promote(ledger: Ledger, revision: Revision) -> Revision:
    """Make a quarantined revision active.

    Raises AdapterError where it is not quarantined, or where its adapter is no longer at its parent.
    """
    with ledger.database.write() as db:
        status = ledger.get(revision.id).status
        if status != "quarantined":
            raise AdapterError(f"revision {revision.id} is {status}, not quarantined; nothing was changed")
        active = states.active_of(db, revision.adapter)
        if active != revision.parent:
            back = f"roll back to {revision.parent or 'base'} first"
            raise AdapterError(
                f"the adapter is at {active or 'the base model'}, which {revision.id} does not go on from; {back}"
            )
        states.set_states(db, revision.adapter, {revision.id: "active"})
        states.set_active(db, revision.adapter, revision.id)
    return ledger.get(revision.id)


def revoke(ledger: Ledger, revision: Revision) -> Revision | None:
    """Revoke a revision and all that was learned on top of it; the adapter goes back to what is left.

    Returns the revision now active, None for the base model.
    """
    with ledger.database.write() as db:
        history = {each.id: each for each in ledger.with_damaged(revision.adapter)}
        gone = {revision.id}
        while more := {each.id for each in history.values() if each.parent in gone} - gone:
            gone |= more
        active = kept = states.active_of(db, revision.adapter)
        while kept in gone:
            kept = history[kept].parent
        states.set_states(db, revision.adapter, dict.fromkeys(sorted(gone), "revoked"))
        if kept != active:
            states.set_active(db, revision.adapter, kept)
    return ledger.get(kept) if kept else None
