"""A KV cache of fixed size in which every row has a length of its own.

Dimensions: B rows, G key heads, T positions, E head size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class RowLayer(DynamicLayer):  # type: ignore[misc]
    """Keys and values, B×G×T×E; each row's new token is written behind the row's others."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, position_B: Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True
        self._position_B = position_B
        self._row_B = torch.arange(len(position_B), device=keys.device)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        for kept, states in ((self.keys, key_states), (self.values, value_states)):
            kept[self._row_B, :, self._position_B] = states[:, :, 0]
        return self.keys, self.values


class RowCache:
    """The cache of all layers; empty until the first rows are taken."""

    def __init__(self, rows: int, positions: int, position_B: Tensor) -> None:
        """`position_B` is where the next token of each row is written; whoever owns it moves it on."""
        self.rows, self.positions, self._position_B = rows, positions, position_B
        self.cache: Any = DynamicCache()

    def take(self, cache: Any, mask_RT: Tensor, place_R: Tensor) -> None:
        """Copy rows that were read with padding into places of their own, where they begin at position 0."""
        if not self.cache.layers:
            self.cache.layers = [self._empty_layer(layer) for layer in cache.layers]
        # Real tokens in their order, then padding, which later tokens overwrite and nothing reads.
        order_RT = (1 - mask_RT).argsort(dim=1, stable=True)
        length = order_RT.shape[1]
        for own, read in zip(self.cache.layers, cache.layers, strict=True):
            for kept, states in ((own.keys, read.keys), (own.values, read.values)):
                index = order_RT[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3])
                kept[place_R, :, :length] = states.gather(2, index)

    def _empty_layer(self, like: Any) -> RowLayer:
        keys, values = (
            states.new_zeros(self.rows, states.shape[1], self.positions, states.shape[3])
            for states in (like.keys, like.values)
        )
        return RowLayer(keys, values, self._position_B)
