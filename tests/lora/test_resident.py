"""Adapters that stay on the device."""

from __future__ import annotations

import gc

import pytest
import torch
from conftest import random_adapter
from torch.testing import assert_close

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.resident import MAX_PLACES, ResidentAdapters
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import StackedPair, serving_route

FREE = 1 << 40


def residents_of(base: BaseModel) -> ResidentAdapters:
    return ResidentAdapters(base.module, torch.device("cpu"), torch.float32)


def logits(base: BaseModel, residents: ResidentAdapters, rows: list[LoraAdapter | None], tokens: int) -> torch.Tensor:
    places = residents.places_of(rows, FREE)
    assert places is not None
    place_B = torch.tensor(places)
    ids = torch.arange(4, 4 + tokens).repeat(len(rows), 1)
    with torch.no_grad(), routed(residents.route(place_B, residents.column_mask(place_B))):
        out: torch.Tensor = base.module(ids).logits
    return out


def test_rows_are_answered_as_through_stacks_of_their_own(tiny_base: BaseModel) -> None:
    residents = residents_of(tiny_base)
    small = random_adapter(tiny_base, 1)
    large = random_adapter(tiny_base, 2, rank=8, targets=("all",))
    for rows in ([small, None], [large, small, None, large], [small, small]):
        for tokens in (1, 5):
            got = logits(tiny_base, residents, list(rows), tokens)
            ids = torch.arange(4, 4 + tokens).repeat(len(rows), 1)
            with torch.no_grad(), routed(serving_route(tiny_base.module, rows, torch.device("cpu"), torch.float32)):
                assert_close(got, tiny_base.module(ids).logits)
    assert residents.version == 2  # larger stacks were needed once, for the larger adapter


def test_what_is_there_is_not_copied_again_and_the_oldest_makes_room(tiny_base: BaseModel) -> None:
    residents, loaded = residents_of(tiny_base), list[int]()
    adapters = [random_adapter(tiny_base, seed) for seed in range(9)]
    load = residents._load

    def watched(adapter: LoraAdapter, place: int) -> None:
        loaded.append(next(i for i, known in enumerate(adapters) if known is adapter))
        load(adapter, place)

    residents._load = watched  # type: ignore[method-assign]
    residents.places_of(adapters[:8], FREE)
    residents.places_of([adapters[0], None], FREE)
    assert loaded == [*range(8)]
    assert residents.places_of([adapters[8]], FREE) == [1]  # that of adapter 1: 0 was used since
    assert residents.places_of([adapters[0], adapters[1]], FREE) == [0, 2]
    assert loaded == [*range(8), 8, 1]
    assert residents.version == 1


def test_places_of_adapters_that_are_gone_are_free(tiny_base: BaseModel) -> None:
    residents = residents_of(tiny_base)
    for round_number in range(3):
        adapters = [random_adapter(tiny_base, 100 * round_number + seed) for seed in range(8)]
        assert sorted(residents.places_of(adapters, FREE) or []) == [*range(8)]
        del adapters
        gc.collect()
    assert residents.version == 1


def test_where_memory_runs_out_while_the_stacks_grow_all_stays_as_it_was(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    residents = residents_of(tiny_base)
    small, large = random_adapter(tiny_base, 1), random_adapter(tiny_base, 2, rank=8, targets=("all",))
    want, empty_pair, made = logits(tiny_base, residents, [small, None], 5), residents._empty_pair, [0]

    def short_of_memory(*sizes: int) -> StackedPair:
        made[0] += 1
        if made[0] == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return empty_pair(*sizes)

    monkeypatch.setattr(residents, "_empty_pair", short_of_memory)
    assert residents.places_of([small, large], FREE) is None
    assert (residents.version, residents.rank) == (1, small.rank)
    assert_close(logits(tiny_base, residents, [small, None], 5), want)
    assert residents.places_of([small, large], FREE) == [0, 1]


def test_too_many_or_too_little_memory_is_said(tiny_base: BaseModel) -> None:
    residents = residents_of(tiny_base)
    adapters = [random_adapter(tiny_base, seed) for seed in range(3)]
    assert residents.places_of(adapters, free_bytes=1000) is None
    assert residents.places_of([None], free_bytes=0) == [0]
    assert residents.places_of(adapters, FREE) == [0, 1, 2]
    assert residents.places_of([random_adapter(tiny_base, 10 + s) for s in range(MAX_PLACES + 1)], FREE) is None
    assert residents.places_of(adapters, FREE) == [0, 1, 2]
