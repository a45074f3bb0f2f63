"""Training in float16 learns what float32 does: gradients far below its smallest number are not lost."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from bank_jobs import base_of, delta, random_sequences
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.config import BankConfig, InnerLoopConfig, recipe_named
from seal_agent.training.bank.stacked_bank import StackedBank
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.full import train_full
from seal_agent.training.jobs import TrainJob
from seal_agent.training.loss import linear_cross_entropy
from seal_agent.training.loss_scale import loss_scale
from seal_agent.training.train import train

CONFIG = InnerLoopConfig(rank=4, alpha=8.0, epochs=2, learning_rate=3e-3, targets=("all",), batch_size=3)
# A token has a share of 1e-5 in its step's loss, as one of some thousands does in a sequence of little weight.
SEQUENCES = tuple(replace(sequence, weight=1e-3) for sequence in random_sequences(1, 6, shortest=20))


def both(name: str) -> tuple[BaseModel, BaseModel]:
    """A model whose numbers float16 holds, in float16 and in float32."""
    half = base_of(name)
    half.module.half()
    return half, replace(half, module=copy.deepcopy(half.module).float(), memo={})


def distance(left: list[Tensor], right: list[Tensor]) -> float:
    """Of all numbers together, as a share of the right ones' norm."""
    ours, theirs = (torch.cat([tensor.float().flatten() for tensor in side]) for side in (left, right))
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("name", ["llama", "gemma"])
def test_adapters_are_those_of_float32(name: str, stacked: bool) -> None:
    bank = BankConfig(stacked=stacked)
    half, full = (train(base, [TrainJob(SEQUENCES, CONFIG)], bank=bank)[0].adapter for base in both(name))
    assert distance(*([delta(adapter, layer) for layer in full.pairs] for adapter in (half, full))) < 0.1


def test_a_copy_is_that_of_float32() -> None:
    config = replace(recipe_named("paper/cpt-full").inner_loop, epochs=2, batch_size=3, learning_rate=1e-3)
    moved = []
    for base in both("llama"):
        trained = train_full(base, SEQUENCES, config).base
        pairs = zip(trained.module.parameters(), base.module.parameters(), strict=True)
        moved.append([after.float() - before.float() for after, before in pairs])
    assert distance(*moved) < 0.1


@pytest.mark.parametrize("loss", [5.0, 12.0, 16.0, 18.0, 30.0, 120.0])
def test_the_loss_of_an_unlikely_token_is_told(loss: float) -> None:
    hidden, output = torch.ones(1, 1).half(), torch.tensor([[loss], [0.0]]).half()
    nll, _ = linear_cross_entropy(hidden, output, None, torch.tensor([[1]]), torch.ones(1, 1), torch.ones(1))
    assert float(nll) == pytest.approx(loss, rel=1e-2)


@pytest.mark.parametrize("kind", [LoraBank, StackedBank])
@pytest.mark.parametrize(("dtype", "share"), [(torch.float16, 1024), (torch.bfloat16, 1), (torch.float32, 1)])
def test_in_float16_alone_a_gradient_is_that_of_a_scaled_loss(
    kind: type[LoraBank], dtype: torch.dtype, share: float
) -> None:
    module, name = base_of("llama").module, "model.layers.0.self_attn.q_proj"
    bank = kind(module, [name], 1, 8, torch.device("cpu"), dtype)
    ones = (torch.ones_like(factor, dtype=dtype)[None] for factor in bank.factors(0, name))
    bank.add_gradients(name, torch.tensor([0]), *ones)
    assert loss_scale(dtype) == share
    assert torch.equal(bank.gradient(0), torch.full((bank.parameters,), 1 / share))
