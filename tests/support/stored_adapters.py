"""Adapters that are in a store without having been trained."""

from __future__ import annotations

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import files as files
from seal_agent.types import Context, Revision, TrainingSummary


def store(seal: SelfAdaptingModel, name: str, weights: LoraAdapter) -> str:
    """Makes these weights the active revision of an adapter; returns the revision's id."""
    parent, before = seal.ledger.active(name), seal.ledger.adapters()
    number = len(seal.history(name)) if name in before else 0
    folder = files.save(weights, seal.base.name, seal.base.identity, seal.home / "adapters")
    revision = Revision(
        id=f"{name}-{number}",
        adapter=name,
        parent=parent,
        created=f"2026-01-01T00:00:{number:02d}+00:00",
        base=seal.base.identity,
        context=Context(f"Text {number} of {name}."),
        self_edits=(),
        before=(),
        after=(),
        stages=(),
        training=TrainingSummary(1, 1, 1, (1.0,)),
        accepted=True,
        reason="stored by hand",
    )
    seal.ledger.record(revision, proposal=revision.id, folder=folder)
    return revision.id
