"""LangChain's messages as the model's chat turns."""

from __future__ import annotations

import json
from collections.abc import Sequence

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
from seal_agent.integrations.langchain.chat.calls import CALL, CALL_END, Form
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Chat, Message, Prompt, ToolCall

_ROLES = {"user": "user", "human": "user", "system": "system", "developer": "system", "assistant": "assistant"}
_SILENT = ("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "thinking", "reasoning", "non_standard")
_HERMES_NATIVE = CALL + "\n"  # as the templates of Hermes and Qwen write it


def prompt_of(messages: Sequence[BaseMessage], form: Form, base: BaseModel) -> Prompt:
    """The messages as chat turns, with what the model has to know of the answer's form.

    Tools are told by the chat template where it has a branch for them, else in the system message. Raises InputError
    for messages that are no text.
    """
    turns = [turn_of(message) for message in messages]
    if not turns:
        raise InputError("there are no messages; give at least one user turn")
    native = base.describes_tools
    told = [] if native or not form.tools else [fill(load_prompt("tools"), tools=_listed(form))]
    if form.schema is not None and form.show_schema and len(form.schema) > 1:  # any JSON object has no schema to tell
        told.append(fill(load_prompt("json-answer"), schema=json.dumps(form.schema, ensure_ascii=False)))
    turns = _with_system(turns, told)
    if not native:
        turns = _joined([_written_out(turn) for turn in turns])
    tools = json.dumps([tool.openai for tool in form.tools], ensure_ascii=False) if native and form.tools else ""
    begun = form.begun(_mark_of_call(base) if native else CALL)
    return Chat(tuple(turns), tools, begun) if tools or begun else tuple(turns)


def turn_of(message: BaseMessage) -> Message:
    """One message as a turn. Raises InputError for a kind or a content that the model cannot read."""
    text = text_of(message)
    match message:
        case SystemMessage():
            return Message("system", text)
        case HumanMessage():
            return Message("user", text)
        case AIMessage():
            calls = [
                ToolCall(call["name"], json.dumps(call["args"], ensure_ascii=False)) for call in message.tool_calls
            ]
            broken = [str(call["args"]) for call in message.invalid_tool_calls if call["args"]]
            return Message("assistant", "\n".join(filter(None, [text, *broken])), tuple(calls))
        case ToolMessage() | FunctionMessage():
            return Message("tool", text, name=message.name or "")
        case ChatMessage() if message.role in _ROLES:
            return Message(_ROLES[message.role], text)  # type: ignore[arg-type]
    raise InputError(f"a message of type {message.type!r} cannot be shown to the model; use system, human, ai and tool")


def text_of(message: BaseMessage) -> str:
    """The text of a message's content, its blocks joined. Raises InputError for pictures, sound and files."""
    content = message.content
    blocks = [content] if isinstance(content, str) else content
    return "\n".join(filter(None, map(_text_of_block, blocks)))


def _text_of_block(block: str | dict[object, object]) -> str:
    if isinstance(block, str):
        return block
    if isinstance(text := block.get("text"), str):
        return text
    kind = block.get("type")
    if kind in _SILENT:
        return ""
    if "json" in block:
        return json.dumps(block["json"], ensure_ascii=False)
    raise InputError(f"the model reads text only, but a message holds a block of type {kind!r}; leave it out")


def _listed(form: Form) -> str:
    """The tools, one JSON object per line."""
    return "\n".join(json.dumps(tool.openai["function"], ensure_ascii=False) for tool in form.tools)


def _with_system(turns: list[Message], told: Sequence[str]) -> list[Message]:
    """The turns with what is told at the end of the first system message, which is made if there is none."""
    if not told:
        return turns
    first, rest = (turns[0], turns[1:]) if turns[0].role == "system" else (Message("system", ""), turns)
    return [Message("system", "\n\n".join(filter(None, [first.content, *told]))), *rest]


def _written_out(turn: Message) -> Message:
    """Calls and their results as text, for a chat template that knows only what is said."""
    if turn.role == "tool":
        return Message("user", f"<tool_response>{turn.content}</tool_response>")
    if turn.calls:
        return Message(turn.role, "\n".join(filter(None, [turn.content, *map(_written_call, turn.calls)])))
    return turn


def _written_call(call: ToolCall) -> str:
    return f'{CALL}{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}{CALL_END}'


def _joined(turns: Sequence[Message]) -> list[Message]:
    """Neighbours of one role made one turn: many chat templates take only turns that alternate."""
    out: list[Message] = []
    for turn in turns:
        if out and out[-1].role == turn.role:
            turn = Message(turn.role, f"{out.pop().content}\n\n{turn.content}")
        out.append(turn)
    return out


def _mark_of_call(base: BaseModel) -> str:
    """What a model with a template of its own writes before a call: Hermes' mark if the template knows it."""
    return _HERMES_NATIVE if CALL in str(base.tokenizer.chat_template) else ""
