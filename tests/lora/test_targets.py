"""Which layers are adapted: those that text runs through, and of the paper's recipe never silently all."""

from __future__ import annotations

import re

import pytest
from torch import nn
from zoo.models import ZOO, listed_experts

from seal_agent.errors import InputError, ModelError
from seal_agent.lora.coverage import left_out
from seal_agent.lora.targets import find_targets
from seal_agent.lora.text_layers import plain_token_ids, text_layers

ZOO_BY_NAME = {model.name: model for model in ZOO}


def leaves(name: str, *targets: str) -> set[str]:
    return {layer.rpartition(".")[2] for layer in find_targets(ZOO_BY_NAME[name].module(), targets)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("phi3", {"qkv_proj"}),  # PEFT's map does not name it
        ("qwen3-moe", {"q_proj", "v_proj"}),
        ("granite", {"q_proj", "v_proj"}),
        ("gemma4", {"q_proj", "v_proj"}),  # PEFT's map has a regular expression
        ("gemma3", {"q_proj", "v_proj"}),
        ("deepseek-v3", {"q_b_proj", "kv_b_proj"}),
        ("mamba2", {"in_proj"}),
        ("gpt2", {"c_attn"}),
        ("phi", {"q_proj", "v_proj", "fc1", "fc2"}),  # as PEFT's map says
    ],
)
def test_default_means_query_and_value_or_what_peft_says(name: str, expected: set[str]) -> None:
    assert leaves(name, "default") == expected


def test_default_of_an_unknown_kind_of_model_is_an_error_and_not_everything() -> None:
    module = ZOO_BY_NAME["llama"].module()
    module.config.model_type = "novel"
    for layer in module.model.layers:
        layer.self_attn.forward = lambda hidden_states, **options: (hidden_states, None)
    with pytest.raises(InputError, match=r"targets names 'default'.*gate_proj"):
        find_targets(module, ["default"])


@pytest.mark.parametrize("name", ["gemma3", "gemma4", "llava", "qwen2-vl"])
def test_layers_that_see_images_are_not_adapted(name: str) -> None:
    module = ZOO_BY_NAME[name].module()
    found = find_targets(module, ["all", "default"])
    assert found
    assert not any("vis" in layer or "multi_modal" in layer for layer in found)
    with pytest.raises(InputError, match="which text does not run through"):
        find_targets(module, ["vision_tower" if "qwen" not in name else "visual"])


def test_layers_of_cross_attention_to_images_are_not_adapted() -> None:
    found = find_targets(ZOO_BY_NAME["mllama"].module(), ["all"])
    assert not any(".layers.1." in layer for layer in found)
    assert sum(".layers.2." in layer for layer in found) == 7


@pytest.mark.parametrize("name", ["phimoe", "llama4-text"])
def test_routers_that_return_tuples_are_not_adapted(name: str) -> None:
    assert "router" not in leaves(name, "all")


def test_what_peft_refuses_is_left_out_of_all_and_trained_when_named() -> None:
    assert leaves("mamba", "all") == {"in_proj", "x_proj"}
    assert leaves("mamba", "out_proj") == {"out_proj"}
    with pytest.raises(InputError, match="which text does not run through"):
        leaves("mamba", "dt_proj")  # transformers reads its weights and never calls it


def test_layers_in_the_output_head_are_not_adapted() -> None:
    module = ZOO_BY_NAME["modernbert-decoder"].module()
    assert text_layers(module).in_head == {"lm_head.dense"}
    assert "lm_head.dense" not in text_layers(module).by_token
    assert not any("lm_head" in name for name in find_targets(module, ["all", "default"]))
    assert left_out(module) is None
    with pytest.raises(InputError, match="'lm_head', which belongs to the output head"):
        find_targets(module, ["lm_head"])


def test_experts_that_no_token_of_the_trial_reached_are_adapted_like_their_siblings() -> None:
    module = listed_experts()
    found = text_layers(module)
    experts = [name for name in found.names if ".experts." in name]
    assert len(experts) == 2 * 4 * 1
    assert not found.by_token.intersection(experts)


def test_a_model_that_does_not_run_on_text_is_an_error() -> None:
    module = ZOO_BY_NAME["llama"].module()
    module.model.layers[0].self_attn.q_proj = nn.Linear(63, 64)
    with pytest.raises(ModelError, match="does not run on text alone"):
        find_targets(module, ["all"])


def test_a_trial_text_holds_no_mark_of_an_image() -> None:
    module = ZOO_BY_NAME["llava"].module()
    assert module.config.image_token_index == 300
    ids = plain_token_ids(module, 400)
    assert 300 not in ids
    assert 0 not in ids  # the padding
    assert len(set(ids)) > 100


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "mixtral",
            r"train k_proj, o_proj, q_proj, v_proj; they leave out .*experts.gate_up_proj.* 69% of",
        ),
        ("mamba", r"out_proj, which PEFT cannot hold"),
        ("llama", None),
        ("gemma3", None),
    ],
)
def test_what_adapters_leave_out_is_said(name: str, said: str | None) -> None:
    sentence = left_out(ZOO_BY_NAME[name].module())
    if said is None:
        assert sentence is None
    else:
        assert sentence is not None
        assert re.search(said, sentence)
