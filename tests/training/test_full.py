"""Full finetuning: a copy learns, the shared base stays as it is, and nothing else takes the setting."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig, recipe_named
from seal_agent.errors import InputError, TrainingError
from seal_agent.generation.hf import HFEngine
from seal_agent.training import full
from seal_agent.training.full import train_full
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train
from seal_agent.types import IGNORE_LABEL, Sampling, TrainingSequence

CONFIG = replace(recipe_named("paper/cpt-full").inner_loop, epochs=2, batch_size=2, learning_rate=1e-2)


def sequences(base: BaseModel) -> tuple[TrainingSequence, ...]:
    texts = ("Tarawa has a lagoon.", "Makin is small and lies far in the north.", "Banaba is an island.")
    ids = [tuple(base.tokens(text)) for text in texts]
    return (
        *(TrainingSequence(row, row) for row in ids[:2]),
        TrainingSequence(ids[2], (IGNORE_LABEL,) * 9 + ids[2][9:]),
    )


def weights(base: BaseModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in base.module.named_parameters()}


@torch.no_grad()
def logits(module: torch.nn.Module) -> torch.Tensor:
    out: torch.Tensor = module(torch.arange(5, 60)[None]).logits
    return out


def reference(base: BaseModel, config: InnerLoopConfig) -> torch.nn.Module:
    """One batch per epoch, trained by torch's own loop on unpadded sequences."""
    module = copy.deepcopy(base.module).requires_grad_(True)
    optimizer = torch.optim.AdamW(module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    rows = sequences(base)
    labels = sum(label != IGNORE_LABEL for row in rows for label in row.labels[1:])
    for step in range(config.epochs):
        optimizer.zero_grad()
        for row in rows:
            out = module(torch.tensor([row.input_ids]), labels=torch.tensor([row.labels]))
            own = sum(label != IGNORE_LABEL for label in row.labels[1:])
            (out.loss * own / labels).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), config.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 - step / config.epochs)
        optimizer.step()
    return module


@pytest.mark.parametrize("model", ["tiny_base", "tiny_gpt2_base"])
def test_a_copy_is_trained_as_torch_would_and_the_base_is_not(model: str, request: pytest.FixtureRequest) -> None:
    base: BaseModel = request.getfixturevalue(model)
    before, config = weights(base), replace(CONFIG, batch_size=3)
    trained = train_full(base, sequences(base), config)
    for name, weight in base.module.named_parameters():
        assert torch.equal(weight, before[name])
        assert not weight.requires_grad
    # Logits, not weights: where a gradient is zero but for rounding, AdamW makes a full step of the rounding.
    assert_close(logits(trained.base.module), logits(reference(base, config)), atol=1e-3, rtol=1e-3)
    assert (logits(trained.base.module) - logits(base.module)).abs().max() > 0.05
    assert not any(weight.requires_grad for weight in trained.base.module.parameters())
    assert (trained.summary.steps, trained.summary.sequences) == (2, 3)


def test_the_copy_answers_otherwise_and_shares_nothing_with_the_base(tiny_base: BaseModel) -> None:
    prompts, sampling = ["Tarawa has"], Sampling(8)
    (before,) = HFEngine(tiny_base).generate(prompts, sampling)
    trained = train_full(tiny_base, sequences(tiny_base), replace(CONFIG, epochs=30)).base
    (after,) = HFEngine(trained).generate(prompts, sampling)
    (still,) = HFEngine(tiny_base).generate(prompts, sampling)
    assert before.text == still.text != after.text
    assert trained.identity != tiny_base.identity
    assert trained.memo is not tiny_base.memo


def test_a_long_batch_takes_several_passes_with_the_same_result(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(CONFIG, batch_size=3)
    whole = train_full(tiny_base, sequences(tiny_base), config)
    monkeypatch.setattr(full, "TOKENS_PER_PASS", {"cpu": 1})
    parted = train_full(tiny_base, sequences(tiny_base), config)
    assert_close(logits(whole.base.module), logits(parted.base.module), atol=1e-3, rtol=1e-3)


def test_below_float32_the_steps_are_kept_in_float32(tiny_base: BaseModel) -> None:
    low = replace(tiny_base, module=copy.deepcopy(tiny_base.module).to(torch.bfloat16), memo={})
    config = replace(CONFIG, learning_rate=1e-5, epochs=200, schedule="constant")  # each step is below bfloat16's
    trained = train_full(low, sequences(low), config)
    moved = [
        not torch.equal(a, b) for a, b in zip(low.module.parameters(), trained.base.module.parameters(), strict=True)
    ]
    assert any(moved)
    assert trained.base.dtype == torch.bfloat16


def test_a_loss_that_is_not_finite_and_too_little_memory_are_one_sentence(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) at step"):
        train_full(tiny_base, sequences(tiny_base), replace(CONFIG, learning_rate=1e30, epochs=3))
    monkeypatch.setattr(full, "available_bytes", lambda device: 1000)
    with pytest.raises(TrainingError, match=r"takes .* GB besides the model itself"):
        train_full(tiny_base, sequences(tiny_base), CONFIG)


def test_no_adapter_is_trained_with_it(tiny_base: BaseModel) -> None:
    with pytest.raises(InputError, match="trains no adapter"):
        train(tiny_base, [TrainJob(sequences(tiny_base), CONFIG)])
    with pytest.raises(InputError, match="full finetuning has no adapter"):
        InnerLoopConfig(full=True)
