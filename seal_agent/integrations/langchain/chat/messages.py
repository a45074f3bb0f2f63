"""Converts LangChain messages to the model's chat turns."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Form
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.images.blocks import is_image_block, picture_of_block
from seal_agent.text.inflection import composed
from seal_agent.types import Message, Prompt, ToolCall

_ROLES = {"user": "user", "human": "user", "system": "system", "developer": "system", "assistant": "assistant"}
_TEXT_TYPES = ("text/plain", "text/markdown")
_IGNORED = ("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "thinking", "reasoning", "non_standard")


def prompt_of(messages: Sequence[BaseMessage], form: Form, base: BaseModel) -> Prompt:
    """The messages as a prompt, with instructions on the answer's form.

    The chat template describes tools if it can, else the system message does. Raises InputError for messages whose
    content the model cannot read: text, and images where it sees.
    """
    turns = [turn_of(message) for message in messages]
    if any(turn.pictures for turn in turns):
        _ = base.sight  # raises where the model does not see
    return prompt_in_form(turns, form, base)


def turn_of(message: BaseMessage) -> Message:
    """One message as a turn, its pictures before its text. Raises InputError for what no model can read."""
    content = message.content if isinstance(message.content, list | tuple) else []
    pictures = tuple(picture_of_block(block) for block in content if isinstance(block, dict) and is_image_block(block))
    return replace(_text_turn(message), pictures=pictures)


def _text_turn(message: BaseMessage) -> Message:
    text = text_of(message)
    text = text if isinstance(message, AIMessage) else composed(text)
    match message:
        case SystemMessage():
            return Message("system", text)
        case HumanMessage():
            return Message("user", text)
        case AIMessage():
            calls = map(_call_of, message.tool_calls)
            invalid = [
                _text(call["args"], "an invalid tool call") for call in message.invalid_tool_calls if call["args"]
            ]
            return Message("assistant", "\n".join(filter(None, [text, *invalid])), tuple(calls))
        case ToolMessage() | FunctionMessage():
            return Message("tool", text, name=_text(message.name or "", "the name of a tool's result"))
        case ChatMessage() if message.role in _ROLES:
            return Message(_ROLES[message.role], text)  # type: ignore[arg-type]
    raise InputError(f"a message of type {message.type!r} cannot be shown to the model; use system, human, ai and tool")


def text_of(message: BaseMessage) -> str:
    """The text of a message's content, its blocks and text files joined by newlines.

    Raises InputError for audio and for files of other types.
    """
    content: object = message.content
    blocks = content if isinstance(content, list | tuple) else [content]
    return "\n".join(filter(None, map(_text_of_block, blocks)))


def _text_of_block(block: object) -> str:
    if not isinstance(block, Mapping):
        return _text(block, "a message's content")
    if isinstance(text := block.get("text"), str):
        return _text(text, "a message's content")
    kind = block.get("type")
    if kind in _IGNORED or is_image_block(block):
        return ""
    if "json" in block:
        return _json(block["json"], "a tool's result")
    if (text := attached_text(block)) is not None:
        return _text(text, "an attached text")
    raise InputError(f"the model reads text and images, but a message holds a block of type {kind!r}; leave it out")


def attached_text(block: Mapping[str, object]) -> str | None:
    """The text of a block that carries a text file, in LangChain's or OpenAI's form; None for any other block."""
    if block.get("type") not in ("text-plain", "file"):
        return None
    file = block.get("file")
    held: Mapping[str, object] = file if isinstance(file, Mapping) else block
    text, kind = held.get("text"), str(held.get("mime_type") or "text/plain")
    data = next((value for name in ("base64", "file_data", "data") if isinstance(value := held.get(name), str)), "")
    if data.startswith("data:"):
        head, _, data = data.partition(",")
        kind = head.removeprefix("data:")
    if kind.partition(";")[0].strip() not in _TEXT_TYPES:
        return None
    if isinstance(text, str) or not data:
        return text if isinstance(text, str) else None
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:  # neither base64 nor UTF-8
        return None


def _call_of(call: Mapping[str, object]) -> ToolCall:
    name = _text(call["name"], "a tool call's name")
    arguments = call["args"]
    if not isinstance(arguments, Mapping):
        raise InputError(f"the arguments of a call of {name!r:.60} are {arguments!r:.60}; give an object")
    return ToolCall(name, _json(arguments, f"the arguments of a call of {name!r:.60}"))


def _text(value: object, what: str) -> str:
    """The value, if it is text that can be encoded. Raises InputError."""
    if not isinstance(value, str):
        raise InputError(f"{what} is {value!r:.60}, but the model reads text only; give it as text")
    try:
        value.encode()
    except UnicodeEncodeError as err:
        raise InputError(
            f"{what} has half a character at position {err.start}; decode it from its bytes again"
        ) from err
    return value


def _json(value: object, what: str) -> str:
    """The value as JSON. Raises InputError for one that JSON cannot hold."""
    try:
        return _text(json.dumps(value, ensure_ascii=False), what)
    except (TypeError, ValueError, RecursionError) as err:
        raise InputError(f"{what} cannot be written as JSON ({err}); use texts, numbers, lists and objects") from err
