"""OpenAI's messages, tools and response formats as a prompt of ours and the form of its answer."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Form, Tool, must_call, response_schema
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.images.blocks import split_blocks
from seal_agent.integrations.server.requests import ChatRequest, NamedTool, SentMessage, SentTool
from seal_agent.text.inflection import composed
from seal_agent.types import Message, Prompt, ToolCall
from seal_agent.validation import check_whole_characters

_NO_ARGUMENTS = {"type": "object", "properties": {}}


def form_of(request: ChatRequest) -> Form:
    """The form of the answer that is asked for. Raises InputError."""
    format_ = request.response_format.as_dict if request.response_format else None
    tools, schema = tuple(map(_tool, request.tools or ())), response_schema(format_)
    if request.tool_choice in ("required",) or isinstance(request.tool_choice, NamedTool):
        if not tools:
            raise InputError("tool_choice asks for a call, but there are no tools; send them too")
        if isinstance(request.tool_choice, NamedTool):
            return must_call(tools, request.tool_choice.function.name)
        return Form(tools, must_call=True)
    return Form(() if request.tool_choice == "none" else tools, schema=schema)


def _tool(tool: SentTool) -> Tool:
    return Tool(tool.function.name, tool.function.description or "", tool.function.parameters or _NO_ARGUMENTS)


def prompt_of(messages: Sequence[SentMessage], form: Form, base: BaseModel) -> Prompt:
    """The messages as a prompt for an answer of this form. Raises InputError, also for pictures that cannot be seen."""
    names = {call.id: call.function.name for message in messages for call in message.tool_calls or ()}
    return prompt_in_form([_turn(message, names) for message in messages], form, base)


def _turn(message: SentMessage, names: dict[str, str]) -> Message:
    content = message.content or ""
    parts = content if isinstance(content, str) else [part.model_dump() for part in content]
    text, pictures = split_blocks(parts)
    check_whole_characters("a message", text)
    text = text if message.role == "assistant" else composed(text)
    if pictures and message.role != "user":
        raise InputError(f"pictures stand in a user's turn, but one is in a turn of {message.role!r}; move it")
    match message.role:
        case "tool":
            return Message("tool", text, name=names.get(message.tool_call_id or "", message.name or ""))
        case "assistant":
            calls = [
                ToolCall(call.function.name, _arguments(call.function.arguments)) for call in message.tool_calls or ()
            ]
            return Message("assistant", text, tuple(calls))
        case "user":
            return Message("user", text, pictures=pictures)
    return Message("system", text)


def _arguments(text: str) -> str:
    """A call's arguments, if they are a JSON object; else as the text that the model wrote."""
    try:
        arguments = json.loads(text)
    except ValueError:
        arguments = None
    return text if isinstance(arguments, dict) else json.dumps({"text": text})
