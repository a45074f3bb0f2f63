"""The transformers engine keeps the contract, in small batches and from several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from conftest import random_adapter
from engine_contract import GREEDY, PROMPTS, EngineContract

from seal_agent.base_model.model import BaseModel
from seal_agent.generation import batching
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.kv_cache import bytes_per_position
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Grammar, Message, Sampling


class TestHFEngine(EngineContract):
    @pytest.fixture
    def engine(self, tiny_base: BaseModel) -> HFEngine:
        return HFEngine(tiny_base)

    @pytest.fixture
    def adapters(self, tiny_base: BaseModel) -> tuple[LoraAdapter, LoraAdapter]:
        return random_adapter(tiny_base, 1), random_adapter(tiny_base, 2, rank=8, targets=("all",))


class TestHFEngineInBatchesOfTwo(EngineContract):
    @pytest.fixture
    def engine(self, tiny_base: BaseModel) -> HFEngine:
        return HFEngine(tiny_base, max_rows=2)

    @pytest.fixture
    def adapters(self, tiny_base: BaseModel) -> tuple[LoraAdapter, LoraAdapter]:
        return random_adapter(tiny_base, 1), random_adapter(tiny_base, 2)


class TestHFEngineOnGPT2(EngineContract):
    @pytest.fixture
    def engine(self, tiny_gpt2_base: BaseModel) -> HFEngine:
        return HFEngine(tiny_gpt2_base)

    @pytest.fixture
    def adapters(self, tiny_gpt2_base: BaseModel) -> tuple[LoraAdapter, LoraAdapter]:
        return random_adapter(tiny_gpt2_base, 1), random_adapter(tiny_gpt2_base, 2)


def test_long_prompts_are_decoded_in_smaller_batches_with_the_same_words(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = HFEngine(tiny_base, static=False)
    expected = engine.generate(PROMPTS, GREEDY)
    rows = [engine._row(0, prompt, GREEDY, None) for prompt in PROMPTS]
    longest = max(len(row.prompt_ids) for row in rows) + GREEDY.max_tokens
    each = bytes_per_position(tiny_base.module.config, tiny_base.dtype)
    assert len(engine._batches(rows, GREEDY.max_tokens)) == 1
    monkeypatch.setattr(batching, "MAX_CACHE_BYTES", longest * each)
    assert len(engine._batches(rows, GREEDY.max_tokens)) > 1
    assert [c.text for c in engine.generate(PROMPTS, GREEDY)] == [c.text for c in expected]


def test_two_threads_with_two_adapters_never_see_each_others_weights(tiny_base: BaseModel) -> None:
    engine = HFEngine(tiny_base)
    rows = {1: random_adapter(tiny_base, 1), 2: random_adapter(tiny_base, 2)}

    def said(adapter: LoraAdapter) -> list[str]:
        return [c.text for c in engine.generate(PROMPTS, GREEDY, [adapter] * len(PROMPTS))]

    alone = {key: said(adapter) for key, adapter in rows.items()}
    assert alone[1] != alone[2]
    with ThreadPoolExecutor(2) as pool:
        running = [(key, pool.submit(said, rows[key])) for key in [1, 2] * 6]
        assert all(future.result() == alone[key] for key, future in running)


def test_what_prompts_share_is_computed_once(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, read = HFEngine(tiny_base), list[tuple[int, ...]]()
    forward = engine._forward

    def spy(ids_BT: torch.Tensor, *rest: Any) -> torch.Tensor:
        read.append(tuple(ids_BT.shape))
        return forward(ids_BT, *rest)

    monkeypatch.setattr(engine, "_forward", spy)
    engine.generate(["x" * 100 + end for end in ("aa", "bbb", "c")], Sampling(max_tokens=1))
    assert read == [(1, 100), (3, 3)]


def test_a_half_read_stream_leaves_the_model_as_it_was(tiny_base: BaseModel) -> None:
    engine, adapter = HFEngine(tiny_base), random_adapter(tiny_base, 1)
    before = engine.generate([PROMPTS[0]], GREEDY)
    pieces = engine.stream(PROMPTS[0], GREEDY, adapter)
    next(pieces)
    assert engine.generate([PROMPTS[0]], GREEDY) == before


def test_an_answer_ends_with_the_end_of_turn_token_and_does_not_show_it(tiny_base: BaseModel) -> None:
    end = tiny_base.tokenizer.eos_token_id
    favour_end = torch.zeros(tiny_base.module.config.vocab_size)
    favour_end[end] = 1e4
    tiny_base.module.lm_head.bias = torch.nn.Parameter(favour_end)
    (said,) = HFEngine(tiny_base).generate([(Message("user", "Hi"),)], GREEDY)
    assert (said.text, said.tokens, said.finish_reason) == ("", 1, "stop")


@pytest.mark.parametrize("stop", ["【質問】", "ผู้ใช้:", "मैं पूछता हूँ", "🧪🧬🧫"])
def test_a_stop_string_of_one_token_per_byte_ends_an_answer(tiny_base: BaseModel, stop: str) -> None:
    pytest.importorskip("llguidance")
    grammar = Grammar("regex", f"Yes\\.{stop}[a-z]{{9}}")
    (said,) = HFEngine(tiny_base).generate(["x"], Sampling(80, stop=(stop,), grammar=grammar))
    assert (said.text, said.tokens, said.finish_reason) == ("Yes.", 4 + len(stop.encode()), "stop")


def test_without_a_chat_template_a_base_model_stops_before_the_users_turn(tiny_base_plain: BaseModel) -> None:
    assert "\nUser:" in tiny_base_plain.stop_strings
    ids = tiny_base_plain.encode((Message("system", "Be brief."), Message("user", "Hi")))
    assert tiny_base_plain.tokenizer.decode(ids) == "Be brief.\nUser: Hi\nAssistant:"


def test_a_score_is_the_log_softmax_of_the_models_own_logits(tiny_base: BaseModel) -> None:
    prompt, continuation = PROMPTS[3], " sail on"
    before = tiny_base.encode(prompt)
    wanted = tiny_base.tokenizer(continuation, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits_TV = tiny_base.module(torch.tensor([before + wanted])).logits[0]
    expected = [logits_TV[len(before) - 1 + i].log_softmax(-1)[token].item() for i, token in enumerate(wanted)]
    scores = HFEngine(tiny_base).score(["x", prompt], ["a much longer continuation", continuation])[1]
    assert scores == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("bound", ["MAX_SCORED_TOKENS", "MAX_SCORED_BYTES", "MAX_READ_TOKENS"])
def test_many_scores_are_made_in_several_passes(
    bound: str, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    continuations, prompts = [" a" * n for n in (1, 30, 2, 40, 3)], ["x" * n for n in (9, 1, 30, 1, 1)]
    whole = HFEngine(tiny_base).score(prompts, continuations)
    passes: list[int] = []
    logits_of = HFEngine._logits_of
    monkeypatch.setattr(HFEngine, "_logits_of", lambda self, rows: passes.append(len(rows)) or logits_of(self, rows))
    most = 90 * 4 * len(tiny_base.tokenizer) if bound == "MAX_SCORED_BYTES" else 90
    monkeypatch.setattr(f"seal_agent.generation.hf.{bound}", most)
    for one, other in zip(HFEngine(tiny_base).score(prompts, continuations), whole, strict=True):
        assert one == pytest.approx(other, abs=1e-4)
    assert 1 < len(passes) < 5
    assert sum(passes) == 5


def test_soft_labels_are_the_likeliest_tokens_scaled_to_one(tiny_base: BaseModel) -> None:
    prompt, engine = PROMPTS[3], HFEngine(tiny_base)
    before, wanted = tiny_base.encode(prompt), tiny_base.tokenizer(" sail on", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits_TV = tiny_base.module(torch.tensor([before + wanted])).logits[0]
    labels = engine.soft_labels(["x", prompt, "y"], [[5] * 30, wanted, []], top=3)
    assert [len(row) for row in labels] == [30, len(wanted), 0]
    for i, label in enumerate(labels[1]):
        best = logits_TV[len(before) - 1 + i].softmax(-1).topk(3)
        assert label.tokens == tuple(best.indices.tolist())
        assert label.probabilities == pytest.approx((best.values / best.values.sum()).tolist(), abs=1e-5)
