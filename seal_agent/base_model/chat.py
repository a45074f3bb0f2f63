"""Chat turns as a chat template takes them, or as a plain transcript."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seal_agent.types import Message

if TYPE_CHECKING:
    pass


def template_row(message: Message) -> dict[str, Any]:
    """A turn as chat templates take it; calls of tools and their results in OpenAI's form."""
    row: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        functions = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in message.calls]
        row["tool_calls"] = [{"type": "function", "function": function} for function in functions]
    if message.name:
        row["name"] = message.name
    return row


def transcript(messages: Sequence[Message], answer_next: bool) -> str:
    """Chat turns for a model without a chat template."""
    names = {"system": "", "user": "User: ", "assistant": "Assistant: ", "tool": "Tool: "}
    text = "\n".join(names[m.role] + m.content for m in messages)
    return text + "\nAssistant:" if answer_next else text
