"""Products of the tokens of a pass with the factors of their slots: the launches do not grow with spans or slots.

The tokens of a pass lie slot by slot. Three ways compute the same: views, where the bank has a single slot; torch's
grouped matrix product; and one batched product over slots that are padded to the longest of them.

Dimensions: K slots of the bank, N tokens, I and O the columns of a product's operands; S slots that the pass reaches, L
tokens of the longest of them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_log = logging.getLogger(__name__)

ALIGNMENT = 8  # torch's grouped product reads rows in multiples of 16 bytes, which are 8 numbers of 2 bytes
_HOPPER = (9, 0)  # on older devices torch's grouped product waits for the device and runs group by group


@dataclass(frozen=True, slots=True)
class SlotPlaces:
    """Where the tokens of each slot are."""

    ends_K: Tensor
    """int32; the tokens of slot k are those from `ends_K[k - 1]` on, and before `ends_K[k]`."""
    padded: PaddedPlaces | None = None
    """Only for `PaddedProducts`."""


@dataclass(frozen=True, slots=True)
class PaddedPlaces:
    """The slots that a pass reaches, padded to the longest of them."""

    slots_S: Tensor
    rows_SL: Tensor
    real_SL1: Tensor
    index_N: Tensor
    """Each token's row among the S·L."""


class Products(Protocol):
    """One way to multiply the tokens of every slot with what belongs to it."""

    needs_padding: bool
    """Whether `SlotPlaces.padded` is read."""

    def by_slot(self, x_NI: Tensor, w_KIO: Tensor, places: SlotPlaces) -> Tensor:
        """Each token times the matrix of its slot, N×O."""
        ...

    def outer(self, x_NI: Tensor, g_NO: Tensor, places: SlotPlaces) -> Tensor:
        """For each slot the sum over its tokens of xᵀ g, K×I×O; zeros for slots without tokens."""
        ...


class ViewProducts:
    """For a bank of one slot: plain products with views of its factors."""

    needs_padding = False

    def by_slot(self, x_NI: Tensor, w_KIO: Tensor, places: SlotPlaces) -> Tensor:
        return x_NI @ w_KIO[0]

    def outer(self, x_NI: Tensor, g_NO: Tensor, places: SlotPlaces) -> Tensor:
        return (x_NI.T @ g_NO)[None]


class GroupedProducts:
    """torch.nn.functional.grouped_mm: all slots in one launch, without padding or gathers."""

    needs_padding = False

    def by_slot(self, x_NI: Tensor, w_KIO: Tensor, places: SlotPlaces) -> Tensor:
        return torch.nn.functional.grouped_mm(_aligned(x_NI), w_KIO, offs=places.ends_K)

    def outer(self, x_NI: Tensor, g_NO: Tensor, places: SlotPlaces) -> Tensor:
        return torch.nn.functional.grouped_mm(_aligned(x_NI).T, _aligned(g_NO), offs=places.ends_K)


class PaddedProducts:
    """One batched product over the slots of the pass, each padded to the longest. Runs everywhere."""

    needs_padding = True

    def by_slot(self, x_NI: Tensor, w_KIO: Tensor, places: SlotPlaces) -> Tensor:
        padded = _padded(places)
        x_SLI = x_NI.index_select(0, padded.rows_SL.flatten()).view(*padded.rows_SL.shape, -1)
        y_SLO = torch.bmm(x_SLI, w_KIO.index_select(0, padded.slots_S))
        return y_SLO.flatten(0, 1).index_select(0, padded.index_N)

    def outer(self, x_NI: Tensor, g_NO: Tensor, places: SlotPlaces) -> Tensor:
        padded = _padded(places)
        rows, shape = padded.rows_SL.flatten(), padded.rows_SL.shape
        x_SLI = x_NI.index_select(0, rows).view(*shape, -1)
        g_SLO = g_NO.index_select(0, rows).view(*shape, -1).masked_fill_(~padded.real_SL1, 0)
        # Padding repeats tokens of its own slot, so a number that is not finite stays in its slot.
        sums_SIO = torch.bmm(x_SLI.transpose(1, 2), g_SLO)
        out = sums_SIO.new_zeros(len(places.ends_K), *sums_SIO.shape[1:])
        return out.index_copy_(0, padded.slots_S, sums_SIO)


def _aligned(rows_NI: Tensor) -> Tensor:
    """The rows, copied only where torch's grouped product could not read them as they are."""
    readable = rows_NI.stride(1) == 1 and rows_NI.stride(0) % ALIGNMENT == 0 and rows_NI.data_ptr() % 16 == 0
    return rows_NI if readable else rows_NI.clone(memory_format=torch.contiguous_format)


def _padded(places: SlotPlaces) -> PaddedPlaces:
    assert places.padded is not None, "the plan of a pass holds no padding"
    return places.padded


def padded_places(counts_K: Sequence[int]) -> PaddedPlaces:
    """The padding for slots with these numbers of tokens, on the processor."""
    slots = [k for k, count in enumerate(counts_K) if count]
    count_S1 = torch.tensor([counts_K[k] for k in slots])[:, None]
    start_S1 = count_S1.cumsum(0) - count_S1
    offset_L = torch.arange(int(count_S1.max()))
    real_SL = offset_L < count_S1
    index_N = torch.arange(real_SL.numel()).view_as(real_SL)[real_SL]
    return PaddedPlaces(torch.tensor(slots), start_S1 + offset_L * real_SL, real_SL[..., None], index_N)


# ---------------------------------------------------------------- which of them


def choose_products(slots: int, rank: int, widths: Sequence[int], device: torch.device, dtype: torch.dtype) -> Products:
    """The fastest way that is right on this device, for a bank of these slots and this rank.

    Args:
        slots: Of the bank.
        rank: Of the bank, padding included.
        widths: Inputs and outputs of its layers.
        device: Where it is.
        dtype: Of its products.
    """
    if slots == 1:
        return ViewProducts()
    aligned = not any(width % ALIGNMENT for width in (rank, *widths))
    if aligned and device.type == "cuda" and dtype == torch.bfloat16 and _grouped_products_are_right(device):
        return GroupedProducts()
    return PaddedProducts()


_tested: dict[torch.device, bool] = {}


def _grouped_products_are_right(device: torch.device) -> bool:
    """Whether torch's grouped product gives on this device what plain products give; tested once."""
    if device not in _tested:
        fast = torch.cuda.get_device_capability(device) >= _HOPPER
        _tested[device] = fast and agrees_with_padding(GroupedProducts(), device, torch.bfloat16)
        if fast and not _tested[device]:
            _log.warning("torch's grouped matrix product fails on %s: padded batched products are used", device)
    return _tested[device]


@torch.no_grad()
def agrees_with_padding(products: Products, device: torch.device, dtype: torch.dtype) -> bool:
    """Compare with `PaddedProducts` on random numbers, slots without tokens and views of a larger vector included."""
    counts = (5, 0, 17, 1, 0, 9)
    draw = torch.Generator().manual_seed(0)
    x_NI, g_NO, flat = (torch.randn(shape, generator=draw) for shape in ((32, 64), (32, 16), (6, 64 * 16 + 32)))
    x_NI, g_NO, flat = (x.to(device, dtype) for x in (x_NI, g_NO, flat))
    w_KIO = flat[:, 16 : 16 + 64 * 16].view(6, 64, 16)
    ends_K = torch.tensor(counts).cumsum(0).int().to(device)
    padded = padded_places(counts)
    padded = PaddedPlaces(*(x.to(device) for x in (padded.slots_S, padded.rows_SL, padded.real_SL1, padded.index_N)))
    places = SlotPlaces(ends_K, padded)

    def results(of: Products) -> list[Tensor]:
        return [
            of.by_slot(x_NI, w_KIO, places),
            of.by_slot(g_NO, w_KIO.transpose(1, 2), places),
            of.outer(x_NI, g_NO, places),
            of.outer(g_NO, x_NI, places),
        ]

    try:
        return all(map(_close, results(products), results(PaddedProducts())))
    except (RuntimeError, ValueError, AttributeError, NotImplementedError):
        return False


def _close(left: Tensor, right: Tensor) -> bool:
    # Not isclose: what is not finite must fail, and a slot without tokens must be zero.
    return bool(((left - right).abs() <= 0.02 * right.abs() + 1e-3 * right.float().std()).all())
