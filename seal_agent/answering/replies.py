"""Replies to questions: an adapter recalls, the reader finds in it what was asked for, else the base model answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from seal_agent.answering.confidence import evidence_for
from seal_agent.answering.reader import reader_of
from seal_agent.answering.reading import Reading, read
from seal_agent.answering.recall import Asked, Recalled, recall_in_full
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, AnswerStyle
from seal_agent.generation.engine import Engine, before_stop
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.self_edits.question_words import question_words_of
from seal_agent.text.clauses import clause_around, span_like
from seal_agent.text.languages import language_of
from seal_agent.text.reasoning import without_reasoning
from seal_agent.text.scripts import word_count
from seal_agent.types import Completion, Message, Prompt, Reply, Sampling

UNSURE = 0.5  # probability of the first token of an answer below which the clause around it is given
LONGEST_QUESTION = 60  # words of a turn that may be a question; a longer one brings a text of its own
SHORT = 4  # words of an answer that needs no reading
_MARK = re.compile(r"[?？؟]\s*$")


def reply_all(
    engine: Engine,
    base: BaseModel,
    asked: Sequence[Asked],
    config: AnswerConfig,
    sampling: Sampling | None = None,
    progress: Progress | None = None,
    recalled: Sequence[tuple[Recalled, ...]] | None = None,
) -> list[Reply]:
    """One reply to each question, in order, in a batch.

    Args:
        asked: The questions; those without an adapter are answered by the base model.
        config: The style of the answers.
        sampling: How to choose tokens of answers that are not read; default: `config.sampling()`.
        progress: Called with the number of questions asked.
        recalled: What the adapter of each question recalled, where that is known; `recall` finds it otherwise.
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
        answers = answers_of_adapters(engine, base, questions, known, config)
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

    Every question has an adapter, and something that it recalled.
    """
    rows = [(one, text) for one, texts in zip(asked, recalled, strict=True) for text in texts]
    readings = iter(_read(engine, base, rows))
    return [
        _reply(one, [(text, next(readings)) for text in texts], config)
        for one, texts in zip(asked, recalled, strict=True)
    ]


def _read(engine: Engine, base: BaseModel, rows: Sequence[tuple[Asked, Recalled]]) -> list[Reading]:
    """A reading of every recalled text; one of a few words is its own."""
    long = [(one.title, text.text, one.question) for one, text in rows if not _is_short(text.text)]
    found = iter(read(engine, reader_of(base), long) if long else [])
    return [Reading(text.text, 1.0, 0.0) if _is_short(text.text) else next(found) for _, text in rows]


def _reply(asked: Asked, texts: Sequence[tuple[Recalled, Reading]], config: AnswerConfig) -> Reply:
    """The best of what was recalled, in the style that is wanted."""
    weighed = [(evidence_for(asked, text, reading), text, reading) for text, reading in texts]
    evidence, text, reading = max(weighed, key=lambda one: one[0].score)
    if evidence.confidence < config.least_confidence:
        return Reply("", confidence=evidence.confidence)
    return Reply(_worded(text, reading, config.style), text.text, evidence.confidence)


def _worded(recalled: Recalled, reading: Reading, style: AnswerStyle) -> str:
    """The answer in words of what was recalled: those that were read, or their clause where the reader is unsure."""
    language = language_of(recalled.text)
    words = span_like(recalled.text, reading.text, language) if style == "short" else ""
    if not words or reading.sure >= UNSURE:
        return words or recalled.text
    return clause_around(recalled.text, words, language)


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
    """What `reply_in_chat` says in each of several chats, each with its own adapter, in a batch."""
    config = replace(AnswerConfig(style=style), max_tokens=min(sampling.max_tokens, AnswerConfig().max_tokens))
    asked = [Asked(turns, turns[-1].content, adapter=adapter) for turns, adapter in chats]
    replies = reply_all(engine, base, asked, config, sampling)
    return [
        (reply, _as_completion(base, turns, reply, sampling)) for (turns, _), reply in zip(chats, replies, strict=True)
    ]


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
    return turns[-1].role == "user" and not seen and is_question(turns[-1].content)


def is_question(text: str) -> bool:
    """Whether a turn asks one thing, so that a few words can answer it."""
    if word_count(text) > LONGEST_QUESTION:
        return False
    if _MARK.search(text):
        return True
    words = question_words_of(language_of(text))
    begins = (*words.names, *words.numbers, words.what, *words.others) if words else ()
    return text.lstrip().casefold().startswith(tuple(f"{word.casefold()} " for word in begins)) if begins else False


def _plain(engine: Engine, asked: Sequence[Asked], sampling: Sampling) -> list[str]:
    """What the model itself says, through the adapter if there is one."""
    if not asked:
        return []
    completions = engine.generate([one.prompt for one in asked], sampling, [one.adapter for one in asked])
    return [without_reasoning(completion.text).strip() for completion in completions]
