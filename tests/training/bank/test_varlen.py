"""Attention by a kernel for variable lengths equals the attention of batched products."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seal_agent.training.bank.attention import _SegmentAttention
from seal_agent.training.bank.segments import Segments
from seal_agent.training.bank.varlen import (
    FlashKernel,
    PlainKernel,
    VarlenAttention,
    agrees_with_plain,
    choose_kernel,
)
from seal_agent.training.bank.varlen_plan import VarlenPlan, varlen_plan

CPU = torch.device("cpu")
BOUNDS = ((0, 11), (11, 16), (16, 40), (40, 43), (43, 44), (44, 90))
PREFIXES = ((0, 0), (0, 11), (0, 11), (0, 0), (40, 43), (0, 0))


def inputs_of(heads: int, key_heads: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    return [torch.randn(1, n, 90, 8, generator=draw).requires_grad_() for n in (heads, key_heads, key_heads)]


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (6, 2), (3, 1)])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_answers_and_gradients_are_those_of_batched_products(
    heads: int, key_heads: int, shared: bool, padded: bool
) -> None:
    inputs, prefixes = inputs_of(heads, key_heads), PREFIXES if shared else ((0, 0),) * len(BOUNDS)
    plan = varlen_plan(BOUNDS, prefixes)
    if padded and plan.prefixes is not None:
        larger = plan.prefixes.padded_to(keys=200, tokens=32, copies=4)
        plan = VarlenPlan(plan.query_starts, plan.key_starts, 64, 64, larger)
    got = VarlenAttention(PlainKernel(), plan)(*inputs, 0.3)
    assert got is not None
    want = _SegmentAttention.apply(*inputs, Segments(BOUNDS, CPU, prefixes), 0.3)
    assert_close(got, want)
    weights = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    grads = (torch.autograd.grad((out * weights).sum(), inputs) for out in (got, want))
    for mine, theirs in zip(*grads, strict=True):
        assert_close(mine, theirs)


def test_numbers_that_are_not_finite_stay_with_those_that_read_them() -> None:
    inputs = inputs_of(4, 2)
    for x in inputs:
        x.data[:, :, 40:44] = float("nan")
    plan = varlen_plan(BOUNDS, PREFIXES)
    assert plan.prefixes is not None
    larger = plan.prefixes.padded_to(keys=200, tokens=32, copies=8)
    plan = VarlenPlan(plan.query_starts, plan.key_starts, 64, 64, larger)
    out = VarlenAttention(PlainKernel(), plan)(*inputs, 0.3)
    assert out is not None
    others = [*range(40), *range(44, 90)]
    grads = torch.autograd.grad(out.sum(), inputs)
    assert out[:, others].isfinite().all()
    assert all(grad[:, :, others].isfinite().all() for grad in grads)


def test_the_check_of_a_device_accepts_what_is_right_and_refuses_what_is_not() -> None:
    class SeesTheFirstKeysOnly(PlainKernel):
        """Aligns its mask at the first key, as some kernels do: a suffix would not see all of its prefix."""

        def forward(
            self, q_NHE: Tensor, k_UGE: Tensor, v_UGE: Tensor, plan: VarlenPlan, scale: float
        ) -> tuple[Tensor, tuple[Tensor, ...]]:
            starts = plan.key_starts[:-1]
            lengths = plan.query_starts.diff()
            keep = torch.cat([torch.arange(int(s), int(s + n)) for s, n in zip(starts, lengths, strict=True)])
            wrong = VarlenPlan(plan.query_starts, plan.query_starts, plan.longest_query, plan.longest_query, None)
            return super().forward(q_NHE, k_UGE[keep], v_UGE[keep], wrong, scale)

    assert agrees_with_plain(PlainKernel(), CPU, torch.bfloat16)
    assert not agrees_with_plain(SeesTheFirstKeysOnly(), CPU, torch.bfloat16)
    assert not agrees_with_plain(FlashKernel(), CPU, torch.bfloat16)  # it has no kernel for the processor


def test_the_processor_keeps_its_batched_products() -> None:
    assert choose_kernel(CPU, torch.bfloat16) is None


@pytest.mark.parametrize(
    ("size", "value_size", "dtype"), [(12, 12, torch.float16), (16, 8, torch.float16), (16, 16, torch.float32)]
)
def test_flash_attention_is_not_given_what_it_does_not_take(size: int, value_size: int, dtype: torch.dtype) -> None:
    attention = VarlenAttention(FlashKernel(), varlen_plan(BOUNDS, PREFIXES))
    query, key, value = (torch.zeros(1, 2, 90, n, dtype=dtype) for n in (size, size, value_size))
    assert attention(query, key, value, 1.0) is None
    assert attention.refused
