"""Tiny models and unequal jobs for the batched inner loop."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from conftest import gpt2, llama, random_adapter, tokenizer
from torch.testing import assert_close
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import TrainingError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.training.jobs import TrainedAdapter, TrainJob
from seal_agent.types import IGNORE_LABEL, TrainingSequence

SMALL: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": None,
    "initializer_range": 0.2,
}


def qwen() -> Any:
    return Qwen3ForCausalLM(Qwen3Config(**SMALL))


def gemma() -> Any:
    """Caps its logits and its attention scores, and looks back 24 tokens in every other layer."""
    return Gemma2ForCausalLM(Gemma2Config(**SMALL, sliding_window=24, query_pre_attn_scalar=16))


def mamba() -> Any:
    """Mixes tokens by a state and a convolution: sequences may not be packed."""
    config = MambaConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, state_size=4, initializer_range=0.2)
    return MambaForCausalLM(config)


MODELS: dict[str, Callable[[], Any]] = {"llama": llama, "gpt2": gpt2, "qwen": qwen, "gemma": gemma, "mamba": mamba}


def base_of(name: str) -> BaseModel:
    torch.manual_seed(0)
    module = MODELS[name]().requires_grad_(False).eval()
    return BaseModel(f"tiny-{name}", module, tokenizer(chat=True), name)


def random_sequences(seed: int, count: int, shortest: int = 2, longest: int = 60) -> tuple[TrainingSequence, ...]:
    """Random tokens; of every third sequence only the second half is learnt."""
    draw, out = random.Random(seed), []
    for index in range(count):
        ids = tuple(draw.randrange(4, 320) for _ in range(draw.randint(shortest, longest)))
        read = len(ids) // 2 if index % 3 == 2 else 0
        out.append(TrainingSequence(ids, (*[IGNORE_LABEL] * read, *ids[read:])))
    return tuple(out)


def six_jobs(base: BaseModel, targets: tuple[str, ...] = ("all",)) -> list[TrainJob]:
    """Unequal in size, rank, learning rate, epochs, batch size, schedule and start."""
    usual = InnerLoopConfig(rank=4, alpha=8.0, epochs=2, learning_rate=3e-3, targets=targets, batch_size=1)
    configs = [
        usual,
        replace(usual, rank=2, alpha=3.0, learning_rate=5e-3, epochs=4, seed=1),
        replace(usual, rank=8, batch_size=2, seed=2),
        replace(usual, schedule="cosine", weight_decay=0.1, seed=3),
        replace(usual, max_grad_norm=0.05, batch_size=5, epochs=3, seed=4),
        replace(usual, learning_rate=2e-3, schedule="constant", seed=5),
    ]
    starts = [None, None, None, None, None, random_adapter(base, 7, targets=targets)]
    return [
        TrainJob(random_sequences(seed, count), config, start)
        for seed, (count, config, start) in enumerate(zip((5, 1, 7, 3, 8, 4), configs, starts, strict=True))
    ]


def delta(adapter: LoraAdapter, name: str) -> torch.Tensor:
    return adapter.scale * adapter.pairs[name].a_DR @ adapter.pairs[name].b_RO


def assert_same(left: LoraAdapter, right: LoraAdapter, atol: float = 1e-5) -> None:
    assert (left.rank, left.alpha, left.pairs.keys()) == (right.rank, right.alpha, right.pairs.keys())
    for name in left.pairs:
        assert_close(delta(left, name), delta(right, name), atol=atol, rtol=0)


def adapters(results: Sequence[TrainedAdapter | TrainingError]) -> list[LoraAdapter]:
    assert all(isinstance(result, TrainedAdapter) for result in results), results
    return [result.adapter for result in results if isinstance(result, TrainedAdapter)]


def questions(seed: int, topics: int, count: int) -> tuple[TrainingSequence, ...]:
    """As chats about a few topics are: ten tokens of a system's turn, some of the topic, the question, the answer."""
    draw = random.Random(seed)
    system, *titles = ([draw.randrange(4, 320) for _ in range(length)] for length in (10, *range(3, 3 + topics)))
    out = []
    for i in range(count):
        prompt = [*system, *titles[i % topics], *(draw.randrange(4, 320) for _ in range(draw.randint(1, 9)))]
        answer = [draw.randrange(4, 320) for _ in range(draw.randint(1, 12))]
        out.append(TrainingSequence((*prompt, *answer), (*[IGNORE_LABEL] * len(prompt), *answer)))
    return tuple(out)
