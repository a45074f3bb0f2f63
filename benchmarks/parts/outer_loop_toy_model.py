"""Task and model of outer_loop_toy.py: contexts with a marked sentence, and a tiny Llama that copies sentences."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from seal_agent.base_model.model import BaseModel
from seal_agent.training.sequences import encode_text, encode_turns
from seal_agent.types import IGNORE_LABEL

NAMES = [f"n{i}" for i in range(32)]
COLOURS = [f"c{i}" for i in range(8)]
SIZES = [f"s{i}" for i in range(8)]
WORDS = ["<pad>", "<unk>", "</s>", "User:", "Assistant:", "!", ".", *NAMES, *COLOURS, *SIZES]
SENTENCES = 4
PRETRAINING_STEPS, PRETRAINING_BATCH = 1200, 64
LEARNING_RATE = 3e-3


def draw_context(rng: random.Random) -> tuple[str, str]:
    """A context, and its marked sentence without the mark."""
    sentences = [f"{name} {rng.choice(COLOURS)} {rng.choice(SIZES)}" for name in rng.sample(NAMES, SENTENCES)]
    marked = rng.randrange(SENTENCES)
    return " . ".join(f"! {s}" if i == marked else s for i, s in enumerate(sentences)), sentences[marked]


def pretrain(seed: int) -> BaseModel:
    """A two-layer model that continues a name with any two words, and after a context copies any of its sentences."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        rope_theta=1000.0,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=2,
    )
    module = LlamaForCausalLM(config).float()
    base = BaseModel(f"toy-{seed}", module, tokenizer(), f"toy-{seed}")
    rng, optimizer = random.Random(seed), torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE)
    for step in range(PRETRAINING_STEPS):
        warmup, decay = min(1, (step + 1) / 100), 1 - step / PRETRAINING_STEPS
        optimizer.param_groups[0]["lr"] = LEARNING_RATE * warmup * decay
        loss = _loss(module, [_pretraining_row(base, rng) for _ in range(PRETRAINING_BATCH)])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return base


def _pretraining_row(base: BaseModel, rng: random.Random) -> tuple[list[int], list[int]]:
    """Ids and labels of ten words and the same ten again, of a context and any of its sentences, or of one sentence."""
    kind = rng.random()
    if kind < 0.4:  # without these rows the model learns to copy late or never
        words = base.tokens(" ".join(rng.sample([*NAMES, *COLOURS, *SIZES], 10)))
        return words + words, [IGNORE_LABEL] * len(words) + words
    text, _ = draw_context(rng)
    sentence = rng.choice([s.removeprefix("! ") for s in text.split(" . ")])
    row = encode_turns(base, text, sentence) if kind < 0.85 else encode_text(base, "", sentence + " .")
    return list(row.input_ids), list(row.labels)


def _loss(module: LlamaForCausalLM, rows: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    longest = max(len(ids) for ids, _ in rows)
    ids_BT = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
    labels_BT = torch.tensor([labels + [IGNORE_LABEL] * (longest - len(labels)) for _, labels in rows])
    loss: torch.Tensor = module(input_ids=ids_BT, labels=labels_BT).loss
    return loss


def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token for each word."""
    word_level = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    word_level.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=word_level, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")
