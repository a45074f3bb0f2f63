"""The sequences of a packed row, and which tokens each of them attends to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.training.bank.grouping import Bounds, group, indices_of

FILLED, SMALL = 0.75, 32  # measured on 2 cores: see `group`


@dataclass(frozen=True, slots=True)
class SegmentGroup:
    """Where the numbers of some segments stand."""

    segments: int
    longest: int
    prefix: int
    query_rows: Tensor  # G·S·Q·L rows of H·N×E
    key_rows: Tensor  # G·S·K rows of G·N×E
    hidden_GS1K: Tensor | None  # flattened to G·S; where a shorter prefix leaves a place empty
    grad_rows: Tensor  # G·S·Q·L rows of N·H×E
    surplus: Tensor | None  # those of the G·S·Q·L that are repeats


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """All groups of a pass, and where in their joined results each token's numbers are found."""

    groups: tuple[SegmentGroup, ...]
    answer_places: Tensor  # N·H
    query_places: Tensor  # H·N
    key_places: Tensor  # G·N
    prefix_places: Tensor  # joined rows that hold a gradient of a prefix
    prefix_rows: Tensor  # those of G·N that it belongs to


class Segments:
    """The sequences of a packed row, and the plan of their attention, made once for all layers.

    `prefixes` are the tokens of the row that stand before each of them; those of an empty one are (0, 0).
    """

    def __init__(self, bounds: Sequence[Bounds], device: torch.device, prefixes: Sequence[Bounds] = ()) -> None:
        self.bounds, self.device = tuple(bounds), device
        self.prefixes = tuple(prefixes) or ((0, 0),) * len(self.bounds)
        self._plans: dict[tuple[int, int], AttentionPlan] = {}

    @property
    def longest(self) -> int:
        """Tokens of a sequence, prefix included."""
        pairs = zip(self.bounds, self.prefixes, strict=True)
        return max(stop - start + before[1] - before[0] for (start, stop), before in pairs)

    @property
    def shared(self) -> bool:
        """Whether any sequence has a prefix."""
        return any(stop for _, stop in self.prefixes)

    def plan(self, heads: int, key_heads: int) -> AttentionPlan:
        key = (heads, key_heads)
        if key not in self._plans:
            self._plans[key] = _plan(self.bounds, self.prefixes, heads, key_heads, self.device)
        return self._plans[key]


def _plan(
    bounds: Sequence[Bounds], prefixes: Sequence[Bounds], heads: int, key_heads: int, device: torch.device
) -> AttentionPlan:
    tokens = bounds[-1][1]
    groups: list[SegmentGroup] = []
    answers, queries = torch.empty(tokens * heads, dtype=torch.long), torch.empty(heads * tokens, dtype=torch.long)
    keys = torch.empty(key_heads * tokens, dtype=torch.long)
    prefix_places, prefix_rows = [], []
    head_GQ = torch.arange(heads).view(key_heads, -1)
    queries_before = keys_before = 0
    for alike in group(bounds, FILLED, SMALL):
        token_SL, real_SL = alike.token_SL, alike.real_SL
        before_SP, seen_SP = _before(token_SL[:, 0], [prefixes[i] for i in alike.members])
        prefix = before_SP.shape[1]
        query_GSQL = head_GQ[:, None, :, None] * tokens + token_SL[None, :, None, :]
        grad_GSQL = token_SL[None, :, None, :] * heads + head_GQ[:, None, :, None]
        key_GSK = torch.arange(key_heads)[:, None, None] * tokens + torch.cat([before_SP, token_SL], 1)
        real_GSQL, real_GSL = real_SL[None, :, None, :].expand_as(query_GSQL), real_SL.expand(key_heads, -1, -1)
        seen_GSP = seen_SP.expand(key_heads, -1, -1)
        place_GSQL = queries_before + torch.arange(query_GSQL.numel()).view_as(query_GSQL)
        place_GSK = keys_before + torch.arange(key_GSK.numel()).view_as(key_GSK)
        queries[query_GSQL[real_GSQL]] = place_GSQL[real_GSQL]
        answers[grad_GSQL[real_GSQL]] = place_GSQL[real_GSQL]
        keys[key_GSK[..., prefix:][real_GSL]] = place_GSK[..., prefix:][real_GSL]
        prefix_places.append(place_GSK[..., :prefix][seen_GSP])
        prefix_rows.append(key_GSK[..., :prefix][seen_GSP])
        queries_before, keys_before = queries_before + query_GSQL.numel(), keys_before + key_GSK.numel()
        query_rows, key_rows, grad_rows = (rows.flatten().to(device) for rows in (query_GSQL, key_GSK, grad_GSQL))
        surplus = indices_of(~real_GSQL, device)
        hidden = None
        if not seen_SP.all():
            hidden_GSK = torch.cat([~seen_GSP, torch.zeros_like(real_GSL)], -1)
            hidden = hidden_GSK.flatten(0, 1)[:, None].to(device)
        size = (len(alike.members), token_SL.shape[1], prefix)
        groups.append(SegmentGroup(*size, query_rows, key_rows, hidden, grad_rows, surplus))
    places = (answers, queries, keys, torch.cat(prefix_places), torch.cat(prefix_rows))
    return AttentionPlan(tuple(groups), *(rows.to(device) for rows in places))


def _before(first_S: Tensor, prefixes: Sequence[Bounds]) -> tuple[Tensor, Tensor]:
    """The tokens of each prefix, S×P, to the right; where a shorter one leaves a place empty, the segment's own first.

    And which of them are real.
    """
    start_S1, stop_S1 = torch.tensor(prefixes).T[:, :, None]
    longest = int((stop_S1 - start_S1).max())
    token_SP = stop_S1 - longest + torch.arange(longest)
    real_SP = token_SP >= start_S1
    return torch.where(real_SP, token_SP, first_S[:, None]), real_SP
