"""Many adapters in one batch: how they are stacked, and who sees them."""

from __future__ import annotations

import gc
import threading

import pytest
import torch
from conftest import random_adapter
from torch.testing import assert_close

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import Route, make_routable, routed
from seal_agent.lora.serving import SingleAdapterCache, serving_route, stack

CPU = torch.device("cpu")
IDS = torch.arange(10, 22).reshape(3, 4)


def logits(base: BaseModel, route: Route | None = None, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad(), routed(route):
        out: torch.Tensor = base.module(input_ids=ids).logits
    return out


def route(base: BaseModel, *adapters: LoraAdapter | None) -> Route | None:
    return serving_route(base.module, adapters, CPU, torch.float32)


def test_ranks_may_differ_and_the_last_slot_is_none(tiny_base: BaseModel) -> None:
    small, large = random_adapter(tiny_base, 1, rank=2), random_adapter(tiny_base, 2, rank=6)
    for pair in stack([small, large], CPU, torch.float32).values():
        assert pair.a_KDR.shape[0] == 3
        assert pair.a_KDR.shape[2] == 6
        assert not pair.b_KRO[2].any()
        assert not pair.a_KDR[0, :, 2:].any()


def test_each_row_gets_its_own_adapter_or_none(tiny_base: BaseModel) -> None:
    small, large = random_adapter(tiny_base, 1, rank=2), random_adapter(tiny_base, 2, rank=6, targets=("all",))
    mixed = logits(tiny_base, route(tiny_base, small, None, large))
    for row, adapter in enumerate((small, None, large)):
        alone = logits(tiny_base, route(tiny_base, adapter), IDS[row : row + 1])
        assert_close(mixed[row : row + 1], alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("which", ["tiny_base", "tiny_gpt2_base"])
def test_routing_adds_scale_times_xab(which: str, request: pytest.FixtureRequest) -> None:
    base: BaseModel = request.getfixturevalue(which)
    adapter = random_adapter(base, 1)
    name, pair = next(iter(adapter.pairs.items()))
    layer = base.module.get_submodule(name)
    make_routable(base.module, [name])
    x_BTD = torch.randn(1, 3, 64)
    plain = layer(x_BTD)
    with routed(route(base, adapter)):
        got = layer(x_BTD)
    assert_close(got, plain + adapter.scale * x_BTD @ pair.a_DR @ pair.b_RO)


def test_a_route_ends_with_its_block_even_on_an_error(tiny_base: BaseModel) -> None:
    plain, adapter = logits(tiny_base), random_adapter(tiny_base, 1)
    assert not torch.equal(logits(tiny_base, route(tiny_base, adapter)), plain)
    assert torch.equal(logits(tiny_base), plain)
    with pytest.raises(ZeroDivisionError), routed(route(tiny_base, adapter)):
        _ = 1 / 0
    assert torch.equal(logits(tiny_base), plain)


def test_a_route_is_not_seen_by_another_thread(tiny_base: BaseModel) -> None:
    plain, got = logits(tiny_base), []
    with routed(route(tiny_base, random_adapter(tiny_base, 1))), torch.no_grad():
        other = threading.Thread(target=lambda: got.append(tiny_base.module(input_ids=IDS).logits.detach()))
        other.start()
        other.join()
    assert torch.equal(got[0], plain)


def test_an_inner_route_gives_way_to_the_outer_one(tiny_base: BaseModel) -> None:
    first, second = (route(tiny_base, random_adapter(tiny_base, seed)) for seed in (1, 2))
    want = logits(tiny_base, first)
    with routed(first), torch.no_grad():
        with routed(second):
            pass
        assert torch.equal(tiny_base.module(input_ids=IDS).logits, want)


def test_making_a_layer_routable_twice_adds_its_adapter_once(tiny_base: BaseModel) -> None:
    adapter = random_adapter(tiny_base, 1)
    once = logits(tiny_base, route(tiny_base, adapter))
    make_routable(tiny_base.module, list(adapter.pairs))
    assert torch.equal(logits(tiny_base, route(tiny_base, adapter)), once)


def test_what_was_made_ready_for_an_adapter_goes_with_it(tiny_base: BaseModel) -> None:
    cache, first, second = SingleAdapterCache(limit=1), random_adapter(tiny_base, 1), random_adapter(tiny_base, 2)
    pairs = cache.get(first, CPU, torch.float32)
    assert cache.get(first, CPU, torch.float32) is pairs
    assert cache.get(second, CPU, torch.float32) is not pairs
    assert len(cache._cached) == 1
    del second
    gc.collect()
    assert not cache._cached


def test_the_entry_used_longest_ago_goes_first(tiny_base: BaseModel) -> None:
    cache, adapters = SingleAdapterCache(limit=2), [random_adapter(tiny_base, i) for i in range(3)]
    first = cache.get(adapters[0], CPU, torch.float32)
    cache.get(adapters[1], CPU, torch.float32)
    assert cache.get(adapters[0], CPU, torch.float32) is first
    cache.get(adapters[2], CPU, torch.float32)
    assert cache.get(adapters[0], CPU, torch.float32) is first
    assert len(cache._cached) == 2


def test_each_dtype_has_an_entry_of_its_own(tiny_base: BaseModel) -> None:
    cache, adapter = SingleAdapterCache(), random_adapter(tiny_base, 1)
    wide, narrow = cache.get(adapter, CPU, torch.float32), cache.get(adapter, CPU, torch.bfloat16)
    name = next(iter(adapter.pairs))
    assert (wide[name].a_DC.dtype, narrow[name].a_DC.dtype) == (torch.float32, torch.bfloat16)
    assert cache.get(adapter, CPU, torch.float32) is wide


@pytest.mark.parametrize("shape", [(3, 5, 64), (15, 64), (3, 1, 5, 64)], ids=str)
def test_inputs_of_every_shape_with_the_tokens_in_order_go_through_their_rows_adapter(
    shape: tuple[int, ...], tiny_base: BaseModel
) -> None:
    adapters = [random_adapter(tiny_base, 1), None, random_adapter(tiny_base, 2)]
    name = next(iter(adapters[0].pairs))
    layer, x = tiny_base.module.get_submodule(name), torch.randn(3, 5, 64)
    with torch.no_grad(), routed(serving_route(tiny_base.module, adapters, CPU, torch.float32)):
        together = layer(x.reshape(shape))
    alone = []
    for row, adapter in zip(x, adapters, strict=True):
        with torch.no_grad(), routed(route(tiny_base, adapter)):
            alone.append(layer(row[None])[0])
    assert_close(together.reshape(3, 5, -1), torch.stack(alone), rtol=1e-4, atol=1e-4)


def test_inputs_in_another_dtype_than_the_model_keep_theirs(tiny_base: BaseModel) -> None:
    base = BaseModel("double", tiny_base.module.double(), tiny_base.tokenizer, "double")
    adapter = random_adapter(base, 1)
    name = next(iter(adapter.pairs))
    with torch.no_grad(), routed(serving_route(base.module, [adapter], CPU, torch.float32)):
        assert base.module.get_submodule(name)(torch.randn(1, 3, 64).double()).dtype == torch.float64
