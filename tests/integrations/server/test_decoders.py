"""The threads that write answers: what one request breaks, the others do not notice."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Queue

import pytest
from conftest import random_adapter
from fakes import ScriptedEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.config import ServerConfig
from seal_agent.generation.continuous import ContinuousEngine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.rows import LiveRow
from seal_agent.integrations.server.calls import Call, Decoder, Event, Failed, Finished, Piece
from seal_agent.integrations.server.decoder import ContinuousDecoder
from seal_agent.integrations.server.workers import RecallDecoder
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Message, Sampling

POISON = "Who broke it?"


class Keeper:
    """A script that waits at its first question until it may go on, and that cannot answer POISON."""

    def __init__(self) -> None:
        self.is_asked, self.may_go_on = threading.Event(), threading.Event()

    def __call__(self, text: str, adapter: LoraAdapter | None) -> str:
        if not self.is_asked.is_set():
            self.is_asked.set()
            assert self.may_go_on.wait(60)
        if POISON in text:
            raise RuntimeError("out of memory")
        return "Imre keeps the light."


def begun(decoder: Decoder, call: Call) -> Queue[Event]:
    events: Queue[Event] = Queue()
    decoder.prepare(call)(events.put)
    return events


def result(events: Queue[Event]) -> str:
    """The text of an answer, or what its error says."""
    text = ""
    while not isinstance(event := events.get(timeout=60), Finished):
        if isinstance(event, Failed):
            return f"failed: {event.error}"
        assert isinstance(event, Piece)
        text += event.text
    return text


@contextmanager
def closing(decoder: Decoder) -> Iterator[Decoder]:
    try:
        yield decoder
    finally:
        decoder.close()


def question(text: str, adapter: LoraAdapter, seed: int = 7) -> Call:
    return Call((Message("user", text),), Sampling(max_tokens=20, seed=seed), adapter, style="sentence")


def test_the_same_question_and_seed_for_two_adapters_wait_together(tiny_base: BaseModel) -> None:
    keeper, adapters = Keeper(), [random_adapter(tiny_base, seed) for seed in (1, 2)]
    with closing(RecallDecoder(ScriptedEngine(keeper), tiny_base, ServerConfig(max_rows=1))) as decoder:
        first = begun(decoder, question("Who is first?", adapters[0]))
        assert keeper.is_asked.wait(60)
        waiting = [begun(decoder, question("Who keeps the light?", adapter)) for adapter in adapters]
        keeper.may_go_on.set()
        assert len({result(events) for events in (first, *waiting)}) == 1
        assert decoder.load() == (0, 0)


def test_a_question_that_fails_takes_no_other_of_its_batch_with_it(tiny_base: BaseModel) -> None:
    keeper, adapter = Keeper(), random_adapter(tiny_base, 1)
    with closing(RecallDecoder(ScriptedEngine(keeper), tiny_base, ServerConfig())) as decoder:
        first = begun(decoder, question("Who is first?", adapter))
        assert keeper.is_asked.wait(60)
        together = [begun(decoder, question(text, adapter)) for text in ("Who keeps it?", POISON, "Who left it?")]
        keeper.may_go_on.set()
        expected = result(first)
        kept, broken, left = map(result, together)
        assert (kept, left) == (expected, expected)
        assert broken.startswith("failed: the engine failed (out of memory)")
        assert result(begun(decoder, question("Who is last?", adapter))) == expected


class Narrow(ContinuousEngine):
    """An engine without the memory for some prompts."""

    def join(self, rows: Sequence[LiveRow]) -> None:
        super().join(rows)  # a part of what joins may be in the batch already
        if any(live.sampling.seed == 13 for live in rows):
            raise RuntimeError("out of memory")


def test_rows_that_cannot_join_leave_the_others_alone(tiny_base: BaseModel) -> None:
    long, short = Sampling(max_tokens=200), Sampling(max_tokens=5)
    with closing(ContinuousDecoder(Narrow(tiny_base), ServerConfig())) as decoder:
        others = begun(decoder, Call("One", long))
        while decoder.load() != (0, 1):
            pass
        broken = begun(decoder, Call("Two", Sampling(max_tokens=200, seed=13), choices=2))
        assert result(broken).startswith("failed: decoding failed (out of memory)")
        assert result(others) == HFEngine(tiny_base).generate(["One"], long)[0].text
        assert result(begun(decoder, Call("Three", short))) == HFEngine(tiny_base).generate(["Three"], short)[0].text
        assert decoder.load() == (0, 0)


@pytest.mark.parametrize("waits", [True, False])
def test_a_step_that_fails_ends_what_is_decoded_and_not_what_waits(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    engine, may_fail, step = ContinuousEngine(tiny_base), threading.Event(), ContinuousEngine.step

    def failing(self: ContinuousEngine) -> list[LiveRow]:
        if may_fail.wait(60) and self.live and not failed:
            failed.append(True)
            raise RuntimeError("out of memory")
        return step(self)

    failed: list[bool] = []
    monkeypatch.setattr(ContinuousEngine, "step", failing)
    short = Sampling(max_tokens=5)
    with closing(ContinuousDecoder(engine, ServerConfig(max_rows=1))) as decoder:
        running = begun(decoder, Call("One", short))
        while decoder.load() != (0, 1):
            pass
        waiting = begun(decoder, Call("Two", short)) if waits else None
        may_fail.set()
        assert result(running).startswith("failed: decoding failed")
        events = waiting or begun(decoder, Call("Two", short))
        assert result(events) == HFEngine(tiny_base).generate(["Two"], short)[0].text
