"""A pass laid out for the device holds what packing.py lays out, and padding that nothing reads."""

from __future__ import annotations

import pytest
import torch
from bank_jobs import questions, random_sequences
from torch.testing import assert_close

from seal_agent.training.packing import Row, lay_out, shareable_prefixes
from seal_agent.training.stacked.device_plan import host_bundle
from seal_agent.training.stacked.layout import HostPlan, Layouter
from seal_agent.training.stacked.sizes import PassSizes, padding_segments, round_up
from seal_agent.training.stacked.transfer import bundle_of, to_device

CPU = torch.device("cpu")


def rows_of(shared: bool) -> list[Row]:
    """Of slots 0 and 2 of 4."""
    rows = []
    for slot, sequences in ((0, (*questions(0, 1, 5), *random_sequences(1, 2))), (2, questions(1, 2, 4))):
        prefixes = shareable_prefixes(sequences) if shared else [0] * len(sequences)
        rows += [
            Row(slot, s, 0.1 * (i + 1), 0, prefix)
            for i, (s, prefix) in enumerate(zip(sequences, prefixes, strict=True))
        ]
    return rows


def plan_of(rows: list[Row], rounded: bool) -> HostPlan:
    return Layouter(0, [2.0, 1.0, 0.5, 1.0], padded=True).lay_out(rows, rounded)


@pytest.mark.parametrize("shared", [False, True])
def test_it_is_the_layout_of_packing(shared: bool) -> None:
    rows = rows_of(shared)
    plan, batch = plan_of(rows, rounded=False), lay_out(rows, True, 0, CPU)
    assert batch.segments is not None
    assert batch.positions_BT is not None
    for left, right in (
        (plan.ids_N, batch.ids_BT[0]),
        (plan.positions_N, batch.positions_BT[0]),
        (plan.labelled_M, batch.labelled_M),
        (plan.targets_MJ, batch.targets_MJ),
        (plan.target_probs_MJ, batch.target_probs_MJ),
        (plan.weights_M, batch.weights_M),
        (plan.slots_M, batch.slots_M),
    ):
        assert_close(left, right, atol=0, rtol=0)
    assert (plan.spans, plan.segments, plan.prefixes) == (batch.spans, batch.segments.bounds, batch.segments.prefixes)
    assert plan.real_tokens == batch.real_tokens
    first = plan.spans[0].stop
    assert plan.ends_K.tolist() == [first, first, len(plan.ids_N), len(plan.ids_N)]
    assert plan.scale_N1[:, 0].tolist() == [2.0] * first + [0.5] * (len(plan.ids_N) - first)


@pytest.mark.parametrize("shared", [False, True])
def test_padding_is_the_last_slots_and_weighs_nothing(shared: bool) -> None:
    rows = rows_of(shared)
    plain, padded = plan_of(rows, rounded=False), plan_of(rows, rounded=True)
    real, sizes = len(plain.ids_N), padded.sizes
    assert sizes == plain.sizes.rounded_up()
    assert torch.equal(padded.ids_N[:real], plain.ids_N)
    assert sizes.tokens == len(padded.ids_N) > real
    assert len(padded.segments) == sizes.segments == len(padded.attention.query_starts) - 1
    assert max(stop - start for start, stop in padded.segments) <= sizes.longest_query
    assert int(padded.attention.query_starts[-1]) == sizes.tokens == padded.spans[-1].stop
    assert padded.spans[-1].slot == 2
    extra = len(plain.labelled_M)
    assert set(padded.labelled_M[extra:].tolist()) <= {sizes.tokens - 1}
    assert not padded.weights_M[extra:].any()
    assert padded.real_tokens == plain.real_tokens


def test_equal_sizes_have_equal_bundles() -> None:
    rows = rows_of(shared=True)
    plans = [plan_of(chosen, rounded=True) for chosen in (rows, rows[1:], rows[:-1], rows[2:])]
    for left in plans:
        for right in plans:
            shapes = [[t.shape for t in host_bundle(p, pinned=False).tensors[:-4]] for p in (left, right)]
            assert left.sizes != right.sizes or shapes[0] == shapes[1]


def test_sizes_are_few_and_waste_is_small() -> None:
    for steps, most in ((1, 2.0), (2, 1.5), (4, 1.25)):
        rounded = {round_up(n, steps) for n in range(64, 5000)}
        assert len(rounded) <= 8 * steps
        assert all(n <= round_up(n, steps) <= most * n for n in range(1, 5000))
        assert all(round_up(n, steps) == n for n in rounded)
    assert padding_segments(10, 35, 10) == [(10, 20), (20, 30), (30, 35)]
    sizes = PassSizes(100, 3, 50, 1, 40, 40, 0, 0, 0).rounded_up()
    assert (sizes.repeated_keys, sizes.prefix_tokens, sizes.copies) == (0, 0, 0)


def test_a_transfer_copies_every_tensor_into_one_buffer() -> None:
    tensors = [torch.arange(5), torch.tensor([[1.5, 2.5]]), torch.zeros(0, 3), torch.tensor([True, False, True])]
    bundle = to_device(bundle_of(tensors, pinned=False), CPU)
    other = to_device(
        bundle_of([t + t if t.dtype != torch.bool else ~t for t in tensors], pinned=False), CPU, bundle.buffer
    )
    assert other.buffer is bundle.buffer
    assert torch.equal(bundle.tensors[0], 2 * torch.arange(5))
    assert [t.tolist() for t in bundle.tensors[1:]] == [[[3.0, 5.0]], [], [False, True, False]]
