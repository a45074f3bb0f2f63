"""Replies to questions: an adapter recalls, the reader finds in it what was asked for, else the base model answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from seal_agent.answering.confidence import evidence_for
from seal_agent.answering.reader import has_reader, reader_of
from seal_agent.answering.reading import Reading, read
from seal_agent.answering.recall import Asked, Recalled, recall_in_full
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, AnswerStyle
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.text.clauses import clause_around, span_like
from seal_agent.text.languages import language_of
from seal_agent.text.layout import in_one_line, unwrapped
from seal_agent.text.reasoning import without_reasoning
from seal_agent.text.scripts import word_count
from seal_agent.types import Completion, Reply, Sampling

FindReader = Callable[[BaseModel], LoraAdapter | None]
"""The reader of a model; None to do without one."""

UNSURE = 0.5  # probability of the first token of an answer below which the clause around it is given
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
        questions, known = [asked[i] for i in taught], [recalled[i] for i in taught] if recalled else None
        answers = replies_of_adapters(engine, base, questions, config, reader, progress, known)
        for i, reply in zip(taught, answers, strict=True):
            replies[i] = reply
    rest = [i for i, reply in enumerate(replies) if reply is None or not reply.text]
    plain = [asked[i] if i not in taught else replace(asked[i], adapter=None) for i in rest]
    for i, completion in zip(rest, plain_answers(engine, plain, sampling), strict=True):
        former = replies[i]
        replies[i] = Reply(completion.text, confidence=former.confidence if former else None)
    return [reply for reply in replies if reply is not None]


def replies_of_adapters(
    engine: Engine,
    base: BaseModel,
    asked: Sequence[Asked],
    config: AnswerConfig,
    reader: FindReader,
    progress: Progress | None = None,
    recalled: Sequence[tuple[Recalled, ...]] | None = None,
) -> list[Reply]:
    """What adapters say, each to a question of its own; without text where the base model is to answer.

    The arguments are those of `reply_all`. Every question has an adapter.
    """
    known = recalled or recall_in_full(engine, base, asked, config.sampling(), progress)
    return _answers(engine, base, asked, known, config, reader)


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


def plain_answers(engine: Engine, asked: Sequence[Asked], sampling: Sampling) -> list[Completion]:
    """What the model itself says, through the adapter if there is one, without its reasoning."""
    if not asked:
        return []
    completions = engine.generate([one.prompt for one in asked], sampling, [one.adapter for one in asked])
    return [replace(completion, text=without_reasoning(completion.text).strip()) for completion in completions]
