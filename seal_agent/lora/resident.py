"""Adapters that stay on the device, side by side in one stack per layer, so that no call copies them again.

Dimensions: K places, B rows, D inputs, O outputs, R rank, C = K·R columns.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import make_routable
from seal_agent.lora.serving import ServingRoute, StackedPair
from seal_agent.lora.text_layers import linear_shape

MIN_PLACES, MAX_PLACES = 8, 64
MAX_SHARE = 0.25  # of the free memory, that the stacks may take; not tuned


class ResidentAdapters:
    """Stacks with places for adapters; whoever was used longest ago makes room."""

    def __init__(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
        self._model, self._device, self._dtype = model, device, dtype
        self._places: dict[int, tuple[weakref.ref[LoraAdapter], int]] = {}  # in order of use
        self._names: tuple[str, ...] = ()
        self.count = self.rank = 0
        self.pairs: dict[str, StackedPair] = {}
        self.version = 0
        """Grows when the stacks are made anew: what points into them is void then."""

    def places_of(self, adapters: Sequence[LoraAdapter | None], free_bytes: int) -> list[int] | None:
        """Make these adapters resident together. Returns the place of each, K for none; None where they do not fit.

        Args:
            adapters: Those of the rows of a batch.
            free_bytes: Memory that is free.
        """
        self._places = {key: entry for key, entry in self._places.items() if entry[0]() is not None}
        distinct = list({id(adapter): adapter for adapter in adapters if adapter is not None}.values())
        if distinct and not self._fits(distinct) and not self._grow(distinct, free_bytes):
            return None
        wanted = {id(adapter) for adapter in distinct}
        missing = [adapter for adapter in distinct if not self._is_here(adapter)]
        for adapter in distinct:
            if self._is_here(adapter):
                self._places[id(adapter)] = self._places.pop(id(adapter))
        for adapter in missing:
            self._load(adapter, self._free_place(wanted))
        return [self.count if adapter is None else self._places[id(adapter)][1] for adapter in adapters]

    def route(self, place_B: Tensor, column_mask_B1C: Tensor) -> ServingRoute:
        """The route of rows whose adapters are at these places; the tensors may be filled later."""
        return ServingRoute(self.pairs, place_B, column_mask_B1C)

    def column_mask(self, place_B: Tensor) -> Tensor:
        """1 where a column belongs to the row's adapter, B×1×C."""
        place_C = torch.arange(self.count, device=self._device).repeat_interleave(self.rank)
        return (place_B[:, None, None] == place_C).to(self._dtype)

    # ------------------------------------------------------------ places

    def _is_here(self, adapter: LoraAdapter) -> bool:
        known = self._places.get(id(adapter))
        return known is not None and known[0]() is adapter

    def _fits(self, adapters: Sequence[LoraAdapter]) -> bool:
        known = set(self._names)
        return len(adapters) <= self.count and all(a.rank <= self.rank and a.pairs.keys() <= known for a in adapters)

    def _free_place(self, wanted: set[int]) -> int:
        taken = {place for _, place in self._places.values()}
        if len(taken) < self.count:
            return next(place for place in range(self.count) if place not in taken)
        oldest = next(key for key in self._places if key not in wanted)
        return self._places.pop(oldest)[1]

    def _grow(self, adapters: Sequence[LoraAdapter], free_bytes: int) -> bool:
        """Make larger stacks, empty at first. Returns False, and leaves all as it was, where they do not fit."""
        count = max(MIN_PLACES, self.count, 1 << (len(adapters) - 1).bit_length())
        rank = max(self.rank, *(adapter.rank for adapter in adapters))
        names = tuple(sorted({*self._names, *(name for adapter in adapters for name in adapter.pairs)}))
        shapes = {name: linear_shape(self._model.get_submodule(name)) or (0, 0) for name in names}
        size = (count + 1) * rank * sum(map(sum, shapes.values())) * self._dtype.itemsize
        if count > MAX_PLACES or size > MAX_SHARE * free_bytes:
            return False
        try:
            pairs = {name: self._empty_pair(count, rank, *shape) for name, shape in shapes.items()}
        except torch.OutOfMemoryError:
            return False
        make_routable(self._model, names)
        self._places.clear()
        self._names, self.count, self.rank, self.pairs = names, count, rank, pairs
        self.version += 1
        return True

    def _empty_pair(self, count: int, rank: int, inputs: int, outputs: int) -> StackedPair:
        a_KRD = torch.zeros(count + 1, rank, inputs, device=self._device, dtype=self._dtype)
        b_KRO = torch.zeros(count + 1, rank, outputs, device=self._device, dtype=self._dtype)
        a_CD, b_CO = a_KRD[:-1].view(-1, inputs), b_KRO[:-1].view(-1, outputs)
        return StackedPair(a_KRD.transpose(1, 2), b_KRO, a_CD.T, b_CO)

    def _load(self, adapter: LoraAdapter, place: int) -> None:
        """Copy an adapter to a place, in one transfer; its scale is folded into B."""
        places: list[Tensor] = []
        parts: list[Tensor] = []
        for name, stacked in self.pairs.items():
            a_RD, b_RO = stacked.a_KDR[place].T, stacked.b_KRO[place]
            pair = adapter.pairs.get(name)
            if pair is None or adapter.rank < self.rank:
                a_RD.zero_()
                b_RO.zero_()
            if pair is not None:
                places += [a_RD[: adapter.rank], b_RO[: adapter.rank]]
                parts += [pair.a_DR.T, pair.b_RO * adapter.scale]
        flat = torch.cat([part.to(self._dtype).reshape(-1) for part in parts])
        flat = flat.pin_memory() if self._device.type == "cuda" else flat
        flat = flat.to(self._device, non_blocking=True)
        pieces = torch.split(flat, [part.numel() for part in parts])
        torch._foreach_copy_(places, [piece.view(to.shape) for piece, to in zip(pieces, places, strict=True)])
        self._places[id(adapter)] = (weakref.ref(adapter), place)
