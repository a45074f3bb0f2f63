"""Rows that join a running batch say what they say alone, each with its own adapter and sampling."""

from __future__ import annotations

import gc
import json
import random

import pytest
import torch
from conftest import random_adapter, tokenizer, with_reader
from engine_contract import PROMPTS, SCHEMA
from transformers import Qwen3Config, Qwen3ForCausalLM

from seal_agent.base_model.model import BaseModel
from seal_agent.generation import continuous
from seal_agent.generation.continuous import ContinuousEngine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.rows import LiveRow
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Grammar, Message, Prompt, Sampling

Request = tuple[Prompt, Sampling, LoraAdapter | None]


def requests(base: BaseModel) -> list[Request]:
    adapters = [None, random_adapter(base, 1), random_adapter(base, 2, rank=8, targets=("all",))]
    samplings = [
        Sampling(max_tokens=9),
        Sampling(max_tokens=14, temperature=0.8, top_p=0.9, seed=5),
        Sampling(max_tokens=5, temperature=1.3, seed=2),
        Sampling(max_tokens=30, stop=("e",)),
    ]
    prompts: list[Prompt] = [*PROMPTS, (Message("user", "Who keeps the light?"),)]
    return [(prompts[i % 5], samplings[i % 4], adapters[i % 3]) for i in range(14)]


def decoded(engine: ContinuousEngine, wanted: list[Request], seed: int) -> list[LiveRow]:
    """All rows, which join a few at a time while others are decoded."""
    order, rows = random.Random(seed), [engine.live_row(*request) for request in wanted]
    waiting = list(rows)
    while waiting or engine.live:
        joining = [waiting.pop(0) for _ in range(min(len(waiting), order.randrange(4)))]
        if joining:
            engine.join(joining)
        engine.step()
    return rows


@pytest.mark.parametrize("seed", [0, 1])
def test_rows_that_join_later_say_what_they_say_alone(tiny_base: BaseModel, seed: int) -> None:
    engine, wanted = ContinuousEngine(tiny_base), requests(tiny_base)
    rows = decoded(engine, wanted, seed)
    for live, (prompt, sampling, adapter) in zip(rows, wanted, strict=True):
        (alone,) = HFEngine(tiny_base).generate([prompt], sampling, [adapter])
        assert engine.completion(live) == alone
        assert engine.completion(live).logprobs == pytest.approx(alone.logprobs, abs=1e-3)
    assert len({engine.completion(live).text for live in rows}) > 6


def test_models_whose_caches_cannot_be_joined_take_turns() -> None:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=256, use_sliding_window=True, sliding_window=8,
        max_window_layers=0, bos_token_id=None, eos_token_id=None, pad_token_id=0, initializer_range=0.2,
    )  # fmt: skip
    module = Qwen3ForCausalLM(config).requires_grad_(False).eval()
    base = with_reader(BaseModel("tiny-sliding", module, tokenizer(chat=True), "tiny-sliding"))
    engine, wanted = ContinuousEngine(base), requests(base)[:6]
    for live, (prompt, sampling, adapter) in zip(decoded(engine, wanted, 0), wanted, strict=True):
        assert engine.completion(live) == HFEngine(base).generate([prompt], sampling, [adapter])[0]


def test_padding_leaves_with_the_row_that_needed_it(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base)
    engine.join([engine.live_row("x" * 400, Sampling(max_tokens=3)), engine.live_row("One", Sampling(max_tokens=40))])
    widths = []
    while engine.live:
        engine.step()
        widths += [batch._mask_BT.shape[1] for batch in engine._running]
    assert max(widths) > 400
    assert widths[-1] < 50


def test_memory_goes_back_while_a_batch_goes_on_and_when_it_ends(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, steps, given = ContinuousEngine(tiny_base, static=False), 0, list[int]()
    monkeypatch.setattr(continuous, "GIVE_BACK_EVERY", 4)
    monkeypatch.setattr(continuous, "give_back", lambda: given.append(steps))
    engine.join([engine.live_row("a", Sampling(max_tokens=10))])
    while engine.live:
        steps += 1
        engine.step()
    assert given == [4, 8, steps]


def test_text_comes_in_pieces_that_add_up(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base)
    (whole,) = engine.generate([PROMPTS[1]], Sampling(max_tokens=30))
    stop = whole.text[12:15]
    live, pieces = engine.live_row(PROMPTS[1], Sampling(max_tokens=30, stop=(stop,))), []
    engine.join([live])
    while engine.live:
        engine.step()
        pieces.append(engine.new_text(live))
    assert "".join(pieces) == engine.completion(live).text == whole.text[: whole.text.index(stop)]
    assert engine.completion(live).finish_reason == "stop"


def test_a_row_whose_reader_left_leaves(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base)
    gone, stays = (engine.live_row(prompt, Sampling(max_tokens=12)) for prompt in PROMPTS[:2])
    engine.join([gone, stays])
    engine.step()
    gone.left = True
    while engine.live:
        engine.step()
    assert len(gone.row.generated) == 1
    assert engine.completion(stays) == engine.generate([PROMPTS[1]], Sampling(max_tokens=12))[0]


def test_grammars_and_alternatives_belong_to_rows(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base)
    grammar = Grammar(
        "json_schema", json.dumps({**SCHEMA, "properties": {**SCHEMA["properties"], "name": {"enum": ["a"]}}})
    )
    held = engine.live_row("One", Sampling(max_tokens=80, grammar=grammar))
    free = engine.live_row("One", Sampling(max_tokens=6), top=3)
    engine.join([held, free])
    while engine.live:
        engine.step()
    assert engine.completion(held).text.startswith('{"name": "a"')
    assert len(free.alternatives) == len(free.row.generated)
    for token, logprob, alternatives in zip(free.row.generated, free.row.logprobs, free.alternatives, strict=True):
        assert alternatives[0] == pytest.approx((token, logprob), abs=1e-5)
        assert len(alternatives) == 3


def test_what_is_forgotten_leaves_the_stack(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base)
    rows = [engine.live_row("One", Sampling(max_tokens=2), random_adapter(tiny_base, seed)) for seed in (1, 2)]
    engine.join(rows)
    while engine.live:
        engine.step()
    assert engine._stack._pairs
    del rows
    gc.collect()
    assert not engine._stack._pairs
