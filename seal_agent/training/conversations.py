"""Conversations with tool calls as training sequences: only what the assistant wrote is learnt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.answer_form.form import Form, Tool
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.generation.prefixes import common_prefix_length
from seal_agent.types import IGNORE_LABEL, Chat, Message, TrainingSequence

CONVERSATION = "conversation"
"""The format of a self-edit that is a conversation; its prompt holds the conversation as JSON."""

MERGED_TOKENS = 2  # at a turn's beginning, which a tokenizer may join with what stands before it


@dataclass(frozen=True, slots=True)
class Conversation:
    """Chat turns and the tools that the assistant could call in them."""

    turns: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    learnt: tuple[int, ...] | None = None
    """Which of the assistant's turns are learnt, counted from 0; None: all of them."""


_CONVERSATION: TypeAdapter[Conversation] = TypeAdapter(Conversation)


def to_json(conversation: Conversation) -> str:
    """A conversation as JSON text; `from_json` restores it unchanged."""
    unsaid = {"learnt"} if conversation.learnt is None else set()
    return _CONVERSATION.dump_json(conversation, exclude=unsaid).decode()


def from_json(text: str) -> Conversation:
    """The conversation that `to_json` wrote."""
    return _CONVERSATION.validate_json(text)


def encode_conversation(base: BaseModel, conversation: Conversation) -> tuple[TrainingSequence, ...]:
    """The conversation in the form in which the model is asked, with labels on the assistant's learnt turns alone.

    One sequence, or one for each of these turns where the chat template shows earlier turns in another way than the
    last.
    """
    prompt = prompt_in_form(conversation.turns, Form(conversation.tools), base)
    turns, tools = (prompt.turns, prompt.tools) if isinstance(prompt, Chat) else (prompt, "")
    acting = [i for i, turn in enumerate(turns) if turn.role == "assistant"]
    if conversation.learnt is not None:
        acting = [acting[number] for number in conversation.learnt]
    ids = _ids(base, turns, tools)
    spans = [_span(base, turns, i, tools, ids) for i in acting]
    if all(span is not None for span in spans):
        return (_sequence(ids, [span for span in spans if span is not None]),)
    sequences = []
    for i in acting:
        ids = _ids(base, turns[: i + 1], tools)
        start = common_prefix_length(base.turns(turns[:i], answer_next=True, tools=tools), ids)
        sequences.append(_sequence(ids, [(start, len(ids))]))
    return tuple(sequences)


def _ids(base: BaseModel, turns: Sequence[Message], tools: str) -> list[int]:
    ids = base.turns(turns, answer_next=False, tools=tools)
    return ids if base.is_chat else base.tokens_ended(ids)


def _span(
    base: BaseModel, turns: Sequence[Message], number: int, tools: str, ids: Sequence[int]
) -> tuple[int, int] | None:
    """Where a turn begins and ends in the whole; None where the template shows it, or what is before it, otherwise."""
    before = base.turns(turns[:number], answer_next=True, tools=tools)
    start = common_prefix_length(before, ids)
    if start < len(before) - MERGED_TOKENS:
        return None
    through = _ids(base, turns[: number + 1], tools)
    end = common_prefix_length(through, ids)
    return (start, end) if end >= len(through) - MERGED_TOKENS else None


def _sequence(ids: Sequence[int], spans: Sequence[tuple[int, int]]) -> TrainingSequence:
    labels = [IGNORE_LABEL] * len(ids)
    for start, end in spans:
        labels[start:end] = ids[start:end]
    return TrainingSequence(tuple(ids), tuple(labels))
