"""Lays out a pass slot by slot, with all that its layers need to know, as tensors for one transfer.

The tokens are those of packing.py, which this follows; here a sequence is turned into arrays only once.

Dimensions: N tokens of the pass, M labels, J target tokens per label, K slots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seal_agent.training.bank.grouping import Bounds
from seal_agent.training.bank.products import PaddedPlaces, padded_places
from seal_agent.training.bank.route import Span
from seal_agent.training.bank.varlen_plan import VarlenPlan, varlen_plan
from seal_agent.training.packing import Row, labelled_targets
from seal_agent.training.stacked.sizes import PassSizes, padding_segments
from seal_agent.types import TrainingSequence

Array = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Floats = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A pass, on the processor."""

    ids_N: Tensor
    positions_N: Tensor
    labelled_M: Tensor
    targets_MJ: Tensor
    target_probs_MJ: Tensor
    weights_M: Tensor
    slots_M: Tensor
    ends_K: Tensor
    scale_N1: Tensor
    attention: VarlenPlan
    padded: PaddedPlaces | None
    spans: tuple[Span, ...]
    segments: tuple[Bounds, ...]
    prefixes: tuple[Bounds, ...]
    sizes: PassSizes
    real_tokens: int


@dataclass(frozen=True, slots=True)
class _Arrays:
    """A sequence as arrays; it is kept, so that no other takes its id."""

    sequence: TrainingSequence
    ids_T: Array
    labelled_M: Array
    targets_MJ: Array
    target_probs_MJ: Floats


class Layouter:
    """Lays out the passes of one pool."""

    def __init__(self, pad_id: int, scales: Sequence[float], padded: bool) -> None:
        """`scales` are those of the bank's slots; `padded` tells whether products need `PaddedPlaces`."""
        self._pad_id, self._scales, self._padded = pad_id, scales, padded
        self._known: dict[int, _Arrays] = {}

    def lay_out(self, rows: Sequence[Row], rounded: bool = False) -> HostPlan:
        """The plan of a pass over these rows, which are in the order of their slots.

        Args:
            rows: Sequences to train on.
            rounded: Pad the pass to sizes that recur.
        """
        draft = _Draft()
        for row in rows:
            self._add(draft, row)
        attention = varlen_plan(draft.segments, draft.prefixes)
        sizes = _sizes_of(draft, attention)
        if rounded:
            sizes = sizes.rounded_up()
            draft.pad(sizes, self._pad_id)
            attention = _padded_attention(varlen_plan(draft.segments, draft.prefixes), sizes)
        return self._plan(draft, attention, sizes)

    def forget(self, sequences: Sequence[TrainingSequence]) -> None:
        """Drop the arrays of sequences that will not be trained again."""
        for sequence in sequences:
            self._known.pop(id(sequence), None)

    def _add(self, draft: _Draft, row: Row) -> None:
        arrays = self._known.get(id(row.sequence)) or self._known.setdefault(id(row.sequence), _arrays(row.sequence))
        prefix = (0, 0)
        if row.prefix:
            key = (row.slot, row.sequence.input_ids[: row.prefix])
            if key not in draft.known_prefixes:
                draft.known_prefixes[key] = draft.append(row, arrays.ids_T[: row.prefix], (0, 0))
            prefix = draft.known_prefixes[key]
        start, _ = draft.append(row, arrays.ids_T[row.prefix :], prefix)
        draft.add_labels(arrays, start - row.prefix, row)

    def _plan(self, draft: _Draft, attention: VarlenPlan, sizes: PassSizes) -> HostPlan:
        counts_K = [0] * len(self._scales)
        for span in draft.spans:
            counts_K[span.slot] += span.stop - span.start
        targets_MJ, target_probs_MJ = draft.targets(sizes)
        return HostPlan(
            ids_N=torch.from_numpy(np.concatenate(draft.ids)),
            positions_N=torch.from_numpy(np.concatenate(draft.positions)),
            labelled_M=torch.from_numpy(np.concatenate(draft.labelled)),
            targets_MJ=targets_MJ,
            target_probs_MJ=target_probs_MJ,
            weights_M=torch.from_numpy(np.concatenate(draft.weights)),
            slots_M=torch.from_numpy(np.concatenate(draft.slots)),
            ends_K=torch.tensor(counts_K).cumsum(0).int(),
            scale_N1=torch.from_numpy(np.repeat(np.array(self._scales, dtype=np.float32), counts_K)[:, None]),
            attention=attention,
            padded=padded_places(counts_K) if self._padded else None,
            spans=tuple(draft.spans),
            segments=tuple(draft.segments),
            prefixes=tuple(draft.prefixes),
            sizes=sizes,
            real_tokens=draft.real_tokens,
        )


class _Draft:
    """The pass so far."""

    def __init__(self) -> None:
        self.length = self.real_tokens = 0
        self.ids: list[Array] = []
        self.positions: list[Array] = []
        self.spans: list[Span] = []
        self.segments: list[Bounds] = []
        self.prefixes: list[Bounds] = []
        self.known_prefixes: dict[tuple[int, tuple[int, ...]], Bounds] = {}
        self.labelled: list[Array] = []
        self.slots: list[Array] = []
        self.weights: list[Floats] = []
        self._targets: list[Array] = []
        self._target_probs: list[Floats] = []

    def append(self, row: Row, ids_T: Array, prefix: Bounds) -> Bounds:
        """Append tokens as a segment, behind a prefix that is there already. Returns their bounds."""
        start, first = self.length, prefix[1] - prefix[0]
        self.length += len(ids_T)
        self.real_tokens += len(ids_T)
        self.ids.append(ids_T)
        self.positions.append(np.arange(first, first + len(ids_T)))
        self.segments.append((start, self.length))
        self.prefixes.append(prefix)
        if self.spans and (self.spans[-1].slot, self.spans[-1].dropout_seed) == (row.slot, row.dropout_seed):
            start = self.spans.pop().start
        self.spans.append(Span(row.slot, start, self.length, row.dropout_seed))
        return self.segments[-1]

    def add_labels(self, arrays: _Arrays, offset: int, row: Row) -> None:
        count = len(arrays.labelled_M)
        self.labelled.append(arrays.labelled_M + offset)
        self._targets.append(arrays.targets_MJ)
        self._target_probs.append(arrays.target_probs_MJ)
        self.weights.append(np.full(count, row.weight, dtype=np.float32))
        self.slots.append(np.full(count, row.slot))

    @property
    def most_targets(self) -> int:
        return max(targets_MJ.shape[1] for targets_MJ in self._targets)

    def targets(self, sizes: PassSizes) -> tuple[Tensor, Tensor]:
        """Target tokens and their probabilities, M×J."""
        tokens, probs = (
            np.concatenate([_widened(x, sizes.targets) for x in parts]) for parts in (self._targets, self._target_probs)
        )
        return torch.from_numpy(tokens), torch.from_numpy(probs)

    def pad(self, sizes: PassSizes, pad_id: int) -> None:
        """Pad to these sizes. Padding belongs to the last slot; its labels weigh nothing and are of the last token."""
        count, last = sizes.tokens - self.length, self.spans[-1]
        pieces = padding_segments(self.length, sizes.tokens, sizes.longest_query)
        self.ids.append(np.full(count, pad_id))
        self.positions += [np.arange(stop - start) for start, stop in pieces]
        self.segments += pieces
        self.segments += [(sizes.tokens, sizes.tokens)] * (sizes.segments - len(self.segments))
        self.prefixes += [(0, 0)] * (sizes.segments - len(self.prefixes))
        self.spans[-1] = Span(last.slot, last.start, sizes.tokens, last.dropout_seed)
        self.length = sizes.tokens
        labels = sizes.labels - sum(map(len, self.labelled))
        self.labelled.append(np.full(labels, sizes.tokens - 1))
        self.slots.append(np.full(labels, last.slot))
        self.weights.append(np.zeros(labels, dtype=np.float32))
        self._targets.append(np.zeros((labels, 1), dtype=np.int64))
        self._target_probs.append(np.ones((labels, 1), dtype=np.float32))


def _widened(values_MJ: Any, width: int) -> Any:
    """Zeros to the right, up to this width."""
    missing = width - values_MJ.shape[1]
    return values_MJ if not missing else np.pad(values_MJ, ((0, 0), (0, missing)))


def _arrays(sequence: TrainingSequence) -> _Arrays:
    positions, targets = zip(*labelled_targets(sequence), strict=True)
    most = max(len(target.tokens) for target in targets)
    tokens_MJ = np.zeros((len(targets), most), dtype=np.int64)
    probs_MJ = np.zeros((len(targets), most), dtype=np.float32)
    for m, target in enumerate(targets):
        tokens_MJ[m, : len(target.tokens)] = target.tokens
        probs_MJ[m, : len(target.tokens)] = target.probabilities
    return _Arrays(sequence, np.array(sequence.input_ids), np.array(positions), tokens_MJ, probs_MJ)


def _sizes_of(draft: _Draft, attention: VarlenPlan) -> PassSizes:
    shared = attention.prefixes
    return PassSizes(
        tokens=draft.length,
        segments=len(draft.segments),
        labels=sum(map(len, draft.labelled)),
        targets=draft.most_targets,
        longest_query=attention.longest_query,
        longest_key=attention.longest_key,
        repeated_keys=0 if shared is None else len(shared.key_token_U),
        prefix_tokens=0 if shared is None else len(shared.token_P),
        copies=0 if shared is None else shared.copies_PC.shape[1],
    )


def _padded_attention(plan: VarlenPlan, sizes: PassSizes) -> VarlenPlan:
    """The plan of a padded pass, with tensors of these sizes."""
    shared = plan.prefixes and plan.prefixes.padded_to(sizes.repeated_keys, sizes.prefix_tokens, sizes.copies)
    return VarlenPlan(plan.query_starts, plan.key_starts, sizes.longest_query, sizes.longest_key, shared)
