"""Models whose weights are drawn at random on the device, in the shapes of real ones: nothing is downloaded.

Speed does not depend on what the weights are. `--model random:7b` of a benchmark makes one.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

from seal_agent.base_model.loading import load_model, pick_device, pick_dtype
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.training.jobs import TrainJob
from seal_agent.types import TrainingSequence

PREFIX = "random:"
_TEMPLATE = (
    "{% for m in messages %}<turn>{{ m['role'] }}\n{{ m['content'] }}</turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


def _configs() -> dict[str, Any]:
    """By name: the shapes of SmolLM2-135M and Qwen2.5-7B, and one for tests."""
    return {
        "tiny": LlamaConfig(
            vocab_size=512,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
        ),
        "135m": LlamaConfig(
            vocab_size=49_152,
            hidden_size=576,
            intermediate_size=1536,
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            max_position_embeddings=8192,
            tie_word_embeddings=True,
        ),
        "7b": Qwen2Config(
            vocab_size=152_064,
            hidden_size=3584,
            intermediate_size=18_944,
            num_hidden_layers=28,
            num_attention_heads=28,
            num_key_value_heads=4,
            max_position_embeddings=32_768,
        ),
    }


def is_random(name: str) -> bool:
    return name.startswith(PREFIX)


def load(name: str, device: str = "auto", dtype: str = "auto") -> BaseModel:
    """A model with random weights for "random:SHAPE", else the one that `load_model` loads."""
    if not is_random(name):
        return load_model(name, device=device, dtype=dtype)
    configs, shape = _configs(), name.removeprefix(PREFIX)
    if shape not in configs:
        raise SystemExit(f"there is no shape {shape!r}; use {', '.join(PREFIX + known for known in configs)}")
    place = pick_device(device)
    torch.manual_seed(0)
    with torch.device(place):
        module = AutoModelForCausalLM.from_config(configs[shape], dtype=pick_dtype(dtype, place))
    return BaseModel(name, module.requires_grad_(False).eval(), byte_tokenizer(), name)


def random_jobs(
    base: BaseModel,
    count: int,
    config: InnerLoopConfig,
    sequences: tuple[int, int],
    lengths: tuple[int, int],
) -> list[TrainJob]:
    """`count` jobs of random tokens, all learnt; least and most of sequences per job and of tokens per sequence."""
    draw, size = random.Random(0), base.module.config.get_text_config().vocab_size
    jobs = []
    for seed in range(count):
        rows = []
        for _ in range(draw.randint(*sequences)):
            ids = tuple(draw.randrange(8, size) for _ in range(draw.randint(*lengths)))
            rows.append(TrainingSequence(ids, ids))
        jobs.append(TrainJob(tuple(rows), replace(config, seed=seed)))
    return jobs


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, and a chat template."""
    special = ["<pad>", "<eos>", "<turn>", "</turn>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")
    fast.chat_template = _TEMPLATE
    return fast
