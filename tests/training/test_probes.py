"""What a base model allows is found by trying it, in the precision it computes in."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from conftest import tokenizer
from peft_reference import train_with_peft
from zoo.models import NOT_CAUSAL, ZOO, ZooModel, listed_experts
from zoo.test_training import delta, sequences, two_jobs

from seal_agent.base_model.model import BaseModel
from seal_agent.config import BankConfig, InnerLoopConfig
from seal_agent.errors import ModelError, PartlyTrainedWarning
from seal_agent.lora.targets import find_targets
from seal_agent.training.bank.attention import use_segment_attention
from seal_agent.training.probes import check_causal, last_hidden_states, supports_packing
from seal_agent.training.retention.spectra import principal_directions
from seal_agent.training.train import train, train_each

ZOO_BY_NAME = {model.name: model for model in ZOO}
BF16 = torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("name", ["bloom", "falcon-h1", "mamba", "mamba2", "recurrent-gemma", "qwen3-next"])
def test_models_whose_packed_sequences_reach_each_other_are_not_packed(name: str, dtype: torch.dtype) -> None:
    assert not supports_packing(ZOO_BY_NAME[name].base(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("name", ["llama", "gpt2", "qwen3", "gemma2", "olmo-clipped", "phi3", "mistral"])
def test_models_of_attention_alone_are_packed(name: str, dtype: torch.dtype) -> None:
    base = ZOO_BY_NAME[name].base(dtype)
    use_segment_attention(base)
    assert supports_packing(base)


def test_a_small_leak_is_a_leak() -> None:
    """A thousandth of the state before is less than the tolerance of the norm, and enough to refuse packing."""
    base = ZOO_BY_NAME["llama"].base(BF16)
    use_segment_attention(base)
    norm = base.module.model.norm
    plain = norm.forward
    norm.forward = lambda x: plain(x + 0.01 * x.cumsum(1) / x.shape[1] * (x.shape[1] > 12))
    assert not supports_packing(base)


@pytest.mark.parametrize("zoo_model", NOT_CAUSAL, ids=lambda m: m.name)
def test_a_model_that_sees_the_tokens_to_come_is_refused(zoo_model: ZooModel) -> None:
    with pytest.raises(ModelError, match="a token sees the tokens after it"):
        train(zoo_model.base(), two_jobs())


def test_hidden_states_are_found_where_the_prefix_names_no_attribute() -> None:
    """Llama 4's text model: `base_model` is the model itself."""
    base = ZOO_BY_NAME["llama4-text"].base()
    assert base.module.base_model is base.module
    check_causal(base)
    from seal_agent.training.packing import Row, lay_out

    batch = lay_out([Row(0, sequences(0)[0], 1.0)], False, 0, base.device)
    assert last_hidden_states(base, batch).shape == (len(sequences(0)[0].input_ids), 64)


# ---------------------------------------------------------------- experts that are layers of a list


def base_with_experts() -> BaseModel:
    return BaseModel("experts", listed_experts(), tokenizer(chat=True), "experts-identity")


def test_experts_that_see_some_of_the_tokens_learn_what_peft_learns() -> None:
    base, jobs = base_with_experts(), two_jobs()
    expected = [train_with_peft(base, job) for job in jobs]
    results, report = train_each(base, jobs, bank=BankConfig(max_adapters=2))
    assert report.resident == 2
    for want, trained in zip(expected, results, strict=True):
        for name in want.pairs:
            assert (delta(trained.adapter, name) - delta(want, name)).norm() <= 0.02 * delta(want, name).norm(), name
        assert not any(want.pairs[f"model.layers.{i}.mlp.experts.3.proj"].b_RO.any() for i in (0, 1))


def test_experts_that_no_text_reaches_are_left_alone_by_the_default_recipe() -> None:
    base, config = base_with_experts(), InnerLoopConfig(epochs=1)
    names = find_targets(base.module, config.targets)
    directions = principal_directions(base, names, [s.input_ids for s in sequences(5)])
    assert directions["model.layers.0.mlp.experts.3.proj"].directions_DK.shape == (64, 0)
    (trained,) = train(base, [replace(job, directions=directions) for job in two_jobs(config)[:1]])
    assert not trained.adapter.pairs["model.layers.0.mlp.experts.3.proj"].b_RO.any()
    assert trained.adapter.pairs["model.layers.0.mlp.experts.1.proj"].b_RO.any()


def test_what_is_not_trained_is_said_once() -> None:
    base = ZOO_BY_NAME["mixtral"].base()
    with pytest.warns(PartlyTrainedWarning, match=r"zoo-mixtral: .*leave out .*experts"):
        train(base, two_jobs())
    with warnings.catch_warnings():
        warnings.simplefilter("error", PartlyTrainedWarning)
        train(base, two_jobs())
