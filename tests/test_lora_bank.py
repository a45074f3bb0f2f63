"""Adapters as values: which layers they touch, how they are stacked, and who sees them."""

from __future__ import annotations

import threading

import pytest
import torch
from conftest import random_adapter
from torch.testing import assert_close

from seal_agent.errors import InputError
from seal_agent.inner_loop.lora import LoraAdapter, find_targets, new_adapter
from seal_agent.inner_loop.routing import Route, make_routable, routed
from seal_agent.inner_loop.serving import serving_route, stack
from seal_agent.models import BaseModel

CPU = torch.device("cpu")
IDS = torch.arange(10, 22).reshape(3, 4)


def logits(base: BaseModel, route: Route | None = None, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad(), routed(route):
        out: torch.Tensor = base.module(input_ids=ids).logits
    return out


def route(base: BaseModel, *adapters: LoraAdapter | None) -> Route | None:
    return serving_route(base.module, adapters, CPU, torch.float32)


# ---------------------------------------------------------------- targets


def test_the_default_targets_are_pefts_own(tiny_base: BaseModel, tiny_gpt2_base: BaseModel) -> None:
    assert {name.rpartition(".")[2] for name in find_targets(tiny_base.module, ["default"])} == {"q_proj", "v_proj"}
    assert {name.rpartition(".")[2] for name in find_targets(tiny_gpt2_base.module, ["default"])} == {"c_attn"}


def test_all_means_every_linear_layer_but_the_output(tiny_base: BaseModel, tiny_gpt2_base: BaseModel) -> None:
    names = find_targets(tiny_base.module, ["all"])
    assert len(names) == 2 * 7
    assert not any("lm_head" in name for name in names)
    assert len(find_targets(tiny_gpt2_base.module, ["all"])) == 2 * 4


def test_targets_may_be_named_and_come_in_the_models_order(tiny_base: BaseModel) -> None:
    names = find_targets(tiny_base.module, ["up_proj", "q_proj"])
    assert [name.rpartition(".")[2] for name in names] == ["q_proj", "up_proj"] * 2


def test_an_unknown_target_is_answered_with_the_known_ones(tiny_base: BaseModel) -> None:
    with pytest.raises(InputError, match=r"'c_attn'.*down_proj, gate_proj, k_proj"):
        find_targets(tiny_base.module, ["c_attn"])


# ---------------------------------------------------------------- new adapters


def test_a_new_adapter_changes_nothing_and_follows_its_seed(tiny_base: BaseModel) -> None:
    names = find_targets(tiny_base.module, ["default"])
    first, again, other = (new_adapter(tiny_base.module, names, 4, 8.0, seed) for seed in (0, 0, 1))
    assert torch.equal(logits(tiny_base, route(tiny_base, first)), logits(tiny_base))
    assert all(torch.equal(first.pairs[n].a_DR, again.pairs[n].a_DR) for n in names)
    assert not torch.equal(first.pairs[names[0]].a_DR, other.pairs[names[0]].a_DR)


def test_a_is_drawn_uniform_between_plus_and_minus_one_over_root_inputs(tiny_base: BaseModel) -> None:
    """What PEFT's kaiming_uniform(a=√5) amounts to."""
    pair = next(iter(new_adapter(tiny_base.module, ["model.layers.0.mlp.down_proj"], 16, 16.0, 0).pairs.values()))
    bound = 96**-0.5
    assert pair.a_DR.shape == (96, 16)
    assert pair.b_RO.shape == (16, 64)
    assert 0.95 * bound < pair.a_DR.abs().max() <= bound
    assert abs(pair.a_DR.var() - bound**2 / 3) < 0.1 * bound**2


# ---------------------------------------------------------------- stacking and routing


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
