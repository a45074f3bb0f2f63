"""The sequences of a packed row, and the tokens that each of them attends to.

Dimensions: N tokens of the pass, H query heads, G key heads, Q query heads per key head, E head size; S segments of a
group, L tokens of the longest of them, P of the longest prefix, K = P + L.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.training.bank.grouping import Bounds, group_by_length, indices_of

MIN_FILL, SMALL = 0.75, 32  # measured on 2 cores: see `group_by_length`


@dataclass(frozen=True, slots=True)
class SegmentGroup:
    """Segments of similar length, and where their queries, keys and gradients are stored."""

    segments: int
    longest: int
    prefix: int
    query_rows: Tensor  # G·S·Q·L rows of H·N×E
    key_rows: Tensor  # G·S·K rows of G·N×E
    masked_GS1K: Tensor | None  # flattened to G·S; true where a shorter prefix is padded
    grad_rows: Tensor  # G·S·Q·L rows of N·H×E
    padding: Tensor | None  # positions among the G·S·Q·L that are padding


@dataclass(frozen=True, slots=True)
class AttentionPlan:
    """All groups of a pass, and where each token's results are in the concatenated rows of the groups."""

    groups: tuple[SegmentGroup, ...]
    output_index: Tensor  # N·H
    query_index: Tensor  # H·N
    key_index: Tensor  # G·N
    prefix_index: Tensor  # concatenated rows that hold a gradient of a prefix
    prefix_rows: Tensor  # the rows of G·N that each belongs to


class Segments:
    """The sequences of a packed row, and the plan of their attention, computed once for all layers.

    `prefixes` are the tokens of the row that precede each of them; (0, 0) for none.
    """

    def __init__(
        self, bounds: Sequence[Bounds], device: torch.device, prefixes: Sequence[Bounds] = (), longest: int = 0
    ) -> None:
        """`longest` counts as the longest sequence if it is longer: of passes that are padded to sizes that recur."""
        self.bounds, self.device, self._longest = tuple(bounds), device, longest
        self.prefixes = tuple(prefixes) or ((0, 0),) * len(self.bounds)
        self._plans: dict[tuple[int, int], AttentionPlan] = {}

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, prefix included."""
        pairs = zip(self.bounds, self.prefixes, strict=True)
        return max(self._longest, *(stop - start + prefix[1] - prefix[0] for (start, stop), prefix in pairs))

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
    output_index = torch.empty(tokens * heads, dtype=torch.long)
    query_index = torch.empty(heads * tokens, dtype=torch.long)
    key_index = torch.empty(key_heads * tokens, dtype=torch.long)
    prefix_index, prefix_rows = [], []
    head_GQ = torch.arange(heads).view(key_heads, -1)
    query_offset = key_offset = 0
    for group in group_by_length(bounds, MIN_FILL, SMALL):
        token_SL, real_SL = group.token_SL, group.real_SL
        prefix_SP, real_SP = _prefix_tokens(token_SL[:, 0], [prefixes[i] for i in group.members])
        prefix = prefix_SP.shape[1]
        query_GSQL = head_GQ[:, None, :, None] * tokens + token_SL[None, :, None, :]
        grad_GSQL = token_SL[None, :, None, :] * heads + head_GQ[:, None, :, None]
        key_GSK = torch.arange(key_heads)[:, None, None] * tokens + torch.cat([prefix_SP, token_SL], 1)
        real_GSQL, real_GSL = real_SL[None, :, None, :].expand_as(query_GSQL), real_SL.expand(key_heads, -1, -1)
        real_GSP = real_SP.expand(key_heads, -1, -1)
        index_GSQL = query_offset + torch.arange(query_GSQL.numel()).view_as(query_GSQL)
        index_GSK = key_offset + torch.arange(key_GSK.numel()).view_as(key_GSK)
        query_index[query_GSQL[real_GSQL]] = index_GSQL[real_GSQL]
        output_index[grad_GSQL[real_GSQL]] = index_GSQL[real_GSQL]
        key_index[key_GSK[..., prefix:][real_GSL]] = index_GSK[..., prefix:][real_GSL]
        prefix_index.append(index_GSK[..., :prefix][real_GSP])
        prefix_rows.append(key_GSK[..., :prefix][real_GSP])
        query_offset, key_offset = query_offset + query_GSQL.numel(), key_offset + key_GSK.numel()
        query_rows, key_rows, grad_rows = (rows.flatten().to(device) for rows in (query_GSQL, key_GSK, grad_GSQL))
        padding = indices_of(~real_GSQL, device)
        masked = None
        if not real_SP.all():
            masked_GSK = torch.cat([~real_GSP, torch.zeros_like(real_GSL)], -1)
            masked = masked_GSK.flatten(0, 1)[:, None].to(device)
        size = (len(group.members), token_SL.shape[1], prefix)
        groups.append(SegmentGroup(*size, query_rows, key_rows, masked, grad_rows, padding))
    indices = (output_index, query_index, key_index, torch.cat(prefix_index), torch.cat(prefix_rows))
    return AttentionPlan(tuple(groups), *(index.to(device) for index in indices))


def _prefix_tokens(first_S: Tensor, prefixes: Sequence[Bounds]) -> tuple[Tensor, Tensor]:
    """The tokens of each prefix, aligned to the right, and which of them are real, both S×P.

    Shorter prefixes are padded with the first token of their segment, `first_S`.
    """
    start_S1, stop_S1 = torch.tensor(prefixes).T[:, :, None]
    longest = int((stop_S1 - start_S1).max())
    token_SP = stop_S1 - longest + torch.arange(longest)
    real_SP = token_SP >= start_S1
    return torch.where(real_SP, token_SP, first_S[:, None]), real_SP
