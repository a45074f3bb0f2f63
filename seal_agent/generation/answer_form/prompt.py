"""Chat turns with instructions on the answer's form, as a prompt that the model reads."""

from __future__ import annotations

import json
from collections.abc import Sequence

from seal_agent.base_model.control import broken
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import CALL, CALL_END, Form
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Chat, Message, ToolCall

RESULT, RESULT_END = "<tool_response>", "</tool_response>"
_HERMES_CALL = CALL + "\n"  # as the chat templates of Hermes and Qwen write it


def prompt_in_form(turns: Sequence[Message], form: Form, base: BaseModel) -> Chat | tuple[Message, ...]:
    """The turns as a prompt for an answer of this form.

    The chat template describes tools if it can, else the system message does. Raises InputError without turns.
    """
    if not turns:
        raise InputError("there are no messages; give at least one user turn")
    native = base.describes_tools
    instructions = [] if native or not form.tools else [fill(load_prompt("tools"), tools=_tool_lines(form))]
    if form.schema is not None and form.show_schema and len(form.schema) > 1:  # "any JSON object" has nothing to show
        instructions.append(fill(load_prompt("json-answer"), schema=json.dumps(form.schema, ensure_ascii=False)))
    turns = _add_instructions(list(turns), instructions)
    if not native:
        turns = _merge_same_role([_calls_as_text(turn) for turn in turns])
    tools = json.dumps([tool.openai for tool in form.tools], ensure_ascii=False) if native and form.tools else ""
    begun = form.begun(_native_call_mark(base) if native else CALL)
    return Chat(tuple(turns), tools, begun) if tools or begun else tuple(turns)


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
        text = f"{RESULT}{broken(turn.content, (RESULT, RESULT_END))}{RESULT_END}"
        return Message("user", text, pictures=turn.pictures)
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
            before = out.pop()
            pictures = (*before.pictures, *turn.pictures)
            turn = Message(turn.role, f"{before.content}\n\n{turn.content}", pictures=pictures)
        out.append(turn)
    return out


def _native_call_mark(base: BaseModel) -> str:
    """What a model whose template describes tools writes before a call: Hermes' mark if the template contains it."""
    return _HERMES_CALL if CALL in str(base.tokenizer.chat_template) else ""
