"""Inference with many adapters in one batch: each row uses its own adapter, or none.

Dimensions: K adapters, B rows, T tokens, D inputs, O outputs, R rank, C = K·R columns.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import make_routable

MAX_CONCATENATED_COLUMNS = 1024  # columns K·R up to which all adapters at once cost less than a gather per row

_CacheKey = tuple[int, torch.device, torch.dtype]


@dataclass(frozen=True, slots=True)
class StackedPair:
    """The pairs of K adapters for one layer, zero-padded to the largest rank, scale folded into B."""

    a_KDR: Tensor
    b_KRO: Tensor
    a_DC: Tensor  # the same factors, concatenated
    b_CO: Tensor


@dataclass(frozen=True, slots=True)
class ServingRoute:
    """Sends each row of a batch through its adapter; adapter index K means none. Implements Route."""

    pairs: Mapping[str, StackedPair]
    adapter_B: Tensor | None  # adapter index of each row; None: every row uses adapter 0
    column_mask_B1C: Tensor | None = None  # 1 where a column belongs to the row's adapter

    def select_rows(self, index: Tensor) -> ServingRoute:
        """The route of some rows of the batch; does not stack the adapters again."""
        if self.adapter_B is None or self.column_mask_B1C is None:
            return self
        return replace(self, adapter_B=self.adapter_B[index], column_mask_B1C=self.column_mask_B1C[index])

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The layer's output with adapters. x is B×T×D, B×…×D, or has the tokens of all rows in order, B·T×D."""
        out, pair = plain(x), self.pairs.get(name)
        return out if pair is None else out + self._delta(pair, x).to(out.dtype)

    def _delta(self, pair: StackedPair, x: Tensor) -> Tensor:
        x = x.to(pair.a_DC.dtype)
        if self.adapter_B is None or self.column_mask_B1C is None:
            return (x @ pair.a_DC) @ pair.b_CO
        x_BTD = x.reshape(len(self.adapter_B), -1, x.shape[-1])
        if x_BTD.shape[1] == 1 and pair.a_DC.shape[1] <= MAX_CONCATENATED_COLUMNS:
            delta_BTO = ((x_BTD @ pair.a_DC) * self.column_mask_B1C) @ pair.b_CO
        else:
            delta_BTO = torch.bmm(torch.bmm(x_BTD, pair.a_KDR[self.adapter_B]), pair.b_KRO[self.adapter_B])
        return delta_BTO.reshape(*x.shape[:-1], delta_BTO.shape[-1])


class SingleAdapterCache:
    """Stacked factors of adapters that were used alone, for the next call; an entry goes when its adapter does.

    Beyond `limit`, the entry that was used least recently goes.
    """

    def __init__(self, limit: int = 16) -> None:
        self._limit = limit
        self._cached: dict[_CacheKey, tuple[weakref.ref[LoraAdapter], dict[str, StackedPair]]] = {}
        self._lock = threading.Lock()

    def get(self, adapter: LoraAdapter, device: torch.device, dtype: torch.dtype) -> dict[str, StackedPair]:
        """The result of `stack_single`, computed on the first call for this device and dtype."""
        key = (id(adapter), device, dtype)
        cached = self._cached.pop(key, None)
        if cached is None or cached[0]() is not adapter:
            cached = (weakref.ref(adapter, lambda _: self._cached.pop(key, None)), stack_single(adapter, device, dtype))
        with self._lock:
            self._cached[key] = cached  # behind all others: the dictionary is in order of use
            while len(self._cached) > self._limit:
                self._cached.pop(next(iter(self._cached)), None)
        return cached[1]


def serving_route(
    model: nn.Module,
    adapters: Sequence[LoraAdapter | None],
    device: torch.device,
    dtype: torch.dtype,
    cache: SingleAdapterCache | None = None,
) -> ServingRoute | None:
    """The route of a batch whose row i uses adapters[i]; None if no row uses one. Makes the layers routable.

    If all rows share one adapter, the route fits a batch of any size, and `cache` may hold its factors.
    """
    distinct = list({id(adapter): adapter for adapter in adapters if adapter is not None}.values())
    if not distinct:
        return None
    make_routable(model, sorted({name for adapter in distinct for name in adapter.pairs}))
    if len(distinct) == 1 and all(adapter is not None for adapter in adapters):
        single = cache.get(distinct[0], device, dtype) if cache else stack_single(distinct[0], device, dtype)
        return ServingRoute(single, None)
    return _route_through(stack(distinct, device, dtype), distinct, adapters, device, dtype)


def _route_through(
    pairs: Mapping[str, StackedPair],
    stacked: Sequence[LoraAdapter],
    adapters: Sequence[LoraAdapter | None],
    device: torch.device,
    dtype: torch.dtype,
) -> ServingRoute:
    """The route of a batch whose row i uses adapters[i], by the pairs of the stacked adapters."""
    index = {id(adapter): k for k, adapter in enumerate(stacked)}
    adapter_B = torch.tensor([index.get(id(adapter), len(stacked)) for adapter in adapters], device=device)
    adapter_C = torch.arange(len(stacked), device=device).repeat_interleave(max(a.rank for a in stacked))
    return ServingRoute(pairs, adapter_B, (adapter_B[:, None, None] == adapter_C).to(dtype))


class AdapterStack:
    """Adapters stacked for a batch whose rows come and go: stacked anew only where a row brings another adapter.

    It drops its factors with the first of its adapters that nobody else holds: what is forgotten leaves it, too.
    """

    def __init__(self, model: nn.Module, device: torch.device, dtype: torch.dtype, limit: int = 16) -> None:
        self._model, self._device, self._dtype, self._limit = model, device, dtype, limit
        self._pairs: Mapping[str, StackedPair] = {}
        self._held: list[weakref.ref[LoraAdapter]] = []

    def route(self, adapters: Sequence[LoraAdapter | None]) -> ServingRoute | None:
        """The route of a batch whose row i uses adapters[i]; None if no row uses one."""
        needed = list({id(adapter): adapter for adapter in adapters if adapter is not None}.values())
        if not needed:
            return None
        stacked = [adapter for held in self._held if (adapter := held()) is not None]
        if len(stacked) < len(self._held) or {id(adapter) for adapter in needed} - {id(adapter) for adapter in stacked}:
            stacked = self._stack(needed, stacked)
        return _route_through(self._pairs, stacked, adapters, self._device, self._dtype)

    def _stack(self, needed: list[LoraAdapter], stacked: list[LoraAdapter]) -> list[LoraAdapter]:
        """Stack those that are needed, and of the others as many as there is room for."""
        known = {id(adapter) for adapter in needed}
        others = [adapter for adapter in stacked if id(adapter) not in known]
        chosen = [*needed, *others[: max(0, self._limit - len(needed))]]
        make_routable(self._model, sorted({name for adapter in chosen for name in adapter.pairs}))
        self._pairs = stack(chosen, self._device, self._dtype)
        self._held = [weakref.ref(adapter, self._drop) for adapter in chosen]
        return chosen

    def _drop(self, _: object) -> None:
        self._pairs, self._held = {}, []


def stack_single(adapter: LoraAdapter, device: torch.device, dtype: torch.dtype) -> dict[str, StackedPair]:
    """One adapter for all rows: its factors as they are, which takes a fifth of the time of `stack`."""
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
    example = next(adapter.pairs[name] for adapter in adapters if name in adapter.pairs)
    inputs, outputs = example.a_DR.shape[0], example.b_RO.shape[1]
    a_KDR = torch.zeros(len(adapters) + 1, inputs, rank)
    b_KRO = torch.zeros(len(adapters) + 1, rank, outputs)
    for k, adapter in enumerate(adapters):
        if pair := adapter.pairs.get(name):
            a_KDR[k, :, : adapter.rank] = pair.a_DR
            b_KRO[k, : adapter.rank] = pair.b_RO * adapter.scale
    a_KDR, b_KRO = a_KDR.to(device, dtype), b_KRO.to(device, dtype)
    a_DC = a_KDR[:-1].transpose(0, 1).reshape(inputs, -1)
    return StackedPair(a_KDR, b_KRO, a_DC, b_KRO[:-1].reshape(-1, outputs))
