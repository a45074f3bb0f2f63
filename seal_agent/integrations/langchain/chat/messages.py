"""Converts LangChain messages to the model's chat turns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from seal_agent.base_model.control import broken
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.integrations.langchain.chat.calls import CALL, CALL_END, Form
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Chat, Message, Prompt, ToolCall

RESULT, RESULT_END = "<tool_response>", "</tool_response>"

_ROLES = {"user": "user", "human": "user", "system": "system", "developer": "system", "assistant": "assistant"}
_IGNORED = ("tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "thinking", "reasoning", "non_standard")
_HERMES_CALL = CALL + "\n"  # as the chat templates of Hermes and Qwen write it


def prompt_of(messages: Sequence[BaseMessage], form: Form, base: BaseModel) -> Prompt:
    """The messages as a prompt, with instructions on the answer's form.

    The chat template describes tools if it can, else the system message does. Raises InputError for messages whose
    content is not text.
    """
    turns = [turn_of(message) for message in messages]
    if not turns:
        raise InputError("there are no messages; give at least one user turn")
    native = base.describes_tools
    instructions = [] if native or not form.tools else [fill(load_prompt("tools"), tools=_tool_lines(form))]
    if form.schema is not None and form.show_schema and len(form.schema) > 1:  # "any JSON object" has nothing to show
        instructions.append(fill(load_prompt("json-answer"), schema=json.dumps(form.schema, ensure_ascii=False)))
    turns = _add_instructions(turns, instructions)
    if not native:
        turns = _merge_same_role([_calls_as_text(turn) for turn in turns])
    tools = json.dumps([tool.openai for tool in form.tools], ensure_ascii=False) if native and form.tools else ""
    begun = form.begun(_native_call_mark(base) if native else CALL)
    return Chat(tuple(turns), tools, begun) if tools or begun else tuple(turns)


def turn_of(message: BaseMessage) -> Message:
    """One message as a turn. Raises InputError for a type or content that the model cannot read."""
    text = text_of(message)
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
    """The text of a message's content, its blocks joined by newlines. Raises InputError for images, audio and files."""
    content: object = message.content
    blocks = content if isinstance(content, list | tuple) else [content]
    return "\n".join(filter(None, map(_text_of_block, blocks)))


def _text_of_block(block: object) -> str:
    if not isinstance(block, Mapping):
        return _text(block, "a message's content")
    if isinstance(text := block.get("text"), str):
        return _text(text, "a message's content")
    kind = block.get("type")
    if kind in _IGNORED:
        return ""
    if "json" in block:
        return _json(block["json"], "a tool's result")
    raise InputError(f"the model reads text only, but a message holds a block of type {kind!r}; leave it out")


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


def _tool_lines(form: Form) -> str:
    """The tools, one JSON object per line."""
    return "\n".join(json.dumps(tool.openai["function"], ensure_ascii=False) for tool in form.tools)


def _add_instructions(turns: list[Message], instructions: Sequence[str]) -> list[Message]:
    """The turns with the instructions at the end of the first system message, which is added if there is none."""
    if not instructions:
        return turns
    system, following = (turns[0], turns[1:]) if turns[0].role == "system" else (Message("system", ""), turns)
    return [Message("system", "\n\n".join(filter(None, [system.content, *instructions]))), *following]


def _calls_as_text(turn: Message) -> Message:
    """The turn with tool calls and results as text, for a chat template that has no branch for them."""
    if turn.role == "tool":
        return Message("user", f"{RESULT}{broken(turn.content, (RESULT, RESULT_END))}{RESULT_END}")
    if turn.calls:
        return Message(turn.role, "\n".join(filter(None, [turn.content, *map(_call_text, turn.calls)])))
    return turn


def _call_text(call: ToolCall) -> str:
    return f'{CALL}{{"name": {json.dumps(call.name)}, "arguments": {call.arguments}}}{CALL_END}'


def _merge_same_role(turns: Sequence[Message]) -> list[Message]:
    """Merges consecutive turns of one role: many chat templates accept only alternating roles."""
    out: list[Message] = []
    for turn in turns:
        if out and out[-1].role == turn.role:
            turn = Message(turn.role, f"{out.pop().content}\n\n{turn.content}")
        out.append(turn)
    return out


def _native_call_mark(base: BaseModel) -> str:
    """What a model whose template describes tools writes before a call: Hermes' mark if the template contains it."""
    return _HERMES_CALL if CALL in str(base.tokenizer.chat_template) else ""
