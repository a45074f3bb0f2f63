"""A KV cache that is written in place: transformers' own copies all keys and values for every new token."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 64  # positions that a full buffer grows by


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """As DynamicLayer, but `keys` and `values` (B×H×T×D) are views into buffers with room for what comes next."""

    keys: Tensor | None
    values: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        buffers = self._buffers
        if buffers is None or not _is_view(self.keys, buffers[0]) or after > buffers[0].shape[-2]:
            room = after + ROOM
            buffers = self._buffers = (
                _moved(self.keys, key_states, before, room),
                _moved(self.values, value_states, before, room),
            )
        for buffer, new in zip(buffers, (key_states, value_states), strict=True):
            buffer[:, :, before:after] = new
        self.keys, self.values = (buffer[:, :, :after] for buffer in buffers)
        return self.keys, self.values


def new_cache(config: Any) -> Any:
    """An empty cache for a model; layers that keep something else than all keys and values stay as they are."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def keeps_all_positions(cache: Any) -> bool:
    """Whether every layer keeps keys and values of every position: no window, no recurrent state."""
    return bool(cache.layers) and all(isinstance(layer, GrowingLayer) for layer in cache.layers)


def _is_view(of: Tensor | None, buffer: Tensor) -> bool:
    return of is not None and of.data_ptr() == buffer.data_ptr() and of.shape[0] == buffer.shape[0]


def _moved(old: Tensor | None, like: Tensor, length: int, room: int) -> Tensor:
    buffer = like.new_empty(*like.shape[:2], room, like.shape[3])
    if length and old is not None:
        buffer[:, :, :length] = old
    return buffer
