"""Inference with many adapters in one batch: each row of the batch speaks with its own, or with none.

Dimensions: K adapters, B rows, T tokens, D inputs, O outputs, R rank.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import make_routable

MAX_SIDE_BY_SIDE = 1024  # columns K·R up to which all adapters at once cost less than a gather per row


@dataclass(frozen=True, slots=True)
class StackedPair:
    """The pairs of K adapters for one layer, zero-padded to the largest rank, scale folded into B."""

    a_KDR: Tensor
    b_KRO: Tensor
    a_DC: Tensor  # the same side by side: C = K·R columns
    b_CO: Tensor


@dataclass(frozen=True, slots=True)
class ServingRoute:
    """Which adapter each row of a batch uses; row index K means none. Implements Route."""

    pairs: Mapping[str, StackedPair]
    rows_B: Tensor | None  # None: every row uses adapter 0
    columns_B1C: Tensor | None = None  # 1 where a column belongs to the row's adapter

    def of_rows(self, index: Tensor) -> ServingRoute:
        """The route of the rows that stay in the batch; nothing is stacked anew."""
        if self.rows_B is None or self.columns_B1C is None:
            return self
        return replace(self, rows_B=self.rows_B[index], columns_B1C=self.columns_B1C[index])

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x_BTD: Tensor) -> Tensor:
        out_BTO, pair = plain(x_BTD), self.pairs.get(name)
        return out_BTO if pair is None else out_BTO + self._delta(pair, x_BTD)

    def _delta(self, pair: StackedPair, x_BTD: Tensor) -> Tensor:
        if self.rows_B is None or self.columns_B1C is None:
            return (x_BTD @ pair.a_DC) @ pair.b_CO
        if x_BTD.shape[1] == 1 and pair.a_DC.shape[1] <= MAX_SIDE_BY_SIDE:
            return ((x_BTD @ pair.a_DC) * self.columns_B1C) @ pair.b_CO
        return torch.bmm(torch.bmm(x_BTD, pair.a_KDR[self.rows_B]), pair.b_KRO[self.rows_B])


class SingleAdapterCache:
    """The factors of adapters that spoke alone, made ready for the next call; gone with the adapter itself."""

    def __init__(self, most: int = 16) -> None:
        self._most = most
        self._known: dict[int, tuple[weakref.ref[LoraAdapter], dict[str, StackedPair]]] = {}

    def pairs_of(self, adapter: LoraAdapter, device: torch.device, dtype: torch.dtype) -> dict[str, StackedPair]:
        """As `alone` gives them."""
        key = id(adapter)
        known = self._known.get(key)
        if known and known[0]() is adapter:
            return known[1]
        made = stack_single(adapter, device, dtype)
        self._known[key] = (weakref.ref(adapter, lambda _: self._known.pop(key, None)), made)
        for oldest in list(self._known)[: -self._most]:
            self._known.pop(oldest, None)
        return made


def serving_route(
    model: nn.Module,
    adapters: Sequence[LoraAdapter | None],
    device: torch.device,
    dtype: torch.dtype,
    ready: SingleAdapterCache | None = None,
) -> ServingRoute | None:
    """The route of a batch whose row i uses adapters[i]; None where no row uses one.

    Where all rows share one adapter, the route fits a batch of any size, and `ready` may have it already. The layers
    are made routable.
    """
    distinct = list({id(adapter): adapter for adapter in adapters if adapter is not None}.values())
    if not distinct:
        return None
    make_routable(model, sorted({name for adapter in distinct for name in adapter.pairs}))
    if len(distinct) == 1 and all(adapter is not None for adapter in adapters):
        made = ready.pairs_of(distinct[0], device, dtype) if ready else stack_single(distinct[0], device, dtype)
        return ServingRoute(made, None)
    pairs = stack(distinct, device, dtype)
    slot = {id(adapter): k for k, adapter in enumerate(distinct)}
    rows_B = torch.tensor([slot.get(id(adapter), len(distinct)) for adapter in adapters], device=device)
    owner_C = torch.arange(len(distinct), device=device).repeat_interleave(max(a.rank for a in distinct))
    return ServingRoute(pairs, rows_B, (rows_B[:, None, None] == owner_C).to(dtype))


def stack_single(adapter: LoraAdapter, device: torch.device, dtype: torch.dtype) -> dict[str, StackedPair]:
    """One adapter for all rows: its factors as they are, which takes a fifth of the time of a stack."""
    pairs = {}
    for name, pair in adapter.pairs.items():
        a_DR = pair.a_DR.to(device, dtype)
        b_RO = (pair.b_RO * adapter.scale).to(device, dtype)
        pairs[name] = StackedPair(a_DR[None], b_RO[None], a_DR, b_RO)
    return pairs


def stack(adapters: Sequence[LoraAdapter], device: torch.device, dtype: torch.dtype) -> dict[str, StackedPair]:
    """K adapters as one stack per layer, plus a zero adapter at index K for rows that use none."""
    names = sorted({name for adapter in adapters for name in adapter.pairs})
    rank = max(adapter.rank for adapter in adapters)
    return {name: _stack_layer(name, adapters, rank, device, dtype) for name in names}


def _stack_layer(
    name: str, adapters: Sequence[LoraAdapter], rank: int, device: torch.device, dtype: torch.dtype
) -> StackedPair:
    some = next(a.pairs[name] for a in adapters if name in a.pairs)
    inputs, outputs = some.a_DR.shape[0], some.b_RO.shape[1]
    a_KDR = torch.zeros(len(adapters) + 1, inputs, rank)
    b_KRO = torch.zeros(len(adapters) + 1, rank, outputs)
    for k, adapter in enumerate(adapters):
        if pair := adapter.pairs.get(name):
            a_KDR[k, :, : adapter.rank] = pair.a_DR
            b_KRO[k, : adapter.rank] = pair.b_RO * adapter.scale
    a_KDR, b_KRO = a_KDR.to(device, dtype), b_KRO.to(device, dtype)
    a_DC = a_KDR[:-1].transpose(0, 1).reshape(inputs, -1)
    return StackedPair(a_KDR, b_KRO, a_DC, b_KRO[:-1].reshape(-1, outputs))
