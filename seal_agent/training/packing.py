"""Lays out the sequences of a pass: end to end without padding if the model allows it, else as padded rows.

In a packed row, attention runs segment by segment (bank/segments.py), so that a sequence sees only itself. Questions
about one text share a prefix, such as the system turn and the topic; within a pass it is computed once for all of them.

Dimensions: B rows, T tokens of a row, N tokens of the pass, M labelled positions, J target tokens per position: one, or
as many as its soft label names.
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
    """One sequence of a pass, and the weight of each of its labelled tokens in its slot's loss."""

    slot: int
    sequence: TrainingSequence
    weight: float
    dropout_seed: int = 0
    prefix: int = 0
    """Tokens at its start that other sequences of its slot may share; they have no labels."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The tensors of one pass."""

    ids_BT: Tensor
    positions_BT: Tensor | None  # None: rows are padded on the right and count from 0
    spans: tuple[Span, ...]  # over the flattened tokens, B·T
    segments: Segments | None  # None: every sequence has a row of its own
    labelled_M: Tensor  # flattened positions whose next token is learnt
    targets_MJ: Tensor
    target_probs_MJ: Tensor  # float32 probability of each target; 0 where a position has fewer than J
    weights_M: Tensor
    slots_M: Tensor
    real_tokens: int
    mask_1111: Tensor | None = None
    """A mask that nobody reads, in place of the N×N mask that transformers would build; see `reads_no_mask`."""

    def inputs(self) -> dict[str, Any]:
        """Keyword arguments of the model's forward."""
        positions = {} if self.positions_BT is None else {"position_ids": self.positions_BT}
        mask = {} if self.mask_1111 is None else {"attention_mask": self.mask_1111}
        return {"input_ids": self.ids_BT, "use_cache": False, **positions, **mask}

    @property
    def tokens(self) -> int:
        """Tokens computed, padding included."""
        return self.ids_BT.numel()


def lay_out(rows: Sequence[Row], packed: bool, pad_id: int, device: torch.device) -> Batch:
    """The batch of one pass over these rows. Rows of one slot must follow each other."""
    longest = max(len(row.sequence.input_ids) for row in rows)
    layout = _Layout()
    targets: list[SoftLabel] = []
    weights: list[float] = []
    slots: list[int] = []
    prefixes: dict[tuple[int, tuple[int, ...]], Bounds] = {}
    for row in rows:
        ids, prefix_length = row.sequence.input_ids, row.prefix if packed else 0
        prefix = (0, 0)
        if prefix_length:
            key = (row.slot, ids[:prefix_length])
            prefix = prefixes.get(key) or prefixes.setdefault(key, layout.add(row, ids[:prefix_length]))
        start, stop = layout.add(row, ids[prefix_length:], prefix)
        if not packed:
            layout.pad(pad_id, longest - (stop - start))
        for position, target in labelled_targets(row.sequence):
            layout.labelled.append(start + position - prefix_length)
            targets.append(target)
            weights.append(row.weight)
            slots.append(row.slot)

    max_targets = max(len(target.tokens) for target in targets)

    def ints(values: list[int]) -> Tensor:
        return torch.tensor(values, device=device)

    return Batch(
        ids_BT=ints(layout.ids).view(1 if packed else len(rows), -1),
        positions_BT=ints(layout.positions)[None] if packed else None,
        spans=tuple(layout.spans),
        segments=Segments(layout.segments, device, layout.prefixes) if packed else None,
        labelled_M=ints(layout.labelled),
        targets_MJ=ints([t for target in targets for t in _zero_pad(target.tokens, max_targets)]).view(-1, max_targets),
        target_probs_MJ=torch.tensor(
            [_zero_pad(target.probabilities, max_targets) for target in targets], device=device
        ),
        weights_M=torch.tensor(weights, dtype=torch.float32, device=device),
        slots_M=ints(slots),
        real_tokens=len(layout.positions),
    )


@dataclass(slots=True)
class _Layout:
    """The flattened tokens laid out so far."""

    ids: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    segments: list[Bounds] = field(default_factory=list)
    prefixes: list[Bounds] = field(default_factory=list)
    labelled: list[int] = field(default_factory=list)

    def add(self, row: Row, ids: Sequence[int], prefix: Bounds = (0, 0)) -> Bounds:
        """Append a segment of a row, after its prefix laid out elsewhere. Returns its bounds."""
        start, prefix_length = len(self.ids), prefix[1] - prefix[0]
        self.ids += ids
        self.positions += range(prefix_length, prefix_length + len(ids))
        self.segments.append((start, len(self.ids)))
        self.prefixes.append(prefix)
        self._extend_span(row, start)
        return self.segments[-1]

    def pad(self, pad_id: int, count: int) -> None:
        """Pad the row to its end; padding belongs to the row's slot."""
        self.ids += [pad_id] * count
        last = self.spans[-1]
        self.spans[-1] = Span(last.slot, last.start, len(self.ids), last.dropout_seed)

    def _extend_span(self, row: Row, start: int) -> None:
        if self.spans and (self.spans[-1].slot, self.spans[-1].dropout_seed) == (row.slot, row.dropout_seed):
            start = self.spans.pop().start
        self.spans.append(Span(row.slot, start, len(self.ids), row.dropout_seed))


MIN_PREFIX_TOKENS = 8  # below that, sharing costs more than it saves


def shareable_prefixes(sequences: Sequence[TrainingSequence]) -> list[int]:
    """For each sequence of a job, the length of the prefix that it shares with all sequences that start alike.

    0 if no other sequence starts alike. The token that predicts a label is never shared, since each sequence learns its
    own.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, sequence in enumerate(sequences):
        if _unlabelled_length(sequence) >= MIN_PREFIX_TOKENS:
            groups.setdefault(sequence.input_ids[:MIN_PREFIX_TOKENS], []).append(i)
    lengths = [0] * len(sequences)
    for members in groups.values():
        if len(members) > 1:
            first, *others = (sequences[i].input_ids for i in members)
            length = min(_unlabelled_length(sequences[i]) for i in members)
            while any(other[:length] != first[:length] for other in others):
                length -= 1
            for i in members:
                lengths[i] = length
    return lengths


def _unlabelled_length(sequence: TrainingSequence) -> int:
    """Number of tokens before the one that predicts the first label."""
    return next(i for i, label in enumerate(sequence.labels[1:]) if label != IGNORE_LABEL)


def labelled_targets(sequence: TrainingSequence) -> Iterator[tuple[int, SoftLabel]]:
    """Positions whose next token is learnt, and the target of each."""
    for position, label in enumerate(sequence.labels[1:]):
        if label != IGNORE_LABEL:
            soft = sequence.soft_labels[position + 1] if sequence.soft_labels else None
            yield position, soft or SoftLabel((label,), (1.0,))


def _zero_pad(values: tuple[Any, ...], length: int) -> tuple[Any, ...]:
    return values + (0,) * (length - len(values))
