"""Chat turns as a chat template takes them, or as a plain transcript."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

from seal_agent.errors import InputError
from seal_agent.types import Message

ContentForm = Literal["text", "blocks"]
"""How a template reads a turn's content: as text, or as a list of {"type": "text", "text": …}."""

NO_THINKING = {"enable_thinking": False, "thinking": False}
"""Reasoning switches of chat templates by the names that model families give them; a template ignores other names."""

_NAMES = {"system": "", "user": "User: ", "assistant": "Assistant: ", "tool": "Tool: "}
_SPEAKER = re.compile(r"\n(?=(?:User|Assistant|Tool):)")


def template_row(message: Message, form: ContentForm, text: Callable[[str], str]) -> dict[str, Any]:
    """A turn as chat templates take it; calls of tools and their results in OpenAI's form.

    Args:
        text: Applied to everything that is content.

    Raises InputError for tool arguments that are no JSON object.
    """
    content: Any = text(message.content)
    blocks = [*({"type": "image"} for _ in message.pictures), {"type": "text", "text": content}]
    row: dict[str, Any] = {
        "role": message.role,
        "content": blocks if form == "blocks" or message.pictures else content,
    }
    if message.calls:
        functions = [{"name": call.name, "arguments": _arguments(text(call.arguments))} for call in message.calls]
        row["tool_calls"] = [{"type": "function", "function": function} for function in functions]
    if message.name:
        row["name"] = text(message.name)
    return row


def without_system(messages: Sequence[Message]) -> list[Message]:
    """The turns for a template that knows no system role: what it says stands before the first turn of the user."""
    told = "\n\n".join(message.content for message in messages if message.role == "system" and message.content)
    turns = [message for message in messages if message.role != "system"]
    if not told:
        return turns
    first = next((i for i, turn in enumerate(turns) if turn.role == "user"), None)
    if first is None:
        return [Message("user", told), *turns]
    content = "\n\n".join(filter(None, [told, turns[first].content]))
    return [*turns[:first], replace(turns[first], content=content), *turns[first + 1 :]]


def _arguments(text: str) -> dict[str, Any]:
    try:
        arguments = json.loads(text)
    except ValueError as err:
        raise InputError(
            f"the arguments of a tool call are no JSON ({err}): {text[:80]!r}; give a JSON object"
        ) from err
    if not isinstance(arguments, dict):
        raise InputError(f"the arguments of a tool call are {text[:80]!r}; give a JSON object")
    return arguments


def transcript(messages: Sequence[Message], answer_next: bool) -> str:
    """Chat turns for a model without a chat template. A speaker's name inside a turn begins no new one."""
    text = "\n".join(_NAMES[message.role] + _SPEAKER.sub("\n ", message.content) for message in messages)
    return text + "\nAssistant:" if answer_next else text
