"""Attention inside a packed row: each sequence sees itself alone, and sequences of like length share their products.

transformers builds the mask of a packed row from its position ids; this is the same thing faster, and stands aside
wherever an architecture asks for more than plain causal attention.

Dimensions: N tokens of the pass, H query heads, G key heads, Q query heads per key head, E head size; S segments of a
group, L tokens of the longest of them.
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
    query_rows: Tensor  # G·S·Q·L rows of H·N×E
    key_rows: Tensor  # G·S·L rows of G·N×E
    grad_rows: Tensor  # G·S·Q·L rows of N·H×E
    surplus: Tensor | None  # those of the G·S·Q·L that are repeats


@dataclass(frozen=True, slots=True)
class _Plan:
    """All groups of a pass, and where in their joined results each token's numbers are found."""

    groups: tuple[_Group, ...]
    answer_places: Tensor  # N·H
    query_places: Tensor  # H·N
    key_places: Tensor  # G·N


class Segments:
    """The sequences of a packed row, and the plan of their attention, made once for all layers."""

    def __init__(self, bounds: Sequence[Bounds], device: torch.device) -> None:
        self.bounds, self.device = tuple(bounds), device
        self._plans: dict[tuple[int, int], _Plan] = {}

    @property
    def longest(self) -> int:
        return max(stop - start for start, stop in self.bounds)

    def plan(self, heads: int, key_heads: int) -> _Plan:
        key = (heads, key_heads)
        if key not in self._plans:
            self._plans[key] = _plan(self.bounds, heads, key_heads, self.device)
        return self._plans[key]


def _plan(bounds: Sequence[Bounds], heads: int, key_heads: int, device: torch.device) -> _Plan:
    tokens = bounds[-1][1]
    groups: list[_Group] = []
    answers, queries = torch.empty(tokens * heads, dtype=torch.long), torch.empty(heads * tokens, dtype=torch.long)
    keys = torch.empty(key_heads * tokens, dtype=torch.long)
    head_GQ = torch.arange(heads).view(key_heads, -1)
    queries_before = keys_before = 0
    for alike in group(bounds, FILLED, SMALL):
        token_SL, real_SL = alike.token_SL, alike.real_SL
        query_GSQL = head_GQ[:, None, :, None] * tokens + token_SL[None, :, None, :]
        grad_GSQL = token_SL[None, :, None, :] * heads + head_GQ[:, None, :, None]
        key_GSL = torch.arange(key_heads)[:, None, None] * tokens + token_SL
        real_GSQL, real_GSL = real_SL[None, :, None, :].expand_as(query_GSQL), real_SL.expand_as(key_GSL)
        place_GSQL = queries_before + torch.arange(query_GSQL.numel()).view_as(query_GSQL)
        queries[query_GSQL[real_GSQL]] = place_GSQL[real_GSQL]
        answers[grad_GSQL[real_GSQL]] = place_GSQL[real_GSQL]
        keys[key_GSL[real_GSL]] = keys_before + torch.arange(key_GSL.numel()).view_as(key_GSL)[real_GSL]
        queries_before, keys_before = queries_before + query_GSQL.numel(), keys_before + key_GSL.numel()
        query_rows, key_rows, grad_rows = (rows.flatten().to(device) for rows in (query_GSQL, key_GSL, grad_GSQL))
        surplus = indices_of(~real_GSQL, device)
        groups.append(_Group(len(alike.members), token_SL.shape[1], query_rows, key_rows, grad_rows, surplus))
    return _Plan(tuple(groups), answers.to(device), queries.to(device), keys.to(device))


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
            mask = _causal(one.longest, heads // key_heads, q.dtype, q.device)
            scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
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
        places = (plan.query_places, plan.key_places, plan.key_places)
        grads = (
            joined(part).index_select(0, place).view(shape)
            for part, place, shape in zip(parts, places, ctx.shapes, strict=True)
        )
        return (*grads, None, None)


_masks: dict[tuple[int, int, torch.dtype, torch.device], Tensor] = {}
_MAX_MASKS = 512


def _causal(length: int, repeats: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 where a token may look, -∞ where it may not; repeated for the query heads that share a key head."""
    key = (length, repeats, dtype, device)
    if key not in _masks:
        if len(_masks) >= _MAX_MASKS:
            _masks.clear()
        mask = torch.full((length, length), float("-inf"), dtype=dtype, device=device).triu(1)
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
