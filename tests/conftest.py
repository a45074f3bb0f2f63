"""Tiny random models built in memory, and where the real data lies."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from seal_agent.adaptation.gate import reference
from seal_agent.answering import reader
from seal_agent.base_model.model import BaseModel
from seal_agent.data import bundled
from seal_agent.lora.adapter import LoraAdapter, LoraPair, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.training.retention import reference_text as ordinary

WINDOW = 2048
PAD, END, TURN_START, TURN_END = "<pad>", "<eos>", "<turn>", "</turn>"
CHAT_TEMPLATE = (
    "{% for m in messages %}<turn>{{ m['role'] }}\n{{ m['content'] }}</turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<turn>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny matrices are slower on many threads than on one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def own_directions(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What tiny models say of ordinary text is nothing for the user's cache folder."""
    if "real_model" not in request.keywords and "SEAL_CACHE" not in os.environ:
        folder = tmp_path_factory.getbasetemp() / "cache"
        monkeypatch.setattr(ordinary, "cache_home", lambda: Path(os.environ.get("SEAL_CACHE", folder)))


@pytest.fixture(autouse=True)
def few_reference_texts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models have few directions, which a few texts show."""
    if "real_model" not in request.keywords:
        texts = bundled.reference_texts()[:4]
        monkeypatch.setattr(bundled, "reference_texts", lambda: texts)


@pytest.fixture(autouse=True)
def short_reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny models learn to read from two passages, and keep their readers where they keep their directions."""
    if "real_model" not in request.keywords:
        passages = bundled.reading_passages()[:2]
        monkeypatch.setattr(bundled, "reading_passages", lambda: passages)
        guard = bundled.guard_questions()[:2]
        monkeypatch.setattr(bundled, "guard_questions", lambda: guard)
        monkeypatch.setattr(reference, "cache_home", lambda: ordinary.cache_home())
        monkeypatch.setattr(reader, "cache_home", lambda: ordinary.cache_home())


@pytest.fixture
def tiny_base() -> BaseModel:
    """A two-layer random Llama with a chat template, float32."""
    return with_reader(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))


@pytest.fixture
def tiny_base_plain() -> BaseModel:
    """The same model without a chat template."""
    return with_reader(BaseModel("tiny-plain", llama(), tokenizer(chat=False), "tiny-plain-identity"))


@pytest.fixture
def tiny_gpt2_base() -> BaseModel:
    """A two-layer random GPT-2, whose projections are transposed Conv1D layers."""
    return with_reader(BaseModel("tiny-gpt2", gpt2(), tokenizer(chat=True), "tiny-gpt2-identity"))


def with_reader(base: BaseModel) -> BaseModel:
    """The model with a reader that changes nothing, so that none is trained."""
    base.memo["reader"] = new_adapter(base.module, find_targets(base.module, ("all",)), 1, 1.0, seed=0)
    return base


@pytest.fixture
def shared_data() -> Path:
    """The folder with real passages, graded answers and self-edits, beside the project."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the shared data is not at {folder}")
    return folder


def tokenizer(chat: bool) -> PreTrainedTokenizerFast:
    """One token per byte, so that any text comes back unchanged."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([PAD, END, TURN_START, TURN_END, *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    outer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=PAD,
        eos_token=TURN_END if chat else END,
        additional_special_tokens=[TURN_START, TURN_END],
        clean_up_tokenization_spaces=False,
    )
    outer.chat_template = CHAT_TEMPLATE if chat else None
    return outer


def llama(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=0.2,  # wide enough that greedy answers depend on the prompt
    )
    return _frozen(LlamaForCausalLM(config))


def gpt2(seed: int = 0) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=320,
        n_embd=64,
        n_layer=2,
        n_head=4,
        n_positions=WINDOW,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
        initializer_range=0.2,
    )
    return _frozen(GPT2LMHeadModel(config))


def _frozen(module: Any) -> Any:
    return module.requires_grad_(False).eval()


@pytest.fixture
def save_model() -> Callable[[BaseModel, Path], Path]:
    """Writes a base model to a folder as save_pretrained does."""

    def save(base: BaseModel, folder: Path) -> Path:
        base.module.save_pretrained(folder)
        base.tokenizer.save_pretrained(folder)
        return folder

    return save


def random_adapter(base: BaseModel, seed: int, rank: int = 4, targets: tuple[str, ...] = ("default",)) -> LoraAdapter:
    """An adapter that changes every answer: both factors random."""
    start = new_adapter(base.module, find_targets(base.module, targets), rank, 2.0 * rank, seed)
    noise = torch.Generator().manual_seed(seed + 1000)
    pairs = {
        name: LoraPair(pair.a_DR, torch.randn(pair.b_RO.shape, generator=noise) * 0.5)
        for name, pair in start.pairs.items()
    }
    return LoraAdapter(start.rank, start.alpha, pairs, start.transposed)
