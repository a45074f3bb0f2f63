"""The ways to multiply tokens with what belongs to their slots agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from seal_agent.training.bank.products import (
    GroupedProducts,
    PaddedProducts,
    Products,
    SlotPlaces,
    ViewProducts,
    agrees_with_padding,
    choose_products,
    padded_places,
)

CPU = torch.device("cpu")


def loop_by_slot(x_NI: Tensor, w_KIO: Tensor, counts: list[int]) -> Tensor:
    return torch.cat([part @ w_IO for part, w_IO in zip(x_NI.split(counts), w_KIO, strict=True)])


@pytest.mark.parametrize("way", [GroupedProducts(), PaddedProducts()], ids=["grouped", "padded"])
@pytest.mark.parametrize("counts", [[3, 0, 7, 1], [0, 0, 5, 0], [4, 4, 4, 4]])
def test_every_way_equals_a_loop_over_slots(way: Products, counts: list[int]) -> None:
    draw = torch.Generator().manual_seed(0)
    n = sum(counts)
    x_NI, g_NO, w_KIO = (torch.randn(shape, generator=draw) for shape in ((n, 16), (n, 8), (4, 16, 8)))
    places = SlotPlaces(torch.tensor(counts).cumsum(0).int(), padded_places(counts))
    assert_close(way.by_slot(x_NI, w_KIO, places), loop_by_slot(x_NI, w_KIO, counts))
    assert_close(way.by_slot(g_NO, w_KIO.transpose(1, 2), places), loop_by_slot(g_NO, w_KIO.transpose(1, 2), counts))
    want = torch.stack([x.T @ g for x, g in zip(x_NI.split(counts), g_NO.split(counts), strict=True)])
    assert_close(way.outer(x_NI, g_NO, places), want)


def test_a_single_slot_is_multiplied_by_views() -> None:
    x, w = torch.randn(5, 16), torch.randn(1, 16, 8)
    places = SlotPlaces(torch.tensor([5], dtype=torch.int32))
    assert torch.equal(ViewProducts().by_slot(x, w, places), x @ w[0])
    assert torch.equal(ViewProducts().outer(x, x, places), (x.T @ x)[None])
    assert isinstance(choose_products(1, 8, [16], CPU, torch.float32), ViewProducts)


@pytest.mark.parametrize("way", [GroupedProducts(), PaddedProducts()], ids=["grouped", "padded"])
def test_numbers_that_are_not_finite_stay_in_their_slot(way: Products) -> None:
    counts = [3, 6, 2]
    x_NI, g_NO, w_KIO = torch.randn(11, 16), torch.randn(11, 8), torch.randn(3, 16, 8)
    for tensor in (x_NI, g_NO):
        tensor[3:9] = float("nan")
    places = SlotPlaces(torch.tensor(counts).cumsum(0).int(), padded_places(counts))
    assert way.by_slot(x_NI, w_KIO, places)[[0, 1, 2, 9, 10]].isfinite().all()
    assert way.outer(x_NI, g_NO, places)[[0, 2]].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_check_of_a_device_accepts_what_is_right_and_refuses_what_is_not(dtype: torch.dtype) -> None:
    class GarbageInEmptySlots(GroupedProducts):
        def outer(self, x_NI: Tensor, g_NO: Tensor, places: SlotPlaces) -> Tensor:
            out = super().outer(x_NI, g_NO, places)
            out[1] = float("nan")
            return out

    class Unsupported(GroupedProducts):
        def by_slot(self, x_NI: Tensor, w_KIO: Tensor, places: SlotPlaces) -> Tensor:
            raise RuntimeError("no kernel for this device")

    assert agrees_with_padding(GroupedProducts(), CPU, dtype)
    assert not agrees_with_padding(GarbageInEmptySlots(), CPU, dtype)
    assert not agrees_with_padding(Unsupported(), CPU, dtype)


def test_without_a_gpu_slots_are_padded() -> None:
    assert isinstance(choose_products(4, 8, [16, 32], CPU, torch.bfloat16), PaddedProducts)
