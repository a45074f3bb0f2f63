"""What a model keeps of the tokens it has read, between forward passes: a cache, or the tokens themselves."""

from __future__ import annotations

import inspect
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

from seal_agent.base_model.sight import has_pictures, sight_of

_CACHE_ARGUMENTS = ("past_key_values", "cache_params", "state", "mems")  # names that transformers' models use


class CacheKind(StrEnum):
    """Where a model's cache comes from."""

    GROWING = (
        "growing"  # keys and values written in place, see kv_cache.py; recurrent states as transformers holds them
    )
    OWN = "own"  # made by the model itself
    NONE = "none"  # the whole sequence is read again for every token


class DecodingState:
    """The rows of one batch, as far as the model has read them. Empty at first.

    `read` calls the model as transformers' `generate` does: which arguments a model wants, and which of them only at
    the first pass, is its own `prepare_inputs_for_generation`'s to say.
    """

    def __init__(self, module: nn.Module, kind: CacheKind) -> None:
        from seal_agent.generation.kv_cache import keeps_all_positions, new_cache

        self._module, self._kind = module, kind
        self._parameters = inspect.signature(module.forward).parameters
        self._cache: Any = new_cache(module.config) if kind is CacheKind.GROWING else None
        self._ids_BT: Tensor | None = None
        self._short_B1: Tensor | None = None  # how far positions fall short of counting tokens, behind pictures
        self.shares_prefixes = kind is CacheKind.GROWING and keeps_all_positions(self._cache)
        """Whether rows that begin alike may read it once: every position has keys and values of its own."""

    @property
    def cache(self) -> Any:
        """The model's cache; None before the first tokens, and for models without one."""
        return self._cache

    def read(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Read more tokens of each row. Returns the logits behind the last in float32, B×V.

        Args:
            ids_BT: The new tokens, the first time with padding on the left.
            mask_BT: 1 for each token so far, the new ones included, and 0 for padding.
        """
        first = self._ids_BT is None
        self._ids_BT = ids_BT if self._ids_BT is None else torch.cat([self._ids_BT, ids_BT], dim=1)
        if self._kind is CacheKind.NONE:
            return last_logits(self._module, self._ids_BT, mask_BT, 1)[:, -1].float()
        name = next(name for name in _CACHE_ARGUMENTS if name in self._parameters)
        given = {
            "attention_mask": mask_BT,
            "position_ids": self._positions(ids_BT, mask_BT),
            "logits_to_keep": 1,
            **({} if self._cache is None else {name: self._cache}),
            **_kinds(self._module, ids_BT),
        }
        accepted = {key: value for key, value in given.items() if key in self._parameters}
        inputs = self._module.prepare_inputs_for_generation(  # type: ignore[operator]
            ids_BT, use_cache=True, is_first_iteration=first, **accepted
        )
        out = self._module(**inputs, return_dict=True)
        self._cache = out.get(name, self._cache)
        logits: Tensor = out.logits[:, -1].float()
        return logits

    def _positions(self, ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
        """Positions of the new tokens, B×T, or 3×B×T where the model places pictures in three dimensions."""
        sight, length = sight_of(self._module), ids_BT.shape[1]
        if sight is not None and sight.rope_index is not None and has_pictures(ids_BT):
            assert self._ids_BT is not None
            positions_3BT, self._short_B1 = sight.places(self._ids_BT, mask_BT) or (None, None)
            if positions_3BT is not None:
                return positions_3BT[..., -length:]
        positions_BT = _positions(mask_BT)[:, -length:]
        return positions_BT if self._short_B1 is None else positions_BT + self._short_B1

    def join(self, other: DecodingState) -> None:
        """Put the rows of another state behind these, padded on the left. Both must share prefixes."""
        from seal_agent.generation import kv_cache

        if self._ids_BT is None or other._ids_BT is None:
            raise ValueError("rows can join only where both have been read")
        length = max(self._ids_BT.shape[1], other._ids_BT.shape[1])
        if self._short_B1 is not None or other._short_B1 is not None:
            self._short_B1 = torch.cat(
                [_or_zero(self._short_B1, self._ids_BT), _or_zero(other._short_B1, other._ids_BT)]
            )
        self._ids_BT = torch.cat([padded_left(self._ids_BT, length), padded_left(other._ids_BT, length)])
        kv_cache.join(self._cache, other._cache)

    def drop_first(self, positions: int) -> None:
        """Drop the first positions, where every row has padding. The state must share prefixes."""
        from seal_agent.generation import kv_cache

        if positions and self._ids_BT is not None:
            self._ids_BT = self._ids_BT[:, positions:]
            kv_cache.drop_first(self._cache, positions)

    def select_rows(self, index: Tensor) -> None:
        """Keep these rows, in this order; a row may be taken more than once."""
        if self._ids_BT is not None:
            self._ids_BT = self._ids_BT[index]
        if self._short_B1 is not None:
            self._short_B1 = self._short_B1[index]
        if self._cache is not None:
            self._cache.reorder_cache(index)


def padded_left(values_BT: Tensor, length: int) -> Tensor:
    """Rows with zeros before them, B×length."""
    return torch.nn.functional.pad(values_BT, (length - values_BT.shape[1], 0))


def last_logits(module: nn.Module, ids_BT: Tensor, mask_BT: Tensor, count: int) -> Tensor:
    """The logits of the last `count` positions, B×count×V, in one pass without a cache."""
    parameters = inspect.signature(module.forward).parameters
    sight = sight_of(module)
    placed = sight.places(ids_BT, mask_BT) if sight is not None and has_pictures(ids_BT) else None
    given = {
        "attention_mask": mask_BT,
        "position_ids": placed[0] if placed else _positions(mask_BT),
        "logits_to_keep": count,
        "use_cache": False,
        **_kinds(module, ids_BT),
    }
    accepted = {key: value for key, value in given.items() if key in parameters}
    logits: Tensor = module(input_ids=ids_BT, return_dict=True, **accepted).logits[:, -count:]
    return logits


def _kinds(module: nn.Module, ids_BT: Tensor) -> dict[str, Tensor]:
    """Which tokens are a picture's, for a model that reads pictures in both directions."""
    sight = sight_of(module)
    if sight is None or not sight.looks_both_ways or not has_pictures(ids_BT):
        return {}
    return {"token_type_ids": sight.token_types(ids_BT)}


def _or_zero(short_B1: Tensor | None, ids_BT: Tensor) -> Tensor:
    return ids_BT.new_zeros(len(ids_BT), 1) if short_B1 is None else short_B1


def _positions(mask_BT: Tensor) -> Tensor:
    """Positions of the tokens, counted without padding."""
    return (mask_BT.cumsum(1) - 1).clamp(min=0)
