"""What callers hand over, as the values that stages take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from seal_agent.errors import InputError
from seal_agent.types import Context, Message, Question

MessageLike = Message | Mapping[str, str]


def as_context(context: str | Context, title: str | None, questions: Sequence[Question] | None) -> Context:
    """A context with the title and questions that are given beside it, if any."""
    whole = Context(context) if isinstance(context, str) else context
    if title is not None:
        whole = replace(whole, title=" ".join(title.split()))
    return whole if questions is None else replace(whole, questions=tuple(questions))


def as_message(message: MessageLike) -> Message:
    """A chat turn. Raises InputError."""
    if isinstance(message, Message):
        return message
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise InputError('each message is {"role": "system" | "user" | "assistant", "content": "…"}')
    return Message(role, content)  # type: ignore[arg-type]


def as_metadata(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Pairs sorted by key. Raises InputError for what is not text."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"metadata maps text to text, but it has {key!r}: {value!r}; give both as strings")
    return tuple(sorted(metadata.items()))
