"""Attention inside a packed row: each sequence sees itself alone, and sequences of like length share their products.

transformers builds the mask of a packed row from its position ids; this is the same thing faster, and stands aside
wherever an architecture asks for more than plain causal attention. A segment's numbers never meet another's, not even
multiplied by zero: a sequence whose adapter has diverged leaves the others alone.

Dimensions: N tokens of the pass, H query heads, G key heads, Q query heads per key head, E head size; S segments of a
group, L tokens of the longest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seal_agent.inner_loop.lora_bank import BankRoute
from seal_agent.inner_loop.routing import current_route
from seal_agent.models import BaseModel

Bounds = tuple[tuple[int, int], ...]
"""[start, stop) of each sequence, one behind the other over all tokens of a packed row."""

_PREFIX = "seal_segments_"
_KNOWN_OPTIONS = {"scaling", "dropout", "is_causal", "sliding_window", "position_ids", "use_cache", "cache_position"}

FILLED = 0.75  # share of a group's longest segment that every other one fills
SMALL = 32  # tokens, up to which a segment joins any group: its products cost less than their calls


@dataclass(frozen=True, slots=True)
class _Group:
    """Where the numbers of some segments stand; behind a shorter one's end its own first token is repeated."""

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

    def __init__(self, bounds: Bounds, device: torch.device) -> None:
        self.bounds, self.device = bounds, device
        self._plans: dict[tuple[int, int], _Plan] = {}

    @property
    def longest(self) -> int:
        return max(stop - start for start, stop in self.bounds)

    def plan(self, heads: int, key_heads: int) -> _Plan:
        key = (heads, key_heads)
        if key not in self._plans:
            self._plans[key] = _plan(_of_like_length(self.bounds), heads, key_heads, self.device)
        return self._plans[key]


def _of_like_length(bounds: Bounds) -> list[Bounds]:
    """The segments from long to short, in groups that waste little when all are as long as the first."""
    groups: list[list[tuple[int, int]]] = []
    for start, stop in sorted(bounds, key=lambda bound: bound[0] - bound[1]):
        longest = groups[-1][0][1] - groups[-1][0][0] if groups else 0
        if longest and (longest <= SMALL or stop - start >= FILLED * longest):
            groups[-1].append((start, stop))
        else:
            groups.append([(start, stop)])
    return [tuple(group) for group in groups]


def _plan(groups: Sequence[Bounds], heads: int, key_heads: int, device: torch.device) -> _Plan:
    tokens = sum(stop - start for group in groups for start, stop in group)
    per_key = heads // key_heads
    made: list[_Group] = []
    answers, queries = torch.empty(tokens * heads, dtype=torch.long), torch.empty(heads * tokens, dtype=torch.long)
    keys = torch.empty(key_heads * tokens, dtype=torch.long)
    query_base = key_base = 0
    for group in groups:
        longest = group[0][1] - group[0][0]
        offset_L = torch.arange(longest)
        real_SL = offset_L < torch.tensor([stop - start for start, stop in group])[:, None]
        token_SL = torch.tensor([start for start, _ in group])[:, None] + offset_L * real_SL
        head_GQ = torch.arange(heads).view(key_heads, per_key)
        real_GSQL = real_SL[None, :, None, :].expand(key_heads, -1, per_key, -1)
        query_GSQL = head_GQ[:, None, :, None] * tokens + token_SL[None, :, None, :]
        grad_GSQL = token_SL[None, :, None, :] * heads + head_GQ[:, None, :, None]
        key_GSL = torch.arange(key_heads)[:, None, None] * tokens + token_SL
        real_GSL = real_SL.expand(key_heads, -1, -1)
        place = torch.arange(query_base, query_base + query_GSQL.numel()).view(query_GSQL.shape)
        queries[query_GSQL[real_GSQL]] = place[real_GSQL]
        answers[grad_GSQL[real_GSQL]] = place[real_GSQL]
        keys[key_GSL[real_GSL]] = torch.arange(key_base, key_base + key_GSL.numel()).view(key_GSL.shape)[real_GSL]
        query_base, key_base = query_base + query_GSQL.numel(), key_base + key_GSL.numel()
        surplus = (~real_GSQL).flatten().nonzero().flatten()
        made.append(
            _Group(
                len(group),
                longest,
                query_GSQL.flatten().to(device),
                key_GSL.flatten().to(device),
                grad_GSQL.flatten().to(device),
                surplus.to(device) if len(surplus) else None,
            )
        )
    return _Plan(tuple(made), answers.to(device), queries.to(device), keys.to(device))


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
        for group in plan.groups:
            batch = key_heads * group.segments
            q = flat_q.index_select(0, group.query_rows).view(batch, -1, flat_q.shape[1])
            k = flat_k.index_select(0, group.key_rows).view(batch, group.longest, -1)
            v = flat_v.index_select(0, group.key_rows).view(batch, group.longest, -1)
            mask = _causal(group.longest, heads // key_heads, q.dtype, q.device)
            scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
            probs = scores.softmax(-1)
            answers.append((probs @ v).flatten(0, 1))
            kept += [q, k, v, probs]
        ctx.save_for_backward(*kept)
        ctx.plan, ctx.scale, ctx.shapes = plan, scale, (query.shape, key.shape, value.shape)
        return _joined(answers).index_select(0, plan.answer_places).view(1, tokens, heads, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        plan: _Plan = ctx.plan
        kept = ctx.saved_tensors
        flat_g = grad.reshape(-1, grad.shape[-1])
        parts: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        for i, group in enumerate(plan.groups):
            q, k, v, probs = kept[4 * i : 4 * i + 4]
            g = flat_g.index_select(0, group.grad_rows)
            if group.surplus is not None:
                g.index_fill_(0, group.surplus, 0)
            g = g.view(len(q), -1, g.shape[1])
            grad_probs = g @ v.transpose(1, 2)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
            grad_scores *= ctx.scale
            for into, part in zip(
                parts, (grad_scores @ k, grad_scores.transpose(1, 2) @ q, probs.transpose(1, 2) @ g), strict=True
            ):
                into.append(part.flatten(0, 1))
        places = (plan.query_places, plan.key_places, plan.key_places)
        grads = (
            _joined(part).index_select(0, place).view(shape)
            for part, place, shape in zip(parts, places, ctx.shapes, strict=True)
        )
        return (*grads, None, None)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


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
