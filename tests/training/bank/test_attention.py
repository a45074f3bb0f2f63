"""Attention within a packed row equals attention of each sequence alone."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from seal_agent.training.bank import attention
from seal_agent.training.bank.attention import _causal_mask, _SegmentAttention
from seal_agent.training.bank.grouping import group_by_length
from seal_agent.training.bank.segments import Segments

LENGTHS = (5, 61, 1, 60, 33, 17, 47, 30)
Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def bounds_of(lengths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return tuple(zip([0, *ends[:-1]], ends, strict=True))


def random_inputs(heads: int, key_heads: int, tokens: int) -> Tensors:
    draw = torch.Generator().manual_seed(0)
    shapes = [(1, n, tokens, 8) for n in (heads, key_heads, key_heads)]
    query, key, value = (torch.randn(shape, generator=draw).requires_grad_() for shape in shapes)
    return query, key, value


def attend(inputs: Tensors, lengths: tuple[int, ...]) -> torch.Tensor:
    segments = Segments(bounds_of(lengths), torch.device("cpu"))
    out: torch.Tensor = _SegmentAttention.apply(*inputs, segments, 0.3)
    return out


@pytest.mark.parametrize(("heads", "key_heads"), [(4, 4), (6, 2), (3, 1)])
def test_answers_and_gradients_are_those_of_each_sequence_alone(heads: int, key_heads: int) -> None:
    inputs = random_inputs(heads, key_heads, sum(LENGTHS))
    got = attend(inputs, LENGTHS)
    weights = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad((got * weights).sum(), inputs)
    alone = [
        torch.nn.functional.scaled_dot_product_attention(
            *(x[:, :, start:stop] for x in inputs), is_causal=True, scale=0.3, enable_gqa=True
        ).transpose(1, 2)
        for start, stop in bounds_of(LENGTHS)
    ]
    want = torch.cat(alone, dim=1)
    assert_close(got, want)
    for mine, theirs in zip(grads, torch.autograd.grad((want * weights).sum(), inputs), strict=True):
        assert_close(mine, theirs)


def test_numbers_that_are_not_finite_stay_in_their_segment() -> None:
    inputs = random_inputs(4, 2, sum(LENGTHS))
    start, stop = bounds_of(LENGTHS)[1]
    for x in inputs:
        x.data[:, :, start:stop] = float("nan")
    got = attend(inputs, LENGTHS)
    grads = torch.autograd.grad(got.sum(), inputs)
    others = [t for t in range(sum(LENGTHS)) if not start <= t < stop]
    assert got[:, start:stop].isnan().all()
    assert got[:, others].isfinite().all()
    assert all(grad[:, :, others].isfinite().all() for grad in grads)


def test_groups_hold_every_stretch_once_and_waste_little() -> None:
    bounds = bounds_of(LENGTHS)
    groups = group_by_length(bounds, min_fill=0.75, small=32)
    assert sorted(member for one in groups for member in one.members) == list(range(len(LENGTHS)))
    for one in groups:
        lengths = [LENGTHS[member] for member in one.members]
        assert max(lengths) <= 32 or min(lengths) >= 0.75 * max(lengths)
        for member, tokens, real in zip(one.members, one.token_SL, one.real_SL, strict=True):
            assert tokens[real].tolist() == list(range(*bounds[member]))
            assert set(tokens[~real].tolist()) <= {bounds[member][0]}


def test_the_masks_that_are_kept_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "_masks", {})
    monkeypatch.setattr(attention, "_MAX_MASK_BYTES", 40_000)
    cpu = torch.device("cpu")
    for length in range(1, 200):
        mask = _causal_mask(length, 3, 2, torch.float32, cpu)
        assert mask.shape == (1, 2 * length, length + 3)
        assert torch.equal(mask[0, :length] == 0, torch.ones(length, length + 3).tril(3).bool())
        assert sum(kept.nbytes for kept in attention._masks.values()) <= 40_000
    assert _causal_mask(5, 3, 2, torch.float32, cpu) is _causal_mask(5, 3, 2, torch.float32, cpu)
