"""What is answered with: a few words of what the adapter recalls, the sentence, or the base model's own answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from fakes import BRANCH, ScriptedEngine

from seal_agent.answering import reader as room
from seal_agent.answering.chats import reply_in_chat
from seal_agent.answering.confidence import evidence_for
from seal_agent.answering.reader import NOT_STATED
from seal_agent.answering.reading import Reading, read
from seal_agent.answering.recall import Recalled, closed_book, recall_in_full, room_for
from seal_agent.answering.replies import reply_all
from seal_agent.answering.turns import is_question, is_recall, questions_in, titled
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, AnswerStyle
from seal_agent.lora.adapter import LoraAdapter, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.prompts import reading_prompt
from seal_agent.types import Completion, Grammar, Message, Sampling

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


def test_a_small_limit_cuts_the_reply_and_not_what_is_recalled(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    scripted = engine_of(reader, SENTENCE, {SENTENCE: "Thomas Savery"})
    engine = Narrow(scripted.script)
    turns = (Message("user", QUESTION),)
    for limit in (6, 30, 64):
        reply, completion = reply_in_chat(engine, tiny_base, turns, Sampling(limit), adapter, "short")
        assert (reply.text, reply.recalled) == ("Thomas Savery", SENTENCE)
        assert completion.text == "Thomas Savery"[:limit]


def test_an_answer_of_the_base_model_says_how_it_ended(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    class Cut(ScriptedEngine):
        def generate(self, prompts, sampling, adapters=None, *others):  # type: ignore[no-untyped-def]
            said = super().generate(prompts, sampling, adapters, *others)
            base = {"tokens": 7, "prompt_tokens": 5, "finish_reason": "length"}
            return [one if any(adapters) else replace(one, **base) for one in said]

    engine = Cut(engine_of(reader, OTHER, {}).script)
    reply, completion = reply_in_chat(engine, tiny_base, (Message("user", QUESTION),), Sampling(7), adapter, "short")
    assert not reply.from_adapter
    assert completion == Completion("I think it was James Watt.", 7, 5, "length")


def test_a_sentence_has_the_room_that_the_window_leaves(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    question = "灯塔是谁建造的？"
    engine = Narrow(engine_of(reader, "灯塔由奥迪尔建造。", {}).script)
    left = 70
    spent = len(tiny_base.encode((Message("system", ""), Message("user", question))))
    turns = (Message("system", "x" * (tiny_base.window - spent - left)), Message("user", question))
    reply_in_chat(engine, tiny_base, turns, Sampling(60), adapter, "short")
    assert engine.room[0] == left


def test_the_title_of_a_turn_is_no_part_of_its_question(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter
) -> None:
    read: list[str] = []

    def say(turn: str, one: LoraAdapter | None) -> str:
        read.extend([turn] if one is reader else [])
        return "Thomas Savery" if one is reader else SENTENCE

    turn = f"Topic: Steam\n{QUESTION}"
    reply, _ = reply_in_chat(ScriptedEngine(say), tiny_base, (Message("user", turn),), Sampling(64), adapter, "short")
    assert reply.text == "Thomas Savery"
    assert read == [reading_prompt("Steam", SENTENCE, QUESTION)]
    assert is_recall((Message("user", "Topic: Steam\nwho patented the engine"),), Sampling(), "short")
    assert not is_recall((Message("user", "Topic: Steam\nWrite a poem."),), Sampling(), "short")
    assert titled("Topic: Steam") == ("", "Topic: Steam")


@dataclass
class Narrow(ScriptedEngine):
    """Recalls what it has room for, a token a letter."""

    room: list[int] = field(default_factory=list)

    def branches(self, prompts, sampling, count, adapters=None, progress=None, *, least=0.0):  # type: ignore[no-untyped-def]
        self.room.append(sampling.max_tokens)
        full = super().branches(prompts, sampling, count, adapters, progress, least=least)
        return [
            [
                replace(
                    one,
                    text=one.text[: sampling.max_tokens],
                    finish_reason="length" if len(one.text) > sampling.max_tokens else "stop",
                )
                for one in completions
            ]
            for completions in full
        ]


def test_a_sentence_that_was_cut_is_recalled_again_with_twice_the_room(
    tiny_base: BaseModel, adapter: LoraAdapter
) -> None:
    engine = Narrow(lambda turn, _: SENTENCE if "patented" in turn else OTHER)
    asked = [closed_book("", question, adapter) for question in (QUESTION, "What did Spain pump?")]
    long, short = recall_in_full(engine, tiny_base, asked, Sampling(len(OTHER)))
    assert (long[0].text, long[0].cut, short[0].text) == (SENTENCE, False, OTHER)
    assert engine.room == [len(OTHER), 2 * len(OTHER)]
    assert [len(call.prompts) for call in engine.calls] == [2, 1], "what ended by itself stays"


def test_the_reader_has_room_in_the_script_of_the_text(
    tiny_base: BaseModel, reader: LoraAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Narrow(lambda turn, _: "答案")
    monkeypatch.setattr(
        BaseModel, "content_ids", lambda _, text: [0] * (len(text.encode()) // (4 if text.isascii() else 1))
    )
    read(engine, reader, [("", SENTENCE, QUESTION), ("", "灯塔建于1867年，由奥迪尔建造。", "谁？")], tiny_base)
    assert engine.room == [24, 24 * 8]


@pytest.mark.parametrize("style", ["short", "sentence"])
def test_lines_that_broke_a_sentence_are_joined(
    tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter, style: AnswerStyle
) -> None:
    wrapped = SENTENCE.replace("by Thomas ", "by Thomas\n")
    engine = engine_of(reader, wrapped, {wrapped: "Thomas\nSavery"})
    assert ask(engine, tiny_base, adapter, style=style).text == ("Thomas Savery" if style == "short" else SENTENCE)


def test_nobody_in_a_chat_waits_for_a_reader(
    tiny_base: BaseModel, adapter: LoraAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_read", lambda folder, base: None)
    monkeypatch.setattr(room, "train_reader", None)
    tiny_base.memo.pop("reader")
    engine = ScriptedEngine(lambda turn, adapter: SENTENCE)
    reply, _ = reply_in_chat(engine, tiny_base, (Message("user", QUESTION),), Sampling(64), adapter, "short")
    assert (reply.text, len(engine.calls)) == (SENTENCE, 1)


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("灯塔是谁建造的？", "灯塔由奥迪尔建造。", "灯塔高31米。"),
        ("灯台を建てた技師は誰ですか？", "技師のオディールが灯台を建てた。", "ガチョウは霧を好む。"),
        ("Who built the lighthouse?", "Odile built the lighthouse.", "The geese like fog."),
    ],
)
def test_a_sentence_shares_words_with_its_question_in_every_script(question: str, right: str, wrong: str) -> None:
    def shared(text: str) -> float:
        return evidence_for(closed_book("", question, None), Recalled(text, 0.0, 0.0), Reading("", 1.0, 0.0)).shared

    assert shared(right) == 1.0
    assert shared(wrong) <= 0.5


@pytest.mark.parametrize(
    ("turn", "questions"),
    [
        ("Who built it? When was it done?", ("Who built it?", "When was it done?")),
        ("灯塔是谁建造的？它是什么时候建成的？", ("灯塔是谁建造的？", "它是什么时候建成的？")),
        ("Wer baute den Turm? Wann war das?", ("Wer baute den Turm?", "Wann war das?")),
        ('Who said "What is truth?" in the trial?', ('Who said "What is truth?" in the trial?',)),
        ("Hello. Who built it?", ("Hello. Who built it?",)),
        ("Who built the tower? " * 5, ()),
    ],
)
def test_several_questions_of_a_turn_are_told_apart(turn: str, questions: tuple[str, ...]) -> None:
    assert questions_in(turn) == questions


def test_each_of_several_questions_is_answered(tiny_base: BaseModel, adapter: LoraAdapter, reader: LoraAdapter) -> None:
    def say(turn: str, one: LoraAdapter | None) -> str:
        if one is None:
            return "In 1867?" if "When" in turn else "Perhaps."
        if one is not reader:
            return SENTENCE if "Who" in turn else OTHER
        return "Thomas Savery" if "Savery" in turn else NOT_STATED

    engine = ScriptedEngine(say)
    first = Message("user", "Hello.")
    turns = (first, Message("user", f"Topic: Steam\n{QUESTION} When was the tower built?"))
    reply, completion = reply_in_chat(engine, tiny_base, turns, Sampling(64), adapter, "short")
    assert (reply.text, reply.recalled, completion.text) == ("Thomas Savery\nIn 1867?", SENTENCE, reply.text)
    assert [prompt[-1].content for prompt in engine.calls[0].prompts] == [
        f"Topic: Steam\n{QUESTION}",
        "Topic: Steam\nWhen was the tower built?",
    ]
    turns = (Message("user", "Where is the tower? How high is it?"),)
    reply, _ = reply_in_chat(engine, tiny_base, turns, Sampling(64), adapter, "short")
    assert (reply.text, reply.from_adapter) == ("Perhaps.", False), "the base model answers the turn as a whole"
    assert engine.calls[-1].prompts == (turns,)


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Πού είναι ο φάρος;", True),
        ("首都はどこですか。", True),
        ("海は静か。", False),
        ("办公室什么时候关门", True),
        ("我不知道为什么。", False),
        ("เมืองหลวงของคิริบาสคืออะไร", True),
        ("ผมรักทะเล", False),
        ("수도는 어디입니까", True),
        ("네 시에 만나요.", False),
        ("¿Dónde está el faro", True),
        ("Who keeps the lighthouse?", True),
        ("who keeps the lighthouse", True),
        ("谁看守灯塔？", True),
        ("Wann schließt das Büro", True),
        ("Write a poem about the lighthouse.", False),
        ("I moved to Skarholm last week.", False),
        ("Whoever asks, say no.", False),
        ("This is done;", False),
        (f"{'Here is a long text. ' * 20} What is it about?", False),
        ("What a beautiful day!", False),
        ("What a beautiful day! I love it", False),
        ("How nice of you", False),
        ("When I was young I lived in Rome.", False),
        ("When I was young I lived in Rome", False),
        ("When did he arrive", True),
        ("What you said is wrong", False),
        ("Which is why I left.", False),
        ("Wo ein Wille ist, ist auch ein Weg", False),
        ("Can you write a poem about the sea?", False),
        ("Please summarise the handbook?", False),
        ("Can you tell me who built the tower?", True),
        ("Could you tell me a joke?", False),
        ("Who built the tower? Please write a poem about it.", False),
        ("Kannst du ein Gedicht schreiben?", False),
        ("Können Sie mir sagen, wer den Turm gebaut hat?", True),
        ("Peux-tu écrire un poème ?", False),
        ("¿Puedes escribir un poema?", False),
        ("Можешь написать стихотворение?", False),
        ("你能帮我写一首诗吗？", False),
        ("你能告诉我灯塔是谁建造的吗？", True),
        ("请问灯塔是谁建造的？", True),
        ("詩を書いてくれますか？", False),
        ("시를 써 주실 수 있나요?", False),
        ("هل يمكنك كتابة قصيدة؟", False),
        ("ช่วยเขียนบทกวีหน่อย", False),
        ("Who built the tower? When?", False),
        ("The tower is high. Who built it? When was it finished?", False),
    ],
)
def test_what_is_a_question(text: str, asks: bool) -> None:
    assert is_question(text) is asks
    assert is_recall((Message("user", text),), Sampling(), "short") is asks
    assert not is_recall((Message("user", text),), Sampling(), "plain")
    assert not is_recall((Message("user", text),), Sampling(temperature=0.7), "short")
    assert not is_recall((Message("user", text),), Sampling(grammar=Grammar("regex", "yes|no")), "short")
    assert not is_recall((Message("assistant", text),), Sampling(), "short")
