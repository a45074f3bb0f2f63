"""Imported adapters: a revision for weights that somebody else trained, in quarantine."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.text_layers import linear_shape
from seal_agent.store.importing import Imported
from seal_agent.types import Check, Context, Revision, TrainingSummary, content_hash

NOT_CHECKED = "imported, so nothing of it was checked; it answers only where it is named"


def check_fits(adapter: LoraAdapter, base: BaseModel) -> None:
    """Raises AdapterError for layers that the base model has not, or of other sizes."""
    layers = dict(base.module.named_modules())
    for name, pair in adapter.pairs.items():
        shape = linear_shape(layers[name]) if name in layers else None
        if shape is None:
            raise AdapterError(
                f"the adapter trains {name[:80]}, which {base.name} does not have; load its own base model"
            )
        if shape != (pair.a_DR.shape[0], pair.b_RO.shape[1]):
            raise AdapterError(
                f"the adapter's {name[:80]} has another size than that of {base.name}; load its base model"
            )


def foreign_revision(imported: Imported, source: Path, adapter: str, title: str, base: str, folder: str) -> Revision:
    """A quarantined revision. Its context says where it came from, since its text is not known."""
    text = f"Adapter imported from {source.name}, SHA-256 {imported.sha256}."
    return Revision(
        id=content_hash(["imported", adapter, imported.sha256, folder])[:12],
        adapter=adapter,
        parent=None,
        created=datetime.now(UTC).isoformat(timespec="milliseconds"),
        base=base,
        context=Context(text, title, trust="untrusted"),
        self_edits=(),
        before=(),
        after=(),
        stages=(),
        training=TrainingSummary(0, 0, 0, ()),
        accepted=False,
        reason=NOT_CHECKED,
        state="quarantined",
        checks=(Check("gate", None, NOT_CHECKED),),
    )
