"""Attention inside a packed row: each sequence sees itself alone, and sequences of like length share their products.

transformers builds the mask of a packed row from its position ids; this is the same thing faster, and stands aside
wherever an architecture asks for more than plain causal attention. A segment may have a prefix: tokens elsewhere in the
row that stand before it, read once for all segments that begin alike.

Dimensions: N tokens of the pass, H query heads, G key heads, Q query heads per key head, E head size; S segments of a
group, L tokens of the longest of them, P of the longest prefix, K = P + L.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seal_agent.inner_loop.grouping import Bounds, gathered, group, indices_of, joined
from seal_agent.inner_loop.lora_bank import BankRoute
from seal_agent.inner_loop.routing import current_route
from seal_agent.models import BaseModel

_PREFIX = "seal_segments_"
_KNOWN_OPTIONS = {"scaling", "dropout", "is_causal", "sliding_window", "position_ids", "use_cache", "cache_position"}

FILLED, SMALL = 0.75, 32  # measured on 2 cores: see `group`


@dataclass(frozen=True, slots=True)
class _Group:
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
class _Plan:
    """All groups of a pass, and where in their joined results each token's numbers are found."""

    groups: tuple[_Group, ...]
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
        self._plans: dict[tuple[int, int], _Plan] = {}

    @property
    def longest(self) -> int:
        """Tokens of a sequence, prefix included."""
        pairs = zip(self.bounds, self.prefixes, strict=True)
        return max(stop - start + before[1] - before[0] for (start, stop), before in pairs)

    @property
    def shared(self) -> bool:
        """Whether any sequence has a prefix."""
        return any(stop for _, stop in self.prefixes)

    def plan(self, heads: int, key_heads: int) -> _Plan:
        key = (heads, key_heads)
        if key not in self._plans:
            self._plans[key] = _plan(self.bounds, self.prefixes, heads, key_heads, self.device)
        return self._plans[key]


def _plan(
    bounds: Sequence[Bounds], prefixes: Sequence[Bounds], heads: int, key_heads: int, device: torch.device
) -> _Plan:
    tokens = bounds[-1][1]
    groups: list[_Group] = []
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
        groups.append(_Group(*size, query_rows, key_rows, hidden, grad_rows, surplus))
    places = (answers, queries, keys, torch.cat(prefix_places), torch.cat(prefix_rows))
    return _Plan(tuple(groups), *(rows.to(device) for rows in places))


def _before(first_S: Tensor, prefixes: Sequence[Bounds]) -> tuple[Tensor, Tensor]:
    """The tokens of each prefix, S×P, to the right; where a shorter one leaves a place empty, the segment's own first.

    And which of them are real.
    """
    start_S1, stop_S1 = torch.tensor(prefixes).T[:, :, None]
    longest = int((stop_S1 - start_S1).max())
    token_SP = stop_S1 - longest + torch.arange(longest)
    real_SP = token_SP >= start_S1
    return torch.where(real_SP, token_SP, first_S[:, None]), real_SP


class _SegmentAttention(torch.autograd.Function):
    """Causal attention of each segment to itself, by plain matrix products.

    At a few hundred tokens the quadratic score matrix is small, and keeping it beats a fused kernel that recomputes it.
    Query heads that share a key head are stacked below each other, so that one product serves them all. What stands
    behind a segment's end is later than all of its tokens, so that the causal mask hides it.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float) -> Tensor:
        heads, tokens = query.shape[1:3]
        key_heads = key.shape[1]
        plan = segments.plan(heads, key_heads)
        flat_q, flat_k, flat_v = (x.reshape(-1, x.shape[-1]) for x in (query, key, value))
        kept: list[Tensor] = []
        answers: list[Tensor] = []
        for one in plan.groups:
            batch = key_heads * one.segments
            q = gathered(flat_q, one.query_rows, batch)
            k, v = (gathered(flat, one.key_rows, batch) for flat in (flat_k, flat_v))
            mask = _causal(one.longest, one.prefix, heads // key_heads, q.dtype, q.device)
            scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
            if one.hidden_GS1K is not None:
                scores.masked_fill_(one.hidden_GS1K, float("-inf"))
            probs = scores.softmax(-1)
            answers.append((probs @ v).flatten(0, 1))
            kept += [q, k, v, probs]
        ctx.save_for_backward(*kept)
        ctx.plan, ctx.scale, ctx.shapes = plan, scale, (query.shape, key.shape, value.shape)
        return joined(answers).index_select(0, plan.answer_places).view(1, tokens, heads, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        kept = ctx.saved_tensors
        flat_g = grad.reshape(-1, grad.shape[-1])
        parts: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        for i, one in enumerate(plan.groups):
            q, k, v, probs = kept[4 * i : 4 * i + 4]
            g = gathered(flat_g, one.grad_rows, len(q), one.surplus)
            grad_probs = g @ v.transpose(1, 2)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
            grad_scores *= ctx.scale
            for into, part in zip(
                parts, (grad_scores @ k, grad_scores.transpose(1, 2) @ q, probs.transpose(1, 2) @ g), strict=True
            ):
                into.append(part.flatten(0, 1))
        grad_q, grad_k, grad_v = map(joined, parts)
        of_query = grad_q.index_select(0, plan.query_places)
        of_key, of_value = (
            part.index_select(0, plan.key_places).index_add_(
                0, plan.prefix_rows, part.index_select(0, plan.prefix_places)
            )
            for part in (grad_k, grad_v)
        )
        grads = (x.view(shape) for x, shape in zip((of_query, of_key, of_value), ctx.shapes, strict=True))
        return (*grads, None, None)


_masks: dict[tuple[int, int, int, torch.dtype, torch.device], Tensor] = {}
_MAX_MASKS = 512


def _causal(length: int, prefix: int, repeats: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 where a token may look, -∞ where it may not; repeated for the query heads that share a key head."""
    key = (length, prefix, repeats, dtype, device)
    if key not in _masks:
        if len(_masks) >= _MAX_MASKS:
            _masks.clear()
        shape = (length, prefix + length)
        mask = torch.full(shape, float("-inf"), dtype=dtype, device=device).triu(1 + prefix)
        _masks[key] = mask.repeat(repeats, 1)[None]
    return _masks[key]


# ---------------------------------------------------------------- taking transformers' place


def use_segment_attention(base: BaseModel) -> None:
    """Let `base` attend segment by segment inside a packed pass, and as before elsewhere. Safe to repeat."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    before = base.module.config._attn_implementation
    if before is None or before.startswith(_PREFIX) or before not in ALL_ATTENTION_FUNCTIONS:
        return
    if before not in ALL_MASK_ATTENTION_FUNCTIONS or not base.module._can_set_attn_implementation():
        return
    name = _PREFIX + before
    AttentionInterface.register(name, _segments_or(ALL_ATTENTION_FUNCTIONS[before]))
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[before])
    base.module.set_attn_implementation(name)


def _segments_or(usual: Callable[..., Any]) -> Callable[..., Any]:
    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> Any:
        route = current_route()
        segments = route.segments if isinstance(route, BankRoute) else None
        if segments is None or not _is_plain(module, segments, options):
            assert segments is None or not segments.shared, "prefixes are shared where `shares_prefixes` says so only"
            return usual(module, query, key, value, attention_mask, **options)
        scaling = options.get("scaling")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        return _SegmentAttention.apply(query, key, value, segments, scale), None  # type: ignore[no-untyped-call]

    return attention


def _is_plain(module: Any, segments: Segments, options: dict[str, Any]) -> bool:
    """Causal, no dropout, no window shorter than a segment, and nothing this code has not heard of."""
    window = options.get("sliding_window")
    return (
        not any(value is not None for name, value in options.items() if name not in _KNOWN_OPTIONS)
        and not options.get("dropout")
        and options.get("is_causal") is not False
        and getattr(module, "is_causal", True)
        and (window is None or segments.longest <= window)
    )
