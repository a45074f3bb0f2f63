"""How the sequences of a pass are laid out: end to end without padding where the model allows it, else as padded rows.

Packed, attention runs segment by segment (segments.py), so that a sequence sees nothing but itself.

Dimensions: B rows, T tokens of a row, N tokens of the pass, M labelled positions,
J tokens that are expected at a position: one, or as many as its soft label names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seal_agent.inner_loop.lora_bank import BankRoute, LoraBank, Span
from seal_agent.inner_loop.routing import routed
from seal_agent.inner_loop.segments import Segments
from seal_agent.models import BaseModel
from seal_agent.types import IGNORE_LABEL, SoftLabel, TrainingSequence


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence on its way through a pass, and what each of its labelled tokens weighs in its slot's loss."""

    slot: int
    sequence: TrainingSequence
    weight: float
    dropout_seed: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """The tensors of one pass."""

    ids_BT: Tensor
    positions_BT: Tensor | None  # None: rows are padded on the right and count from 0
    spans: tuple[Span, ...]  # over the flattened tokens, B·T
    segments: Segments | None  # None: every sequence has a row of its own
    labelled_M: Tensor  # flattened positions whose next token is learnt
    targets_MJ: Tensor
    expected_MJ: Tensor  # float32 probability of each target; 0 where a position has fewer than J
    weights_M: Tensor
    slots_M: Tensor
    real_tokens: int

    def inputs(self) -> dict[str, Any]:
        """What the model is called with."""
        positions = {} if self.positions_BT is None else {"position_ids": self.positions_BT}
        return {"input_ids": self.ids_BT, "use_cache": False, **positions}

    @property
    def tokens(self) -> int:
        """Tokens computed, padding included."""
        return self.ids_BT.numel()


def lay_out(rows: Sequence[Row], packed: bool, pad_id: int, device: torch.device) -> Batch:
    """One pass over these rows. Rows of one slot must follow each other."""
    longest = max(len(row.sequence.input_ids) for row in rows)
    ids: list[int] = []
    positions: list[int] = []
    spans: list[Span] = []
    segments: list[tuple[int, int]] = []
    labelled: list[int] = []
    targets: list[SoftLabel] = []
    weights: list[float] = []
    slots: list[int] = []
    for row in rows:
        start, length = len(ids), len(row.sequence.input_ids)
        ids += row.sequence.input_ids
        positions += range(length)
        if not packed:
            ids += [pad_id] * (longest - length)
        if spans and (spans[-1].slot, spans[-1].dropout_seed) == (row.slot, row.dropout_seed):
            spans[-1] = Span(row.slot, spans[-1].start, len(ids), row.dropout_seed)
        else:
            spans.append(Span(row.slot, start, len(ids), row.dropout_seed))
        segments.append((start, start + length))
        for at, target in _targets_of(row.sequence):
            labelled.append(start + at)
            targets.append(target)
            weights.append(row.weight)
            slots.append(row.slot)

    most = max(len(target.tokens) for target in targets)

    def ints(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    return Batch(
        ids_BT=ints(ids).view(1 if packed else len(rows), -1),
        positions_BT=ints(positions)[None] if packed else None,
        spans=tuple(spans),
        segments=Segments(tuple(segments), device) if packed else None,
        labelled_M=ints(labelled),
        targets_MJ=ints([t for target in targets for t in _filled(target.tokens, most)]).view(-1, most),
        expected_MJ=torch.tensor([_filled(target.probabilities, most) for target in targets], device=device),
        weights_M=torch.tensor(weights, dtype=torch.float32, device=device),
        slots_M=ints(slots),
        real_tokens=len(positions),
    )


def _targets_of(sequence: TrainingSequence) -> Iterator[tuple[int, SoftLabel]]:
    """Positions whose next token is learnt, and what is expected there."""
    for at, label in enumerate(sequence.labels[1:]):
        if label != IGNORE_LABEL:
            soft = sequence.soft_labels[at + 1] if sequence.soft_labels else None
            yield at, soft or SoftLabel((label,), (1.0,))


def _filled(values: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    return values + (0,) * (length - len(values))


# ---------------------------------------------------------------- may this model be packed?


def hidden_of(base: BaseModel, batch: Batch) -> Tensor:
    """Last hidden states of all tokens, N×D; called inside a route."""
    hidden: Tensor = base.module.base_model(**batch.inputs())[0]
    return hidden.flatten(0, 1)


def packs(base: BaseModel) -> bool:
    """Whether packed sequences come out as each alone does: tried once per model, with two short ones.

    False for models that mix tokens by other means than attention over position ids.
    """
    known: bool | None = getattr(base.module, "_seal_packs", None)
    if known is None:
        known = _packs(base)
        base.module._seal_packs = known
    return known


@torch.no_grad()
def _packs(base: BaseModel) -> bool:
    vocabulary = base.module.get_input_embeddings().weight.shape[0]
    draw = torch.Generator().manual_seed(0)
    ids = [tuple(torch.randint(vocabulary, (length,), generator=draw).tolist()) for length in (7, 12)]
    rows = [Row(0, TrainingSequence(row, row), 1.0) for row in ids]
    alone = torch.cat([hidden_of(base, lay_out([row], False, base.pad_id, base.device)) for row in rows])
    batch = lay_out(rows, True, base.pad_id, base.device)
    try:
        nothing = LoraBank(base.module, (), 1, 1, base.device, base.dtype)
        with routed(BankRoute(nothing, (), batch.segments)):
            together = hidden_of(base, batch)
    except (RuntimeError, ValueError, TypeError):
        return False
    allowed = 1e-3 if base.dtype == torch.float32 else 5e-2
    return bool((together - alone).float().norm() <= allowed * alone.float().norm())
