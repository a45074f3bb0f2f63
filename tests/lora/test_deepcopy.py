"""A deep copy of a base model that was used is a model of its own."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from conftest import random_adapter
from torch import nn

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_LORA
from seal_agent.generation.hf import HFEngine
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train
from seal_agent.types import Sampling, TrainingSequence

IDS = torch.tensor([[5, 6, 7, 8, 9, 10]])
PROMPT = "The last ferry leaves at noon"


@pytest.fixture(params=["tiny_base", "tiny_gpt2_base"])
def used(request: pytest.FixtureRequest) -> BaseModel:
    """A base model that has answered with an adapter, and trained one with gradient checkpointing prepared."""
    base: BaseModel = request.getfixturevalue(request.param)
    HFEngine(base).generate([PROMPT], Sampling(4), [random_adapter(base, 1)])
    ids = tuple(range(5, 15))
    config = replace(PLAIN_LORA, rank=2, alpha=4, epochs=1, batch_size=1, targets=("all",))
    train(base, [TrainJob((TrainingSequence(ids, ids),), config)])
    return base


def logits(module: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = module(IDS).logits
    return out


def test_changing_a_copy_changes_the_copy_alone(used: BaseModel) -> None:
    before = logits(used.module)
    module = copy.deepcopy(used.module)
    assert torch.equal(logits(module), before)
    routed_layers = [layer for layer in module.modules() if hasattr(layer, "_seal_routable")]
    assert routed_layers
    with torch.no_grad():
        for layer in routed_layers:
            layer.weight.mul_(0.5)
    assert torch.equal(logits(used.module), before)
    assert not torch.equal(logits(module), before), "the copy runs on its own weights"


def test_a_copy_lives_on_when_the_original_is_changed(used: BaseModel) -> None:
    before = logits(used.module)
    copied = copy.deepcopy(used)
    answer = HFEngine(copied).generate([PROMPT], Sampling(8), [random_adapter(copied, 1)])
    with torch.no_grad():
        for weight in used.module.parameters():
            weight.zero_()
    assert torch.equal(logits(copied.module), before)
    assert HFEngine(copied).generate([PROMPT], Sampling(8), [random_adapter(copied, 1)]) == answer


def test_no_layer_of_a_copy_refers_to_a_layer_of_the_original(used: BaseModel) -> None:
    originals = {id(module) for module in used.module.modules()}
    seen: set[int] = set()

    def referred(value: object) -> None:
        """Fail where a forward leads to an original layer, through partials, closures and bound methods."""
        if id(value) in seen:
            return
        seen.add(id(value))
        assert id(value) not in originals
        closure = getattr(value, "__closure__", None) or ()
        parts = [cell.cell_contents for cell in closure]
        parts += [getattr(value, "func", None), getattr(value, "__self__", None), *(getattr(value, "args", None) or ())]
        for part in parts:
            if part is not None and not isinstance(part, type):
                referred(part)

    wrapped = [module for module in copy.deepcopy(used.module).modules() if "forward" in vars(module)]
    assert wrapped
    for module in wrapped:
        referred(module.forward)
