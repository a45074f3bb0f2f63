"""A revision as the ledger keeps it, and what `verify` finds in a ledger of such."""

from __future__ import annotations

from seal_agent.store.ledger import Ledger
from seal_agent.store.verify import verify
from seal_agent.types import Context, Revision, SelfEdit, Stage, TrainingSummary


def revision(id: str, parent: str | None = None, adapter: str = "a", accepted: bool = True) -> Revision:
    return Revision(
        id=id,
        adapter=adapter,
        parent=parent,
        created=f"2026-01-01T00:00:00.{len(id):03d}+00:00",
        base="base",
        context=Context("Tarawa «is» big\u2028.", "Kiribati"),
        self_edits=(SelfEdit("implications", "p", "c"), SelfEdit("passage")),
        before=(),
        after=(),
        stages=(Stage("train", 0.1),),
        training=TrainingSummary(1, 2, 3, (0.5,)),
        accepted=accepted,
        reason="because",
        metadata=(("user", "u1"),),
        state="active" if accepted else "rejected",
    )


def problems(ledger: Ledger, weights: bool = True) -> list[str]:
    """What verify finds; made-up revisions have no `weights`."""
    found = [problem.what for problem in verify(ledger).problems]
    return [what for what in found if weights or "weights" not in what]
