"""The bundled model says the same through vLLM as through transformers, with adapters and without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seal_agent.answering.reader import reader_of
from seal_agent.answering.recall import closed_book
from seal_agent.answering.replies import reply_all
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, VLLMConfig
from seal_agent.data import bundled
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.generation.vllm.local import LocalVLLM
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.types import Sampling

pytestmark = pytest.mark.real_model

QUESTIONS = 100
AGREE = 0.95


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return load_model(dtype="float32")


@pytest.fixture(scope="module")
def vllm(base: BaseModel) -> Iterator[VLLMEngine]:
    config = VLLMConfig(max_lora_rank=8, max_loras=2, max_cpu_loras=4, window=1024, cache_gib=0.5)
    engine = VLLMEngine(base, LocalVLLM(base, config))
    yield engine
    engine.close()


def half(adapter: LoraAdapter) -> LoraAdapter:
    """The same adapter at half its strength: another one, which still speaks."""
    pairs = {name: LoraPair(pair.a_DR, pair.b_RO * 0.5) for name, pair in adapter.pairs.items()}
    return LoraAdapter(adapter.rank, adapter.alpha, pairs, adapter.transposed)


def test_greedy_answers_agree(base: BaseModel, vllm: VLLMEngine) -> None:
    reader = reader_of(base)
    adapters = (None, reader, half(reader))
    questions = [(context.title, question.text) for context in bundled.novel() for question in context.questions]
    asked = [closed_book(*row, adapters[i % 3]) for i, row in enumerate(questions[:QUESTIONS])]
    prompts, rows = [one.prompt for one in asked], [one.adapter for one in asked]
    expected, said = (engine.generate(prompts, Sampling(16), rows) for engine in (HFEngine(base), vllm))
    differing = [
        f"{row[1]}: {a.text!r}, not {b.text!r}"
        for row, a, b in zip(questions, said, expected, strict=False)
        if a.text != b.text
    ]
    assert len(differing) <= (1 - AGREE) * QUESTIONS, "\n".join(differing)


def test_answers_in_a_few_words_agree(base: BaseModel, vllm: VLLMEngine) -> None:
    reader = reader_of(base)
    questions = [(context.title, question.text) for context in bundled.novel() for question in context.questions][:8]
    asked = [closed_book(*row, half(reader)) for row in questions]
    config = AnswerConfig(max_tokens=16)
    first, second = (reply_all(engine, base, asked, config) for engine in (HFEngine(base), vllm))
    assert sum(a.text == b.text for a, b in zip(first, second, strict=True)) >= 7
    for a, b in zip(first, second, strict=True):
        assert a.confidence == pytest.approx(b.confidence, abs=0.02)
