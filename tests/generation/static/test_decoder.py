"""Decoding in fixed memory, run on the processor: it keeps the contract and says what the other way says."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from conftest import gpt2, random_adapter, tokenizer
from engine_contract import GREEDY, PROMPTS, WARM, EngineContract
from replays import ReplayByRunning
from transformers import GPT2Config, GPT2LMHeadModel
from zoo.models import listed_experts

from seal_agent.base_model.model import BaseModel
from seal_agent.generation import batching
from seal_agent.generation import hf as hf_module
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.kv_cache import bytes_per_position
from seal_agent.generation.static import cache, decoder, joining, trial
from seal_agent.generation.static.joining import MIN_POSITIONS
from seal_agent.generation.static.trial import decodes_in_place
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Grammar, Sampling


class TestStaticEngine(EngineContract):
    @pytest.fixture
    def engine(self, tiny_base: BaseModel) -> HFEngine:
        return HFEngine(tiny_base, static=True)

    @pytest.fixture
    def adapters(self, tiny_base: BaseModel) -> tuple[LoraAdapter, LoraAdapter]:
        return random_adapter(tiny_base, 1), random_adapter(tiny_base, 2, rank=8, targets=("all",))


class TestStaticEngineInTwoRows(EngineContract):
    @pytest.fixture
    def engine(self, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> HFEngine:
        monkeypatch.setattr(hf_module, "recorder_for", lambda _: ReplayByRunning())
        return HFEngine(tiny_base, max_rows=2, static=True)

    @pytest.fixture
    def adapters(self, tiny_base: BaseModel) -> tuple[LoraAdapter, LoraAdapter]:
        return random_adapter(tiny_base, 1), random_adapter(tiny_base, 2)


class TestStaticEngineOnGPT2(EngineContract):
    @pytest.fixture
    def engine(self, tiny_gpt2_base: BaseModel) -> HFEngine:
        return HFEngine(tiny_gpt2_base, static=True)

    @pytest.fixture
    def adapters(self, tiny_gpt2_base: BaseModel) -> tuple[LoraAdapter, LoraAdapter]:
        return random_adapter(tiny_gpt2_base, 1), random_adapter(tiny_gpt2_base, 2)


def said(engine: HFEngine, prompts: list[str], sampling: Sampling, adapters: Any = None) -> list[Any]:
    return [(c.text, c.tokens, c.finish_reason) for c in engine.generate(prompts, sampling, adapters)]


@pytest.mark.parametrize("base_name", ["tiny_base", "tiny_gpt2_base"])
@pytest.mark.parametrize("sampling", [GREEDY, WARM, Sampling(max_tokens=1), Sampling(max_tokens=300, stop=("e",))])
def test_more_rows_than_places_say_what_they_say_otherwise(
    base_name: str, sampling: Sampling, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, recorder = request.getfixturevalue(base_name), ReplayByRunning()
    monkeypatch.setattr(hf_module, "recorder_for", lambda _: recorder)
    adapters = [None, random_adapter(base, 1), random_adapter(base, 2, rank=8, targets=("all",))]
    prompts = [f"{'word ' * (i % 5)}{i}" for i in range(11)]
    rows = [adapters[i % 3] for i in range(11)]
    static = HFEngine(base, max_rows=4, static=True)
    want = said(HFEngine(base, static=False), prompts, sampling, rows)
    assert said(static, prompts, sampling, rows) == want
    assert said(static, prompts, sampling, rows) == want  # and again, with what is resident by now
    assert static._static is not None
    assert (recorder.recordings, recorder.replays > 0) == ((0, False) if sampling.max_tokens == 1 else (1, True))


def test_a_row_may_fill_its_memory_to_the_last_place(tiny_base: BaseModel) -> None:
    prompt = "word " * 20
    sampling = Sampling(max_tokens=MIN_POSITIONS - len(tiny_base.encode(prompt)))
    engine = HFEngine(tiny_base, static=True)
    assert said(engine, [prompt, "x"], sampling) == said(HFEngine(tiny_base, static=False), [prompt, "x"], sampling)
    assert engine._static is not None
    assert [sizes.positions for sizes in engine._static._kept] == [MIN_POSITIONS]


@pytest.mark.parametrize("failures", [1, 2])
def test_where_memory_runs_out_others_make_room_or_it_goes_the_other_way(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    engine, left, made = HFEngine(tiny_base, static=True), [0], joining.StaticRows

    def rows(*sizes: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made(*sizes)

    monkeypatch.setattr(joining, "StaticRows", rows)
    want = said(engine, ["a"], GREEDY)
    left[0] = failures
    assert said(engine, ["a", "b", "c"], GREEDY)[:1] == want
    assert engine._static is not None
    assert len(engine._static._kept) == 2 - failures, "what was kept for other sizes has made room"


@pytest.mark.parametrize("failures", [1, 2])
def test_where_the_cache_does_not_fit_others_make_room_or_it_goes_the_other_way(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    engine = HFEngine(tiny_base, static=True)
    want = said(engine, ["a", "b"], GREEDY)
    no_memory_for_layers(monkeypatch, failures)
    for _ in range(2):
        assert said(engine, ["a", "b", "x" * 300], GREEDY)[:2] == want
    assert engine._static is not None
    assert [sizes.positions for sizes in engine._static._kept] == [512], "the next call has memory again"


@pytest.mark.parametrize("failing", [0, 1])
def test_rows_whose_prompts_cannot_be_read_for_want_of_memory_go_the_other_way(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    prompts, sampling = [f"{'word ' * (i % 5)}{i}" for i in range(11)], Sampling(max_tokens=9)
    want = said(HFEngine(tiny_base, static=False), prompts, sampling)
    engine, joins = HFEngine(tiny_base, max_rows=4, static=True), [0]
    static, usual = engine._static_decoder(), decoder.join

    def join(*arguments: Any) -> Any:
        joins[0] += 1
        if joins[0] == failing + 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return usual(*arguments)

    monkeypatch.setattr(decoder, "join", join)
    assert said(engine, prompts, sampling) == want
    assert joins == [failing + 1]
    assert static is not None
    assert static._kept == {}
    assert said(engine, prompts, sampling) == want
    assert joins[0] >= failing + 1 + 3


def test_prompts_of_two_beginnings_fit_where_their_padding_does_not(tiny_base: BaseModel) -> None:
    """The longest beginning and the longest rest have 260 tokens together, and no row more than 231."""
    prompts = ["a" * 230 + "1", "a" * 230 + "2", *("b" * 30 + digit * 30 for digit in "34")]
    sampling, engine = Sampling(max_tokens=20), HFEngine(tiny_base, static=True)
    assert said(engine, prompts, sampling) == said(HFEngine(tiny_base, static=False), prompts, sampling)
    assert engine._static is not None
    assert [sizes.positions for sizes in engine._static._kept] == [MIN_POSITIONS]


def test_rows_that_nobody_reads_stay_within_learned_positions() -> None:
    module = GPT2LMHeadModel(GPT2Config(**{**gpt2().config.to_dict(), "n_positions": 200})).requires_grad_(False)
    base = BaseModel("short", module.eval(), tokenizer(chat=True), "short-identity")
    engine, sampling = HFEngine(base, static=True), Sampling(max_tokens=30)
    engine._stopped = lambda _: False  # type: ignore[method-assign]
    engine.generate([letter * 165 for letter in "abcd"], sampling)  # rows that are at position 195 then
    completions = engine.generate([*"abc"], sampling)
    assert [c.tokens for c in completions] == [30] * 3
    assert engine._static is not None
    assert [(sizes.rows, sizes.positions) for sizes in engine._static._kept] == [(4, 200)]


def test_adapters_of_experts_go_the_other_way() -> None:
    base = BaseModel("experts", listed_experts(), tokenizer(chat=True), "experts-identity")
    expert, plain = random_adapter(base, 1, targets=("all",)), random_adapter(base, 2)
    engine = HFEngine(base, static=True)
    prompts, rows = list(PROMPTS[:3]), [expert, None, plain]
    assert said(engine, prompts, GREEDY, rows) == said(HFEngine(base, static=False), prompts, GREEDY, rows)
    assert engine._static is not None
    assert expert not in [entry[0]() for entry in engine._static._residents._places.values()]


def test_memory_is_bounded_by_the_bytes_of_a_batch(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    each = bytes_per_position(tiny_base.module.config, tiny_base.dtype)
    monkeypatch.setattr(batching, "MAX_CACHE_BYTES", 3 * MIN_POSITIONS * each)
    engine, prompts = HFEngine(tiny_base, static=True), [*"abcdefgh", "x" * 300]
    assert said(engine, prompts[:8], GREEDY) == said(HFEngine(tiny_base, static=False), prompts[:8], GREEDY)
    engine.generate(prompts, GREEDY)
    assert engine._static is not None
    assert [(sizes.rows, sizes.positions) for sizes in engine._static._kept] == [(3, 256), (1, 512)]


def test_what_goes_the_other_way_is_batched_by_length_within_the_bytes_of_a_batch(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, batches = HFEngine(tiny_base, max_rows=4, static=True), list[list[int]]()
    decode = engine._decode
    monkeypatch.setattr(
        engine,
        "_decode",
        lambda rows, *rest: batches.append([len(row.prompt_ids) for row in rows]) or decode(rows, *rest),
    )
    each = bytes_per_position(tiny_base.module.config, tiny_base.dtype)
    monkeypatch.setattr(batching, "MAX_CACHE_BYTES", 120 * each)
    prompts = ["x" * length for length in (90, 2, 50, 3, 50, 1, 4, 5)]
    engine.generate(prompts, Sampling(3, grammar=Grammar("regex", "[ab]{3}")))
    assert batches == [[1, 2, 3, 4], [5, 50], [50], [90]]


def no_memory_for_layers(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    """Memory runs out so many times while a cache is allocated."""
    left, made = [failures], cache.RowLayer

    def layer(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made(*arguments)

    monkeypatch.setattr(cache, "RowLayer", layer)


def test_logprobs_are_those_of_the_other_way(tiny_base: BaseModel) -> None:
    left, right = (HFEngine(tiny_base, static=static).generate(list(PROMPTS), GREEDY) for static in (True, False))
    for mine, theirs in zip(left, right, strict=True):
        assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)


def test_branches_are_those_of_the_other_way(tiny_base: BaseModel) -> None:
    for least in (0.0, 0.004):
        static, usual = (
            HFEngine(tiny_base, max_rows=5, static=static).branches(list(PROMPTS), GREEDY, 3, least=least)
            for static in (True, False)
        )
        assert [[c.text for c in row] for row in static] == [[c.text for c in row] for row in usual]


def test_rows_join_while_others_write(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """One long row, many short ones: the short ones take each other's places while the long one goes on."""
    engine, batches = HFEngine(tiny_base, max_rows=4, static=True), list[int]()
    prefill = engine._prefill
    monkeypatch.setattr(engine, "_prefill", lambda rows, *rest: batches.append(len(rows)) or prefill(rows, *rest))

    def stopped(row: Any) -> bool:
        return len(row.generated) >= (40 if row.prompt_ids == engine.base.encode("L") else 3)

    monkeypatch.setattr(engine, "_stopped", stopped)
    steps = [0]
    static = engine._static_decoder()
    assert static is not None
    usual = static._step
    monkeypatch.setattr(static, "_step", lambda kept: steps.__setitem__(0, steps[0] + 1) or usual(kept))
    completions = engine.generate(["L", *"abcdefghijkl"], Sampling(max_tokens=60))
    assert [c.tokens for c in completions] == [40] + [3] * 12
    assert batches[0] == 4
    assert len(batches) > 2
    assert steps[0] <= 41  # no more than the long row needs, and the one that is launched before its end is read


def test_a_call_that_comes_while_another_runs_goes_the_other_way(tiny_base: BaseModel) -> None:
    engine = HFEngine(tiny_base, static=True)
    want = said(engine, list(PROMPTS), GREEDY)
    stream = engine.stream(PROMPTS[0], GREEDY)
    next(stream)
    assert engine._static is not None
    assert engine._static.lock.locked()
    assert said(engine, list(PROMPTS), GREEDY) == want
    stream.close()
    assert not engine._static.lock.locked()
    with ThreadPoolExecutor(3) as pool:
        assert all(texts == want for texts in pool.map(lambda _: said(engine, list(PROMPTS), GREEDY), range(6)))


def test_a_grammar_is_followed(tiny_base: BaseModel) -> None:
    completion = HFEngine(tiny_base, static=True).generate(["One"], Sampling(8, grammar=Grammar("regex", "[ab]{3}")))[0]
    assert set(completion.text) <= {"a", "b"}


def test_a_recorder_that_fails_is_named_once(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def record(self, work: Callable[[], None]) -> Callable[[], None]:
            raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(hf_module, "recorder_for", lambda _: Broken())
    engine = HFEngine(tiny_base, static=True)
    want = said(HFEngine(tiny_base, static=False), list(PROMPTS), GREEDY)
    assert said(engine, list(PROMPTS), GREEDY) == want
    assert said(engine, ["x" * 300], GREEDY) == said(HFEngine(tiny_base, static=False), ["x" * 300], GREEDY)
    assert [m for m in caplog.messages if "graph" in m] == [
        "decoding runs without a CUDA graph (operation not permitted when stream is capturing)"
    ]


def test_a_model_that_would_say_something_else_keeps_its_own_way(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert decodes_in_place(tiny_base)
    tiny_base.memo.pop("decodes in place")
    monkeypatch.setattr(trial, "alike", lambda *_: False)
    engine = HFEngine(tiny_base, static=True)
    assert engine._static_decoder() is None
    assert engine.generate(["One"], GREEDY)[0].tokens == GREEDY.max_tokens
