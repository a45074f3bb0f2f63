"""A KV cache of fixed size in which every row has a length of its own.

Dimensions: B rows, R rows that join, G key heads, T positions, E head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """What the cache of one layer holds of a token: heads × head size."""

    keys: tuple[int, int]
    values: tuple[int, int]
    dtype: torch.dtype


def sizes_of(cache: Any) -> tuple[LayerSizes, ...]:
    """The sizes of a cache's layers, which must hold tokens."""
    return tuple(
        LayerSizes(
            (layer.keys.shape[1], layer.keys.shape[3]), (layer.values.shape[1], layer.values.shape[3]), layer.keys.dtype
        )
        for layer in cache.layers
    )


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
    """The cache of all layers."""

    def __init__(self, positions: int, position_B: Tensor, layers: Sequence[LayerSizes]) -> None:
        """Allocates all memory at once, so that whoever makes it learns whether there is enough.

        Args:
            positions: Of each row.
            position_B: Where the next token of each row is written; whoever owns it moves it on.
            layers: The sizes of the model's own cache.
        """
        self.positions, self._position_B = positions, position_B
        self.cache: Any = DynamicCache()
        self.cache.layers = [self._empty_layer(layer) for layer in layers]

    def take(self, cache: Any, mask_RT: Tensor, place_R: Tensor) -> None:
        """Copy rows that were read with padding into places of their own, where they begin at position 0."""
        # Real tokens in their order, then padding, which later tokens overwrite and nothing reads. Prefixes that rows
        # share are padded, and so is what follows them: together they may be longer than any row.
        order_RT = (1 - mask_RT).argsort(dim=1, stable=True)[:, : self.positions]
        length = order_RT.shape[1]
        for own, read in zip(self.cache.layers, cache.layers, strict=True):
            for kept, states in ((own.keys, read.keys), (own.values, read.values)):
                index = order_RT[:, None, :, None].expand(-1, states.shape[1], -1, states.shape[3])
                kept[place_R, :, :length] = states.gather(2, index)

    def _empty_layer(self, sizes: LayerSizes) -> RowLayer:
        rows, device = len(self._position_B), self._position_B.device
        keys, values = (
            torch.zeros(rows, heads, self.positions, size, dtype=sizes.dtype, device=device)
            for heads, size in (sizes.keys, sizes.values)
        )
        return RowLayer(keys, values, self._position_B)
