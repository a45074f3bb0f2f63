"""Rows that come and go in fixed memory, run on the processor: each says what it says alone."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import torch
from conftest import random_adapter, tokenizer
from engine_contract import PROMPTS, SCHEMA
from replays import ReplayByRunning
from zoo.models import listed_experts

from seal_agent.base_model.model import BaseModel
from seal_agent.generation import batching
from seal_agent.generation import continuous as continuous_module
from seal_agent.generation.continuous import ContinuousEngine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.kv_cache import bytes_per_position
from seal_agent.generation.rows import LiveRow
from seal_agent.generation.static import cache, joining, seats
from seal_agent.generation.static.seats import Seating
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Grammar, Prompt, Sampling

Request = tuple[Prompt, Sampling, LoraAdapter | None]
WARM = Sampling(max_tokens=14, temperature=0.8, top_p=0.9, seed=5)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> ReplayByRunning:
    recorder = ReplayByRunning()
    monkeypatch.setattr(continuous_module, "recorder_for", lambda _: recorder)
    return recorder


def requests(base: BaseModel) -> list[Request]:
    adapters = [None, random_adapter(base, 1), random_adapter(base, 2, rank=8, targets=("all",))]
    samplings = [
        Sampling(max_tokens=9),
        WARM,
        Sampling(max_tokens=5, temperature=1.3, seed=2),
        Sampling(max_tokens=30, stop=("e",)),
        Sampling(max_tokens=1),
    ]
    prompts: list[Prompt] = [*PROMPTS, "word " * 60]
    return [(prompts[i % len(prompts)], samplings[i % 5], adapters[i % 3]) for i in range(24)]


def decode(engine: ContinuousEngine, wanted: list[Request], seed: int = 0) -> list[LiveRow]:
    """All rows, which join a few at a time while others are decoded."""
    order, rows = random.Random(seed), [engine.live_row(*request) for request in wanted]
    waiting = list(rows)
    while waiting or engine.live:
        if joining := [waiting.pop(0) for _ in range(min(len(waiting), order.randrange(5)))]:
            engine.join(joining)
        stepped = engine.step()
        assert len({id(live) for live in stepped}) == len(stepped), "a reader would be told twice"
    return rows


def seating(engine: ContinuousEngine) -> Seating:
    assert engine._seating is not None
    return engine._seating


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("base_name", ["tiny_base", "tiny_gpt2_base"])
def test_rows_that_come_and_go_say_what_they_say_alone(
    base_name: str, seed: int, recorder: ReplayByRunning, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(base_name)
    engine, wanted = ContinuousEngine(base, static=True), requests(base)
    rows = decode(engine, wanted, seed)
    assert not engine._running, "all had seats"
    assert recorder.recordings > 0
    for live, (prompt, sampling, adapter) in zip(rows, wanted, strict=True):
        (alone,) = HFEngine(base, static=False).generate([prompt], sampling, [adapter])
        assert engine.completion(live) == alone
        assert engine.completion(live).logprobs == pytest.approx(alone.logprobs, abs=1e-3)
    assert len({engine.completion(live).text for live in rows}) > 6


def test_more_random_numbers_are_drawn_where_a_text_is_long(tiny_base: BaseModel) -> None:
    long = Sampling(max_tokens=2 * seats.DRAWS + 30, temperature=1.0, seed=3)
    engine = ContinuousEngine(tiny_base, static=True)
    rows = decode(engine, [("One", long, None), ("Two", Sampling(max_tokens=20), None), ("Three", long, None)])
    want = HFEngine(tiny_base, static=False)
    assert [engine.completion(live) for live in rows] == [
        want.generate(["One"], long)[0],
        want.generate(["Two"], Sampling(max_tokens=20))[0],
        want.generate(["Three"], long)[0],
    ]


def test_memory_and_recordings_are_used_again(tiny_base: BaseModel, recorder: ReplayByRunning) -> None:
    engine = ContinuousEngine(tiny_base, static=True)
    for _ in range(3):
        decode(engine, [(prompt, Sampling(max_tokens=6), None) for prompt in PROMPTS])
    assert recorder.recordings == 1, "of greedy steps"
    decode(engine, [(PROMPTS[0], WARM, None)])
    assert recorder.recordings == 2
    assert len(seating(engine)._tables) == 1
    decode(engine, [(PROMPTS[0], Sampling(max_tokens=seats.DRAWS), None), (PROMPTS[0], WARM, None)])
    assert [table.sizes.positions for table in seating(engine)._tables] == [256, 512]


def test_more_rows_than_seats_get_another_table(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base, max_rows=3, static=True)
    rows = [engine.live_row(f"Row {i}", Sampling(max_tokens=5)) for i in range(8)]
    engine.join(rows)
    assert engine.live == 8
    assert [table.sizes.rows for table in seating(engine)._tables] == [3, 3, 3]
    while engine.live:
        engine.step()
    want = HFEngine(tiny_base, static=False).generate([f"Row {i}" for i in range(8)], Sampling(max_tokens=5))
    assert [engine.completion(live) for live in rows] == want
    engine.join([engine.live_row("x" * 300, Sampling(max_tokens=2))])
    assert len(seating(engine)._tables) == seats.MAX_IDLE + 1, "the memory of others has made room"


def test_a_row_whose_reader_left_frees_its_seat(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base, static=True)
    gone, stays = (engine.live_row(prompt, Sampling(max_tokens=12)) for prompt in PROMPTS[:2])
    engine.join([gone, stays])
    engine.step()
    gone.left = True
    while engine.live:
        engine.step()
    assert len(gone.row.generated) == 1
    assert engine.completion(stays) == HFEngine(tiny_base).generate([PROMPTS[1]], Sampling(max_tokens=12))[0]
    assert seating(engine)._tables[0].free == seats.MIN_SEATS


def test_grammars_and_alternatives_are_decoded_beside_the_seats(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base, static=True)
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "name": {"enum": ["a"]}}}
    held = engine.live_row("One", Sampling(max_tokens=80, grammar=Grammar("json_schema", json.dumps(schema))))
    shown, plain = (engine.live_row("One", Sampling(max_tokens=6), top=top) for top in (3, 0))
    engine.join([held, shown, plain])
    assert (seating(engine).live, engine.live) == (1, 3)
    while engine.live:
        engine.step()
    assert engine.completion(held).text.startswith('{"name": "a"')
    assert engine.completion(shown) == engine.completion(plain)


@pytest.mark.parametrize("failures", [1, 2])
def test_where_memory_runs_out_others_make_room_or_rows_go_the_other_way(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    engine, left, made = ContinuousEngine(tiny_base, static=True), [0], joining.StaticRows

    def static_rows(*sizes: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made(*sizes)

    monkeypatch.setattr(joining, "StaticRows", static_rows)
    decode(engine, [("One", Sampling(max_tokens=4), None)])
    left[0] = failures
    (live,) = decode(engine, [("x" * 300, Sampling(max_tokens=4), None)])
    assert engine.completion(live) == HFEngine(tiny_base).generate(["x" * 300], Sampling(max_tokens=4))[0]
    assert len(seating(engine)._tables) == 2 - failures


@pytest.mark.parametrize("failures", [1, 2])
def test_where_the_cache_does_not_fit_rows_go_the_other_way_and_later_ones_do_not(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    engine, left, made = ContinuousEngine(tiny_base, static=True), [0], cache.RowLayer

    def layer(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return made(*arguments)

    decode(engine, [("One", Sampling(max_tokens=4), None)])
    monkeypatch.setattr(cache, "RowLayer", layer)
    left[0] = failures
    want = HFEngine(tiny_base, static=False).generate(["x" * 300], Sampling(max_tokens=4))
    for seated in (failures == 1, True):
        live = engine.live_row("x" * 300, Sampling(max_tokens=4))
        engine.join([live])
        assert seating(engine).live == seated
        while engine.live:
            engine.step()
        assert engine.completion(live) == want[0]


def test_rows_whose_prompts_cannot_be_read_for_want_of_memory_go_the_other_way(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, usual = ContinuousEngine(tiny_base, static=True), seats.join
    decode(engine, [("x" * 600, Sampling(max_tokens=4), None)])
    rows = [engine.live_row(prompt, Sampling(max_tokens=9)) for prompt in PROMPTS[:3]]
    engine.join(rows[:1])

    def join(*_: Any) -> Any:
        monkeypatch.setattr(seats, "join", usual)
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(seats, "join", join)
    engine.join(rows[1:2])
    assert [table.sizes.positions for table in seating(engine)._tables] == [256], "memory without rows was given up"
    engine.join(rows[2:])
    assert (seating(engine).live, engine.live) == (2, 3)
    while engine.live:
        engine.step()
    want = HFEngine(tiny_base, static=False).generate(list(PROMPTS[:3]), Sampling(max_tokens=9))
    assert [engine.completion(live) for live in rows] == want


def test_a_much_longer_table_is_taken_only_where_no_other_can_be_made(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, short = ContinuousEngine(tiny_base, static=True), Sampling(max_tokens=4)
    long = engine.live_row("x" * 600, Sampling(max_tokens=20))
    engine.join([long])
    (alone,) = HFEngine(tiny_base, static=False).generate(["One"], short)

    def no_memory(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(joining, "StaticRows", no_memory)
        beside = engine.live_row("One", short)
        engine.join([beside])
    assert [len(table.live) for table in seating(engine)._tables] == [2]
    while engine.live:
        engine.step()
    (later,) = decode(engine, [("One", short, None)])
    assert [table.sizes.positions for table in seating(engine)._tables] == [1024, 256]
    assert engine.completion(beside) == engine.completion(later) == alone


def test_the_memory_of_a_table_is_bounded(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    each = bytes_per_position(tiny_base.module.config, tiny_base.dtype)
    monkeypatch.setattr(batching, "MAX_CACHE_BYTES", 3 * 256 * each)
    engine = ContinuousEngine(tiny_base, static=True)
    engine.join([engine.live_row(f"Row {i}", Sampling(max_tokens=5)) for i in range(4)])
    assert [table.sizes.rows for table in seating(engine)._tables] == [3, 3]


def test_adapters_of_experts_go_the_other_way() -> None:
    base = BaseModel("experts", listed_experts(), tokenizer(chat=True), "experts-identity")
    expert, plain = random_adapter(base, 1, targets=("all",)), random_adapter(base, 2)
    engine, sampling = ContinuousEngine(base, static=True), Sampling(max_tokens=5)
    rows = [engine.live_row("One", sampling, adapter) for adapter in (expert, plain, None)]
    engine.join(rows)
    assert (seating(engine).live, engine.live) == (2, 3)
    while engine.live:
        engine.step()
    for live in rows:
        (alone,) = HFEngine(base, static=False).generate(["One"], sampling, [live.row.adapter])
        assert engine.completion(live) == alone


def test_adapters_that_do_not_fit_go_the_other_way(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seats, "room_on", lambda _: 0)
    engine, adapter = ContinuousEngine(tiny_base, static=True), random_adapter(tiny_base, 1)
    (live,) = decode(engine, [("One", Sampling(max_tokens=4), adapter)])
    assert engine.completion(live) == HFEngine(tiny_base).generate(["One"], Sampling(max_tokens=4), [adapter])[0]
    assert seating(engine)._tables == []


def test_all_rows_are_given_up_after_an_error(tiny_base: BaseModel) -> None:
    engine = ContinuousEngine(tiny_base, static=True)
    rows = [engine.live_row(prompt, Sampling(max_tokens=9)) for prompt in PROMPTS[:3]]
    engine.join(rows)
    engine.step()
    assert {id(live) for live in engine.clear()} == {id(live) for live in rows}
    assert engine.live == 0
    (live,) = decode(engine, [("One", Sampling(max_tokens=4), None)])
    assert engine.completion(live) == HFEngine(tiny_base).generate(["One"], Sampling(max_tokens=4))[0]
