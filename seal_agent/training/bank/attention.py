"""Attention inside a packed row: each sequence attends to itself alone; sequences of similar length share a product.

transformers builds the mask of a packed row from its position ids. This module computes the same faster, and leaves
layers with more than plain causal attention to transformers. A segment may have a prefix: tokens elsewhere in the row
that precede it, computed once for all segments that start alike.

Dimensions: N tokens of the pass, H query heads, G key heads, Q query heads per key head, E head size; S segments of a
group, L tokens of the longest of them, P of the longest prefix, K = P + L.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seal_agent.base_model.attention import attends_plainly, wrap_attention
from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import current_route
from seal_agent.training.bank.grouping import concat_rows, gather_rows
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.segments import AttentionPlan, Segments

_PREFIX = "seal_segments_"


class MaskMissing(RuntimeError):
    """A pass was given no mask, and one of its layers needs it."""


class _SegmentAttention(torch.autograd.Function):
    """Causal attention of each segment to itself, by plain matrix products.

    At a few hundred tokens the quadratic score matrix is small, and keeping it beats a fused kernel that recomputes it.
    Query heads that share a key head are stacked, so that one product serves them all. Padding after a segment's end
    comes later than all of its tokens, so the causal mask hides it.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float) -> Tensor:
        heads, tokens = query.shape[1:3]
        key_heads = key.shape[1]
        plan = segments.plan(heads, key_heads)
        flat_q, flat_k, flat_v = (x.reshape(-1, x.shape[-1]) for x in (query, key, value))
        saved: list[Tensor] = []
        outputs: list[Tensor] = []
        for group in plan.groups:
            batch = key_heads * group.segments
            q = gather_rows(flat_q, group.query_rows, batch)
            k, v = (gather_rows(flat, group.key_rows, batch) for flat in (flat_k, flat_v))
            mask = _causal_mask(group.longest, group.prefix, heads // key_heads, q.dtype, q.device)
            scores = torch.baddbmm(mask, q, k.transpose(1, 2), alpha=scale)
            if group.masked_GS1K is not None:
                scores.masked_fill_(group.masked_GS1K, float("-inf"))
            probs = scores.softmax(-1)
            outputs.append((probs @ v).flatten(0, 1))
            saved += [q, k, v, probs]
        ctx.save_for_backward(*saved)
        ctx.plan, ctx.scale, ctx.shapes = plan, scale, (query.shape, key.shape, value.shape)
        return concat_rows(outputs).index_select(0, plan.output_index).view(1, tokens, heads, -1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        plan: AttentionPlan = ctx.plan
        saved = ctx.saved_tensors
        flat_g = grad.reshape(-1, grad.shape[-1])
        parts: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        for i, group in enumerate(plan.groups):
            q, k, v, probs = saved[4 * i : 4 * i + 4]
            g = gather_rows(flat_g, group.grad_rows, len(q), group.padding)
            grad_probs = g @ v.transpose(1, 2)
            grad_scores = torch.ops.aten._softmax_backward_data(grad_probs, probs, -1, probs.dtype)
            grad_scores *= ctx.scale
            group_grads = (grad_scores @ k, grad_scores.transpose(1, 2) @ q, probs.transpose(1, 2) @ g)
            for part, group_grad in zip(parts, group_grads, strict=True):
                part.append(group_grad.flatten(0, 1))
        grad_q, grad_k, grad_v = map(concat_rows, parts)
        token_grad_q = grad_q.index_select(0, plan.query_index)
        token_grad_k, token_grad_v = (
            rows.index_select(0, plan.key_index).index_add_(
                0, plan.prefix_rows, rows.index_select(0, plan.prefix_index)
            )
            for rows in (grad_k, grad_v)
        )
        token_grads = zip((token_grad_q, token_grad_k, token_grad_v), ctx.shapes, strict=True)
        return (*(token_grad.view(shape) for token_grad, shape in token_grads), None, None)


_masks: dict[tuple[int, int, int, torch.dtype, torch.device], Tensor] = {}
_MAX_MASK_BYTES = 64 * 2**20  # of all masks that are kept; one of 640 tokens in float32 takes 1.6 MB per repeat


def _causal_mask(length: int, prefix: int, repeats: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """0 where a token may attend, -∞ elsewhere; repeated for the query heads that share a key head. 1×Q·L×K."""
    key = (length, prefix, repeats, dtype, device)
    if (known := _masks.get(key)) is not None:
        return known
    shape = (length, prefix + length)
    mask = torch.full(shape, float("-inf"), dtype=dtype, device=device).triu(1 + prefix).repeat(repeats, 1)[None]
    if mask.nbytes <= _MAX_MASK_BYTES:
        if sum(kept.nbytes for kept in list(_masks.values())) + mask.nbytes > _MAX_MASK_BYTES:
            _masks.clear()
        _masks[key] = mask
    return mask


# ---------------------------------------------------------------- registration with transformers


def use_segment_attention(base: BaseModel) -> None:
    """Make `base` attend segment by segment inside a packed pass, and as before elsewhere. Safe to repeat."""
    wrap_attention(base, _PREFIX, _with_segments)


def _with_segments(default: Callable[..., Any]) -> Callable[..., Any]:
    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> Any:
        current = current_route()
        route = current if isinstance(current, BankRoute) else None
        segments = route.segments if route else None
        if route is None or segments is None or not attends_plainly(module, segments.longest, options):
            if segments and attention_mask is not None and attention_mask.numel() == 1 < query.shape[2]:
                raise MaskMissing("a layer reads the mask that was left out")
            assert segments is None or not segments.shared, (
                "prefixes may be shared only where `supports_shared_prefixes` is true"
            )
            return default(module, query, key, value, attention_mask, **options)
        scaling = options.get("scaling")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        if route.attention is not None and (out := route.attention(query, key, value, scale)) is not None:
            return out, None
        return _SegmentAttention.apply(query, key, value, segments, scale), None  # type: ignore[no-untyped-call]

    return attention
