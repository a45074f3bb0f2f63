"""How the sequences of a pass are laid out: end to end without padding where the model allows it, else as padded rows.

Packed, attention runs segment by segment (segments.py), so that a sequence sees nothing but itself. Questions about one
text begin alike, with a system's turn and a topic: within a pass that beginning is computed once for all of them.

Dimensions: B rows, T tokens of a row, N tokens of the pass, M labelled positions,
J tokens that are expected at a position: one, or as many as its soft label names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from seal_agent.training.bank.grouping import Bounds
from seal_agent.training.bank.route import Span
from seal_agent.training.bank.segments import Segments
from seal_agent.types import IGNORE_LABEL, SoftLabel, TrainingSequence


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence on its way through a pass, and what each of its labelled tokens weighs in its slot's loss."""

    slot: int
    sequence: TrainingSequence
    weight: float
    dropout_seed: int = 0
    prefix: int = 0
    """Tokens at its beginning that others of its slot may share; nothing is learnt there."""


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
    laid = _Laid()
    targets: list[SoftLabel] = []
    weights: list[float] = []
    slots: list[int] = []
    known: dict[tuple[int, tuple[int, ...]], Bounds] = {}
    for row in rows:
        sequence, shared = row.sequence.input_ids, row.prefix if packed else 0
        before = (0, 0)
        if shared:
            beginning = (row.slot, sequence[:shared])
            before = known.get(beginning) or known.setdefault(beginning, laid.add(row, sequence[:shared]))
        start, stop = laid.add(row, sequence[shared:], before)
        if not packed:
            laid.pad(pad_id, longest - (stop - start))
        for at, target in _targets_of(row.sequence):
            laid.labelled.append(start + at - shared)
            targets.append(target)
            weights.append(row.weight)
            slots.append(row.slot)

    most = max(len(target.tokens) for target in targets)

    def ints(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    return Batch(
        ids_BT=ints(laid.ids).view(1 if packed else len(rows), -1),
        positions_BT=ints(laid.positions)[None] if packed else None,
        spans=tuple(laid.spans),
        segments=Segments(laid.segments, device, laid.prefixes) if packed else None,
        labelled_M=ints(laid.labelled),
        targets_MJ=ints([t for target in targets for t in _filled(target.tokens, most)]).view(-1, most),
        expected_MJ=torch.tensor([_filled(target.probabilities, most) for target in targets], device=device),
        weights_M=torch.tensor(weights, dtype=torch.float32, device=device),
        slots_M=ints(slots),
        real_tokens=len(laid.positions),
    )


@dataclass(slots=True)
class _Laid:
    """What has been laid out so far."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    segments: list[Bounds] = field(default_factory=list)
    prefixes: list[Bounds] = field(default_factory=list)
    labelled: list[int] = field(default_factory=list)

    def add(self, row: Row, tokens: Sequence[int], before: Bounds = (0, 0)) -> Bounds:
        """Tokens of a row that follow those `before` them; where they stand."""
        start, read = len(self.ids), before[1] - before[0]
        self.ids += tokens
        self.positions += range(read, read + len(tokens))
        self.segments.append((start, len(self.ids)))
        self.prefixes.append(before)
        self._extend(row, start)
        return self.segments[-1]

    def pad(self, pad_id: int, count: int) -> None:
        """Fill the row to its end; padding belongs to the row's slot."""
        self.ids += [pad_id] * count
        last = self.spans[-1]
        self.spans[-1] = Span(last.slot, last.start, len(self.ids), last.dropout_seed)

    def _extend(self, row: Row, start: int) -> None:
        if self.spans and (self.spans[-1].slot, self.spans[-1].dropout_seed) == (row.slot, row.dropout_seed):
            start = self.spans.pop().start
        self.spans.append(Span(row.slot, start, len(self.ids), row.dropout_seed))


SHORTEST_PREFIX = 8  # tokens; below that, sharing costs more than it saves


def shareable_prefixes(sequences: Sequence[TrainingSequence]) -> list[int]:
    """For each sequence of a job, the tokens at its beginning that all those which begin alike have in common.

    0 where no other begins alike. What predicts a label is never shared, since each sequence learns its own.
    """
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, sequence in enumerate(sequences):
        if _unlearnt(sequence) >= SHORTEST_PREFIX:
            alike.setdefault(sequence.input_ids[:SHORTEST_PREFIX], []).append(i)
    lengths = [0] * len(sequences)
    for members in alike.values():
        if len(members) > 1:
            first, *others = (sequences[i].input_ids for i in members)
            most = min(_unlearnt(sequences[i]) for i in members)
            while any(other[:most] != first[:most] for other in others):
                most -= 1
            for i in members:
                lengths[i] = most
    return lengths


def _unlearnt(sequence: TrainingSequence) -> int:
    """Tokens before the one that predicts the first label."""
    return next(at for at, label in enumerate(sequence.labels[1:]) if label != IGNORE_LABEL)


def _targets_of(sequence: TrainingSequence) -> Iterator[tuple[int, SoftLabel]]:
    """Positions whose next token is learnt, and what is expected there."""
    for at, label in enumerate(sequence.labels[1:]):
        if label != IGNORE_LABEL:
            soft = sequence.soft_labels[at + 1] if sequence.soft_labels else None
            yield at, soft or SoftLabel((label,), (1.0,))


def _filled(values: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    return values + (0,) * (length - len(values))


# ---------------------------------------------------------------- may this model be packed?
