"""A KV cache that is written in place: transformers' own copies all keys and values for every new token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

GROWTH = 64  # positions added when a buffer is full


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A DynamicLayer whose `keys` and `values` (B×H×T×D) are views into buffers with spare positions."""

    keys: Tensor | None
    values: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self._buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old_length = self.get_seq_length()
        new_length = old_length + key_states.shape[-2]
        buffers = self._buffers
        if buffers is None or not _is_view(self.keys, buffers[0]) or new_length > buffers[0].shape[-2]:
            capacity = new_length + GROWTH
            buffers = self._buffers = (
                _new_buffer(self.keys, key_states, old_length, capacity),
                _new_buffer(self.values, value_states, old_length, capacity),
            )
        for buffer, states in zip(buffers, (key_states, value_states), strict=True):
            buffer[:, :, old_length:new_length] = states
        self.keys, self.values = (buffer[:, :, :new_length] for buffer in buffers)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows. The old buffers are let go first, so that no layer waits for the others to free its own."""
        self._buffers = None
        super().reorder_cache(beam_idx)


def new_cache(config: Any) -> Any:
    """An empty cache for a model. Layers that do not keep all keys and values stay as transformers makes them."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def bytes_per_position(config: Any, dtype: torch.dtype) -> int:
    """Bytes that the keys and values of one position of one row take in all layers; 0 where a config does not say.

    Layers with a window are counted as if they kept all positions.
    """
    text = config.get_text_config(decoder=True)
    layers, width = getattr(text, "num_hidden_layers", None), getattr(text, "hidden_size", None)
    queries = getattr(text, "num_attention_heads", None)
    if not (isinstance(layers, int) and isinstance(width, int) and isinstance(queries, int) and queries):
        return 0
    heads = getattr(text, "num_key_value_heads", None) or queries
    size = getattr(text, "head_dim", None) or width // queries
    return 2 * layers * heads * size * dtype.itemsize if isinstance(heads, int) and isinstance(size, int) else 0


def keeps_all_positions(cache: Any) -> bool:
    """Whether every layer keeps keys and values of every position: no window, no recurrent state."""
    return bool(cache.layers) and all(isinstance(layer, GrowingLayer) for layer in cache.layers)


def join(cache: Any, other: Any) -> None:
    """Put the rows of `other` behind those of `cache`, all padded on the left to the longer of the two.

    Both must keep all positions.
    """
    length = max(cache.get_seq_length(), other.get_seq_length())
    for layer, more in zip(cache.layers, other.layers, strict=True):
        layer.keys = torch.cat([_padded(layer.keys, length), _padded(more.keys, length)])
        layer.values = torch.cat([_padded(layer.values, length), _padded(more.values, length)])


def drop_first(cache: Any, positions: int) -> None:
    """Drop the first positions of a cache that keeps all, where every row has padding."""
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[:, :, positions:], layer.values[:, :, positions:]


def _padded(states: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(states, (0, 0, length - states.shape[-2], 0))


def _is_view(states: Tensor | None, buffer: Tensor) -> bool:
    return states is not None and states.data_ptr() == buffer.data_ptr() and states.shape[0] == buffer.shape[0]


def _new_buffer(old: Tensor | None, like: Tensor, length: int, capacity: int) -> Tensor:
    """A buffer of `capacity` positions that begins with the first `length` of `old`."""
    buffer = like.new_empty(*like.shape[:2], capacity, like.shape[3])
    if length and old is not None:
        buffer[:, :, :length] = old
    return buffer
