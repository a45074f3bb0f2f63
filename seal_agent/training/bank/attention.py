"""Attention inside a packed row: each sequence sees itself alone, and sequences of like length share their products.

transformers builds the mask of a packed row from its position ids; this is the same thing faster, and stands aside
wherever an architecture asks for more than plain causal attention. A segment may have a prefix: tokens elsewhere in the
row that stand before it, read once for all segments that begin alike.

Dimensions: N tokens of the pass, H query heads, G key heads, Q query heads per key head, E head size; S segments of a
group, L tokens of the longest of them, P of the longest prefix, K = P + L.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import current_route
from seal_agent.training.bank.grouping import gathered, joined
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.segments import AttentionPlan, Segments

_PREFIX = "seal_segments_"
_KNOWN_OPTIONS = {"scaling", "dropout", "is_causal", "sliding_window", "position_ids", "use_cache", "cache_position"}


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
        plan: AttentionPlan = ctx.plan
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
