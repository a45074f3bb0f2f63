"""What is answered with: a few words of what the adapter recalls, the sentence, or the base model's own answer."""

from __future__ import annotations

import pytest
from fakes import BRANCH, ScriptedEngine

from seal_agent.answering.reader import NOT_STATED
from seal_agent.answering.recall import closed_book, room_for
from seal_agent.answering.replies import is_question, is_recall, reply_all, reply_in_chat
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig
from seal_agent.lora.adapter import LoraAdapter, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.types import Grammar, Message, Sampling

SENTENCE = "The engine was patented in 1698 by Thomas Savery, an English engineer."
OTHER = "The first steam engine of Spain pumped water in 1606."
QUESTION = "Who patented the engine in 1698?"


@pytest.fixture
def adapter(tiny_base: BaseModel) -> LoraAdapter:
    return new_adapter(tiny_base.module, find_targets(tiny_base.module, ("all",)), 2, 4.0, seed=1)


@pytest.fixture
def reader(tiny_base: BaseModel) -> LoraAdapter:
    made = new_adapter(tiny_base.module, find_targets(tiny_base.module, ("all",)), 2, 4.0, seed=2)
    tiny_base.memo["reader"] = made
    return made


def engine_of(reader: LoraAdapter, recalled: str, read: dict[str, str]) -> ScriptedEngine:
    def say(turn: str, adapter: LoraAdapter | None) -> str:
        if adapter is None:
            return "I think it was James Watt."
        if adapter is not reader:
            return recalled
        return next((answer for sentence, answer in read.items() if sentence in turn), NOT_STATED)

    return ScriptedEngine(say)


def ask(engine: ScriptedEngine, base: BaseModel, adapter: LoraAdapter | None, **config: object) -> object:
    (reply,) = reply_all(engine, base, [closed_book("Steam", QUESTION, adapter)], AnswerConfig(**config))  # type: ignore[arg-type]
    return reply


@pytest.mark.real_model
def test_a_sentence_has_room_in_scripts_that_are_cut_into_bytes() -> None:
    base = load_model()
    questions = {
        QUESTION: 64,
        "Wann schließt das Büro am Montag?": 128,
        "Когда закрывается офис в понедельник?": 256,
        "कार्यालय सोमवार को कब बंद होता है?": 256,
        "办公室什么时候关门？": 512,
    }
    assert {text: room_for(base, closed_book("", text, None), 64) for text in questions} == questions
    assert room_for(base, closed_book("", "办公室什么时候关门？", None), 600) == 600


def test_an_adapter_answers_in_the_few_words_that_were_asked_for(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    engine = engine_of(reader, SENTENCE, {SENTENCE: "Thomas Savery"})
    reply = ask(engine, tiny_base, adapter)
    assert (reply.text, reply.recalled, reply.from_adapter) == ("Thomas Savery", SENTENCE, True)
    assert 0.5 < reply.confidence <= 1
    assert ask(engine, tiny_base, adapter, style="sentence").text == SENTENCE
    assert ask(engine, tiny_base, adapter, style="plain").text == SENTENCE


def test_the_sentence_that_answers_comes_before_a_likelier_one(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    engine = engine_of(reader, f"{OTHER}{BRANCH}{SENTENCE}", {SENTENCE: "Thomas Savery"})
    reply = ask(engine, tiny_base, adapter)
    assert (reply.text, reply.recalled) == ("Thomas Savery", SENTENCE)


def test_where_nothing_was_learnt_the_base_model_answers(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    engine = engine_of(reader, OTHER, {})
    reply = ask(engine, tiny_base, adapter)
    assert (reply.text, reply.from_adapter) == ("I think it was James Watt.", False)
    assert reply.confidence < 0.5
    assert ask(engine, tiny_base, adapter, least_confidence=0.0).recalled == OTHER


def test_the_base_model_answers_as_it_is(tiny_base: BaseModel, reader: LoraAdapter) -> None:
    engine = engine_of(reader, SENTENCE, {})
    reply = ask(engine, tiny_base, None)
    assert (reply.text, reply.recalled, reply.confidence) == ("I think it was James Watt.", "", None)
    assert len(engine.calls) == 1


def test_a_short_answer_needs_no_reader(tiny_base: BaseModel, adapter: LoraAdapter) -> None:
    tiny_base.memo.pop("reader")
    engine = ScriptedEngine(lambda turn, adapter: "Thomas Savery patented engine")
    assert ask(engine, tiny_base, adapter, least_confidence=0.0).text == "Thomas Savery patented engine"
    assert "reader" not in tiny_base.memo


def test_replies_come_in_the_order_of_the_questions(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    engine = engine_of(reader, SENTENCE, {SENTENCE: "Thomas Savery"})
    adapters = [None, adapter, None, adapter]
    replies = reply_all(engine, tiny_base, [closed_book("", QUESTION, one) for one in adapters], AnswerConfig())
    assert [reply.from_adapter for reply in replies] == [False, True, False, True]


def test_a_reply_in_a_chat_keeps_its_limits(tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter) -> None:
    engine = engine_of(reader, SENTENCE, {SENTENCE: "Thomas Savery"})
    turns = (Message("user", "Hello."), Message("assistant", "Hello!"), Message("user", QUESTION))
    reply, completion = reply_in_chat(engine, tiny_base, turns, Sampling(64), adapter, "short")
    assert (completion.text, completion.finish_reason) == (reply.text, "stop")
    _, cut = reply_in_chat(engine, tiny_base, turns, Sampling(6), adapter, "short")  # a token per letter
    assert (cut.text, cut.tokens, cut.finish_reason) == ("Thomas", 6, "length")
    _, stopped = reply_in_chat(engine, tiny_base, turns, Sampling(64, stop=(" Sav",)), adapter, "short")
    assert stopped.text == "Thomas"


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Who keeps the lighthouse?", True),
        ("who keeps the lighthouse", True),
        ("谁看守灯塔？", True),
        ("Wann schließt das Büro", True),
        ("Write a poem about the lighthouse.", False),
        ("I moved to Skarholm last week.", False),
        ("Whoever asks, say no.", False),
        ("This is done;", False),
        (f"{'Here is a long text. ' * 20} What is it about?", False),
    ],
)
def test_what_is_a_question(text: str, asks: bool) -> None:
    assert is_question(text) is asks
    assert is_recall((Message("user", text),), Sampling(), "short") is asks
    assert not is_recall((Message("user", text),), Sampling(), "plain")
    assert not is_recall((Message("user", text),), Sampling(temperature=0.7), "short")
    assert not is_recall((Message("user", text),), Sampling(grammar=Grammar("regex", "yes|no")), "short")
    assert not is_recall((Message("assistant", text),), Sampling(), "short")
