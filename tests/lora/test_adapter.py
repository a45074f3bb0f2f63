"""Adapters as values: which layers they touch, and how a fresh one is drawn."""

from __future__ import annotations

import pytest
import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.lora.adapter import LoraAdapter, new_adapter
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route
from seal_agent.lora.targets import find_targets

IDS = torch.arange(10, 22).reshape(3, 4)


def logits(base: BaseModel, adapter: LoraAdapter | None = None) -> torch.Tensor:
    with torch.no_grad(), routed(serving_route(base.module, [adapter] * len(IDS), base.device, base.dtype)):
        out: torch.Tensor = base.module(input_ids=IDS).logits
    return out


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


def test_targets_may_be_layers_or_parts_of_them(tiny_base: BaseModel) -> None:
    assert len(find_targets(tiny_base.module, ["layers.1"])) == 7
    assert all(".layers.1." in name for name in find_targets(tiny_base.module, ["layers.1"]))
    assert len(find_targets(tiny_base.module, ["mlp"])) == 2 * 3
    assert len(find_targets(tiny_base.module, ["layers.0.mlp.up_proj"])) == 1
    with pytest.raises(InputError, match=r"layers\.7"):
        find_targets(tiny_base.module, ["layers.7"])


def test_an_unknown_target_is_answered_with_the_known_ones(tiny_base: BaseModel) -> None:
    with pytest.raises(InputError, match=r"'c_attn'.*down_proj, gate_proj, k_proj"):
        find_targets(tiny_base.module, ["c_attn"])


# ---------------------------------------------------------------- new adapters


def test_a_new_adapter_changes_nothing_and_follows_its_seed(tiny_base: BaseModel) -> None:
    names = find_targets(tiny_base.module, ["default"])
    first, again, other = (new_adapter(tiny_base.module, names, 4, 8.0, seed) for seed in (0, 0, 1))
    assert torch.equal(logits(tiny_base, first), logits(tiny_base))
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
