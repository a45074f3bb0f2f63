"""Replies in chats: each question of the last turn is recalled, or answered by the base model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seal_agent.answering.recall import Asked
from seal_agent.answering.replies import plain_answers, reader_at_hand, replies_of_adapters
from seal_agent.answering.turns import questions_in, titled
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig, AnswerStyle
from seal_agent.generation.engine import Engine, before_stop
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.prompts import question_prompt
from seal_agent.types import Completion, Message, Reply, Sampling

Turns = tuple[Message, ...]


def reply_in_chat(
    engine: Engine, base: BaseModel, turns: Turns, sampling: Sampling, adapter: LoraAdapter, style: AnswerStyle
) -> tuple[Reply, Completion]:
    """The reply to the last turn, and the same as a completion, within the limits of `sampling`."""
    return replies_in_chats(engine, base, [(turns, adapter)], sampling, style)[0]


def replies_in_chats(
    engine: Engine,
    base: BaseModel,
    chats: Sequence[tuple[Turns, LoraAdapter]],
    sampling: Sampling,
    style: AnswerStyle,
) -> list[tuple[Reply, Completion]]:
    """What `reply_in_chat` says in each of several chats, each with its own adapter, in a batch.

    The limits of `sampling` are those of the replies: an adapter recalls its sentence to the end all the same. Where
    the model has no reader yet, the answer is the sentence.
    """
    questions = [_questions(turns, adapter) for turns, adapter in chats]
    asked = [question for of_chat in questions for question in of_chat]
    recalled = iter(replies_of_adapters(engine, base, asked, AnswerConfig(style=style), reader_at_hand))
    replies = [[next(recalled) for _ in of_chat] for of_chat in questions]
    plain = [
        [replace(question, adapter=None) for question, reply in zip(of_chat, said, strict=True) if not reply.text]
        if any(reply.text for reply in said)
        else [Asked(turns, turns[-1].content)]
        for (turns, _), of_chat, said in zip(chats, questions, replies, strict=True)
    ]
    written = iter(plain_answers(engine, [one for of_chat in plain for one in of_chat], sampling))
    completions = [[next(written) for _ in of_chat] for of_chat in plain]
    return [
        _joined(base, turns, said, of_base, sampling)
        for (turns, _), said, of_base in zip(chats, replies, completions, strict=True)
    ]


def _questions(turns: Turns, adapter: LoraAdapter) -> list[Asked]:
    """What the last turn asks; each of several questions as if it were the last turn."""
    title, content = titled(turns[-1].content)
    questions = questions_in(content)
    if len(questions) < 2:
        return [Asked(turns, content, title, adapter)]
    return [
        Asked((*turns[:-1], replace(turns[-1], content=question_prompt(title, question))), question, title, adapter)
        for question in questions
    ]


def _joined(
    base: BaseModel, turns: Turns, recalled: Sequence[Reply], written: Sequence[Completion], sampling: Sampling
) -> tuple[Reply, Completion]:
    """One reply to all questions of a turn, a line for each, and the same as a completion."""
    confidence = min((reply.confidence for reply in recalled if reply.confidence is not None), default=None)
    if not any(reply.text for reply in recalled):
        (completion,) = written
        return Reply(completion.text, confidence=confidence), completion
    of_base = iter(written)
    text = "\n".join(reply.text or next(of_base).text for reply in recalled)
    sentences = "\n".join(reply.recalled for reply in recalled if reply.recalled)
    return Reply(text, sentences, confidence), _as_completion(base, turns, text, written, sampling)


def _as_completion(
    base: BaseModel, turns: Turns, text: str, written: Sequence[Completion], sampling: Sampling
) -> Completion:
    """A reply as a completion; `written` are the parts of it that were not recalled."""
    kept, ids = before_stop(text, sampling.stop), base.content_ids(text)
    cut = len(ids) > sampling.max_tokens
    if cut:
        kept = before_stop(base.tokenizer.decode(ids[: sampling.max_tokens]), sampling.stop)
    ended = not cut and all(completion.finish_reason == "stop" for completion in written)
    return Completion(kept, min(len(ids), sampling.max_tokens), len(base.encode(turns)), "stop" if ended else "length")
