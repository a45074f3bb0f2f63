"""Replies to questions: an adapter recalls, the reader finds in it what was asked for, else the base model answers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from seal_agent.answering.confidence import evidence_for
from seal_agent.answering.reader import has_reader, reader_of
from seal_agent.answering.reading import Reading, read
from seal_agent.answering.recall import Asked, Recalled, recall_in_full
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, AnswerStyle
from seal_agent.generation.engine import Engine, before_stop
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import load_prompt
from seal_agent.self_edits.asking import asks
from seal_agent.text.clauses import clause_around, span_like
from seal_agent.text.languages import language_of
from seal_agent.text.layout import in_one_line, unwrapped
from seal_agent.text.reasoning import without_reasoning
from seal_agent.text.scripts import word_count
from seal_agent.types import Completion, Message, Prompt, Reply, Sampling

FindReader = Callable[[BaseModel], LoraAdapter | None]
"""The reader of a model; None to do without one."""

UNSURE = 0.5  # probability of the first token of an answer below which the clause around it is given
LONGEST_QUESTION = 60  # words of a turn that may be a question; a longer one brings a text of its own
SHORT = 4  # words of an answer that needs no reading
UNREAD = 0.5  # probability that a text which nobody has read states no answer; not tuned


def reply_all(
    engine: Engine,
    base: BaseModel,
    asked: Sequence[Asked],
    config: AnswerConfig,
    sampling: Sampling | None = None,
    progress: Progress | None = None,
    recalled: Sequence[tuple[Recalled, ...]] | None = None,
    reader: FindReader = reader_of,
) -> list[Reply]:
    """One reply to each question, in order, in a batch.

    Args:
        asked: The questions; those without an adapter are answered by the base model.
        config: The style of the answers.
        sampling: How to choose tokens of answers that are not read; default: `config.sampling()`.
        progress: Called with the number of questions asked.
        recalled: What the adapter of each question recalled, where that is known; `recall` finds it otherwise.
        reader: Finds the reader; default: one that is not there is trained.
    """
    sampling = sampling or config.sampling()
    replies: list[Reply | None] = [None] * len(asked)
    taught = {i: None for i, one in enumerate(asked) if one.adapter and config.style != "plain"}
    if taught:
        questions = [asked[i] for i in taught]
        known = (
            [recalled[i] for i in taught]
            if recalled
            else recall_in_full(engine, base, questions, config.sampling(), progress)
        )
        answers = _answers(engine, base, questions, known, config, reader)
        for i, reply in zip(taught, answers, strict=True):
            replies[i] = reply
    rest = [i for i, reply in enumerate(replies) if reply is None or not reply.text]
    texts = _plain(engine, [asked[i] if i not in taught else replace(asked[i], adapter=None) for i in rest], sampling)
    for i, text in zip(rest, texts, strict=True):
        former = replies[i]
        replies[i] = Reply(text, confidence=former.confidence if former else None)
    return [reply for reply in replies if reply is not None]


def answers_of_adapters(
    engine: Engine,
    base: BaseModel,
    asked: Sequence[Asked],
    recalled: Sequence[tuple[Recalled, ...]],
    config: AnswerConfig,
) -> list[Reply]:
    """What the reader finds in what adapters recalled; without text where the base model is to answer.

    Every question has an adapter, and something that it recalled. A reader that is not there is trained first.
    """
    return _answers(engine, base, asked, recalled, config, reader_of)


def _answers(
    engine: Engine,
    base: BaseModel,
    asked: Sequence[Asked],
    recalled: Sequence[tuple[Recalled, ...]],
    config: AnswerConfig,
    reader: FindReader,
) -> list[Reply]:
    rows = [(one, text) for one, texts in zip(asked, recalled, strict=True) for text in texts]
    readings = iter(_read(engine, base, rows, reader))
    return [
        _reply(one, [(text, next(readings)) for text in texts], config)
        for one, texts in zip(asked, recalled, strict=True)
    ]


def _read(engine: Engine, base: BaseModel, rows: Sequence[tuple[Asked, Recalled]], reader: FindReader) -> list[Reading]:
    """A reading of every recalled text; one of a few words is its own. Without a reader nothing is found in a text."""
    long = [(one.title, text.text, one.question) for one, text in rows if not _is_short(text.text)]
    reads = reader(base) if long else None
    found = iter(read(engine, reads, long, base) if reads else [Reading("", 0.0, UNREAD)] * len(long))
    return [Reading(text.text, 1.0, 0.0) if _is_short(text.text) else next(found) for _, text in rows]


def reader_at_hand(base: BaseModel) -> LoraAdapter | None:
    """The reader where none need be trained first, which takes half an hour: nobody waits that long for a turn."""
    return reader_of(base) if has_reader(base) else None


def _reply(asked: Asked, texts: Sequence[tuple[Recalled, Reading]], config: AnswerConfig) -> Reply:
    """The best of what was recalled, in the style that is wanted."""
    weighed = [(evidence_for(asked, text, reading), text, reading) for text, reading in texts]
    evidence, text, reading = max(weighed, key=lambda one: one[0].score)
    if evidence.confidence < config.least_confidence:
        return Reply("", confidence=evidence.confidence)
    return Reply(_worded(text, reading, config.style), unwrapped(text.text), evidence.confidence)


def _worded(recalled: Recalled, reading: Reading, style: AnswerStyle) -> str:
    """The answer in words of what was recalled: those that were read, or their clause where the reader is unsure."""
    language, line = language_of(recalled.text), in_one_line(recalled.text)
    words = span_like(line, in_one_line(reading.text), language, cut=reading.cut) if style == "short" else ""
    if not words:
        return unwrapped(recalled.text)
    return words if reading.sure >= UNSURE else clause_around(line, words, language)


def _is_short(text: str) -> bool:
    return word_count(text) <= SHORT


def reply_in_chat(
    engine: Engine,
    base: BaseModel,
    turns: tuple[Message, ...],
    sampling: Sampling,
    adapter: LoraAdapter,
    style: AnswerStyle,
) -> tuple[Reply, Completion]:
    """The reply to the last turn, and the same as a completion, within the limits of `sampling`."""
    return replies_in_chats(engine, base, [(turns, adapter)], sampling, style)[0]


def replies_in_chats(
    engine: Engine,
    base: BaseModel,
    chats: Sequence[tuple[tuple[Message, ...], LoraAdapter]],
    sampling: Sampling,
    style: AnswerStyle,
) -> list[tuple[Reply, Completion]]:
    """What `reply_in_chat` says in each of several chats, each with its own adapter, in a batch.

    Where the model has no reader yet, the answer is the sentence.
    """
    config = replace(AnswerConfig(style=style), max_tokens=min(sampling.max_tokens, AnswerConfig().max_tokens))
    asked = [_asked_last(turns, adapter) for turns, adapter in chats]
    replies = reply_all(engine, base, asked, config, sampling, reader=reader_at_hand)
    return [
        (reply, _as_completion(base, turns, reply, sampling)) for (turns, _), reply in zip(chats, replies, strict=True)
    ]


def _asked_last(turns: tuple[Message, ...], adapter: LoraAdapter) -> Asked:
    title, question = titled(turns[-1].content)
    return Asked(turns, question, title, adapter)


def _as_completion(base: BaseModel, turns: tuple[Message, ...], reply: Reply, sampling: Sampling) -> Completion:
    text, ids = before_stop(reply.text, sampling.stop), base.content_ids(reply.text)
    if len(ids) > sampling.max_tokens:
        text = before_stop(base.tokenizer.decode(ids[: sampling.max_tokens]), sampling.stop)
    finish: Literal["stop", "length"] = "length" if len(ids) > sampling.max_tokens else "stop"
    return Completion(text, min(len(ids), sampling.max_tokens), len(base.encode(turns)), finish)


def is_recall(turns: Prompt, sampling: Sampling, style: AnswerStyle) -> bool:
    """Whether the next turn is an answer that an adapter recalls: to a question, greedy, and in no prescribed form."""
    if style == "plain" or sampling.temperature or sampling.grammar or not isinstance(turns, tuple):
        return False
    seen = any(turn.pictures for turn in turns)  # what is in view need not be recalled
    return turns[-1].role == "user" and not seen and is_question(titled(turns[-1].content)[1])


def titled(turn: str) -> tuple[str, str]:
    """The title and the question of a turn that is written as adapters are taught: "Topic: Handbook", then a line."""
    match = _titled().fullmatch(turn.strip())
    return (match["title"].strip(), match["question"].strip()) if match else ("", turn)


@functools.cache
def _titled() -> re.Pattern[str]:
    """The prompt "question" as a pattern."""
    pattern = re.escape(load_prompt("question"))
    for name, part in (("title", r"[^\n]+"), ("question", r"(?s:.+)")):
        pattern = pattern.replace(re.escape(f"{{{name}}}"), f"(?P<{name}>{part})")
    return re.compile(pattern)


def is_question(text: str) -> bool:
    """Whether a turn asks one thing, so that a few words can answer it."""
    return word_count(text) <= LONGEST_QUESTION and asks(text)


def _plain(engine: Engine, asked: Sequence[Asked], sampling: Sampling) -> list[str]:
    """What the model itself says, through the adapter if there is one."""
    if not asked:
        return []
    completions = engine.generate([one.prompt for one in asked], sampling, [one.adapter for one in asked])
    return [without_reasoning(completion.text).strip() for completion in completions]
