"""Attention within the segments of a pass by a kernel for sequences of variable length: one launch and no mask.

Segments with a shared prefix read the prefix's keys and values from where it stands in the row; its gradients are
summed over them in a fixed order.

Dimensions: N tokens of the pass, U keys with the prefixes repeated, H query heads, G key heads, E head size; P tokens
of prefixes, C the most segments that share one.
"""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from seal_agent.training.bank.varlen_plan import PrefixPlan, VarlenPlan, plan_on, varlen_plan

_log = logging.getLogger(__name__)

MAX_HEAD_SIZE = 256  # of FlashAttention's kernels; head sizes are multiples of 8
_AMPERE = (8, 0)


# ---------------------------------------------------------------- kernels


class Kernel(Protocol):
    """Causal attention of sequences of variable length; the last query sees the last key."""

    def forward(
        self, q_NHE: Tensor, k_UGE: Tensor, v_UGE: Tensor, plan: VarlenPlan, scale: float
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The result, N×H×E, and what `backward` needs besides."""
        ...

    def backward(
        self,
        grad_NHE: Tensor,
        qkv: tuple[Tensor, Tensor, Tensor],
        out_NHE: Tensor,
        saved: tuple[Tensor, ...],
        plan: VarlenPlan,
        scale: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The gradients of queries, keys and values."""
        ...


class FlashKernel:
    """FlashAttention as torch ships it, for CUDA. The operators are those under `torch.nn.attention.varlen`."""

    def forward(
        self, q_NHE: Tensor, k_UGE: Tensor, v_UGE: Tensor, plan: VarlenPlan, scale: float
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        starts = (plan.query_starts, plan.key_starts, plan.longest_query, plan.longest_key)
        out, *saved = torch.ops.aten._flash_attention_forward(
            q_NHE, k_UGE, v_UGE, *starts, 0.0, True, False, scale=scale
        )
        return out, tuple(saved[:3])

    def backward(
        self,
        grad_NHE: Tensor,
        qkv: tuple[Tensor, Tensor, Tensor],
        out_NHE: Tensor,
        saved: tuple[Tensor, ...],
        plan: VarlenPlan,
        scale: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        logsumexp, random_state, unused = saved
        starts = (plan.query_starts, plan.key_starts, plan.longest_query, plan.longest_key)
        grads: tuple[Tensor, Tensor, Tensor] = torch.ops.aten._flash_attention_backward(
            grad_NHE.contiguous(), *qkv, out_NHE, logsumexp, *starts, 0.0, True, random_state, unused, scale=scale
        )
        return grads


class PlainKernel:
    """The same, segment by segment: what kernels are tested against."""

    def forward(
        self, q_NHE: Tensor, k_UGE: Tensor, v_UGE: Tensor, plan: VarlenPlan, scale: float
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        return _plain_attention(q_NHE, k_UGE, v_UGE, plan, scale), ()

    def backward(
        self,
        grad_NHE: Tensor,
        qkv: tuple[Tensor, Tensor, Tensor],
        out_NHE: Tensor,
        saved: tuple[Tensor, ...],
        plan: VarlenPlan,
        scale: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            q_NHE, k_UGE, v_UGE = leaves = tuple(x.detach().requires_grad_() for x in qkv)
            grads = torch.autograd.grad(_plain_attention(q_NHE, k_UGE, v_UGE, plan, scale), leaves, grad_NHE)
        return grads[0], grads[1], grads[2]


def _plain_attention(q_NHE: Tensor, k_UGE: Tensor, v_UGE: Tensor, plan: VarlenPlan, scale: float) -> Tensor:
    queries, keys = plan.query_starts.tolist(), plan.key_starts.tolist()
    repeats = q_NHE.shape[1] // k_UGE.shape[1]
    parts = []
    for (start, stop), (first, last) in zip(pairwise(queries), pairwise(keys), strict=True):
        q_HLE = q_NHE[start:stop].transpose(0, 1)
        k_HLE, v_HLE = (x[first:last].repeat_interleave(repeats, 1).transpose(0, 1) for x in (k_UGE, v_UGE))
        scores = scale * (q_HLE @ k_HLE.transpose(1, 2))
        seen = torch.ones(scores.shape[1:], dtype=torch.bool, device=scores.device).tril(last - first - stop + start)
        parts.append((scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v_HLE).transpose(0, 1))
    return torch.cat(parts)


# ---------------------------------------------------------------- within a pass


class VarlenAttention:
    """Attention within the segments of one pass. Implements SegmentKernel."""

    def __init__(self, kernel: Kernel, plan: VarlenPlan) -> None:
        self.kernel, self.plan, self.refused = kernel, plan, False

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor | None:
        if isinstance(self.kernel, FlashKernel) and not _flash_takes(query, value):
            self.refused = True
            return None
        out: Tensor = _Attention.apply(query, key, value, self.kernel, self.plan, scale)  # type: ignore[no-untyped-call]
        return out


def _flash_takes(query: Tensor, value: Tensor) -> bool:
    size = query.shape[-1]
    return size % 8 == 0 and size <= MAX_HEAD_SIZE and value.shape[-1] == size and query.dtype != torch.float32


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, kernel: Kernel, plan: VarlenPlan, scale: float
    ) -> Tensor:
        q_NHE, k_NGE, v_NGE = (x[0].transpose(0, 1) for x in (query, key, value))
        if plan.prefixes is not None:
            k_NGE, v_NGE = (x.index_select(0, plan.prefixes.key_token_U) for x in (k_NGE, v_NGE))
        out_NHE, saved = kernel.forward(q_NHE, k_NGE, v_NGE, plan, scale)
        ctx.save_for_backward(q_NHE, k_NGE, v_NGE, out_NHE, *saved)
        ctx.kernel, ctx.plan, ctx.scale = kernel, plan, scale
        return out_NHE[None]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q_NHE, k_UGE, v_UGE, out_NHE, *saved = ctx.saved_tensors
        plan: VarlenPlan = ctx.plan
        grads = ctx.kernel.backward(grad[0], (q_NHE, k_UGE, v_UGE), out_NHE, tuple(saved), plan, ctx.scale)
        grad_q, *grads_kv = grads
        if plan.prefixes is not None:
            grads_kv = [_sum_copies(grad_UGE, plan.prefixes) for grad_UGE in grads_kv]
        return (*(grad_NHE.transpose(0, 1)[None] for grad_NHE in (grad_q, *grads_kv)), None, None, None)


def _sum_copies(grad_UGE: Tensor, prefixes: PrefixPlan) -> Tensor:
    """Each token's gradient, N×G×E: that of its own key, and of the copies of it that segments read as a prefix."""
    grad_NGE = grad_UGE.index_select(0, prefixes.own_key_N)
    copies = grad_UGE.index_select(0, prefixes.copies_PC.flatten())
    copies_PCGE = copies.view(*prefixes.copies_PC.shape, *grad_UGE.shape[1:])
    sums_PGE = (copies_PCGE * prefixes.real_PC11).sum(1)  # float32, since `real_PC11` is
    return grad_NGE.index_add_(0, prefixes.token_P, sums_PGE.to(grad_NGE.dtype))


# ---------------------------------------------------------------- which kernel

_tested: dict[tuple[torch.device, torch.dtype], bool] = {}


def choose_kernel(device: torch.device, dtype: torch.dtype) -> Kernel | None:
    """FlashAttention where it is right on this device; None: attention is batched products, see attention.py."""
    if device.type != "cuda" or dtype == torch.float32:
        return None
    key = (device, dtype)
    if key not in _tested:
        able = torch.cuda.get_device_capability(device) >= _AMPERE
        _tested[key] = able and agrees_with_plain(FlashKernel(), device, dtype)
        if able and not _tested[key]:
            _log.warning("FlashAttention fails on %s: attention is computed by batched products", device)
    return FlashKernel() if _tested[key] else None


def agrees_with_plain(kernel: Kernel, device: torch.device, dtype: torch.dtype) -> bool:
    """Compare with `PlainKernel` in float32 on random numbers, prefixes and an empty segment included."""
    bounds = ((0, 9), (9, 16), (16, 17), (17, 17), (17, 90))
    plan = plan_on(varlen_plan(bounds, ((0, 0), (0, 9), (0, 9), (0, 0), (0, 0))), device)
    draw = torch.Generator().manual_seed(0)
    shapes = [(1, heads, 90, 64) for heads in (6, 2, 2)]
    inputs = [torch.randn(shape, generator=draw).to(device, dtype) for shape in shapes]
    weights = torch.randn(1, 90, 6, 64, generator=draw).to(device, dtype)

    def results(of: Kernel, precision: torch.dtype) -> list[Tensor]:
        leaves = [x.to(precision).requires_grad_() for x in inputs]
        with torch.enable_grad():
            out = _Attention.apply(*leaves, of, plan, 0.125)  # type: ignore[no-untyped-call]
            return [out.detach(), *torch.autograd.grad(out, leaves, weights.to(precision))]

    try:
        pairs = zip(results(kernel, dtype), results(PlainKernel(), torch.float32), strict=True)
        return all(bool((got.float() - want).norm() <= 0.02 * want.norm()) for got, want in pairs)
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return False
