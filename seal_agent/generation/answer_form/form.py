"""The form of an answer: tools that may or must be called, a schema that it must follow, or free text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seal_agent.errors import InputError
from seal_agent.generation.answer_form.schemas import grammar_of, rebase_refs, unrolled
from seal_agent.types import Grammar

CALL, CALL_END = "<tool_call>", "</tool_call>"


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model sees it; `schema` is the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]

    @property
    def openai(self) -> dict[str, Any]:
        """The tool in OpenAI's format."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.schema)}
        return {"type": "function", "function": function}


def tool_of_function(function: Mapping[str, Any]) -> Tool:
    """A tool from OpenAI's format, with "type" and "function" around it or without.

    Raises InputError for anything else.
    """
    inner = function.get("function", function) if isinstance(function, Mapping) else function
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        raise InputError(
            f'{function!r:.80} is no tool; give {{"name": …, "description": …, "parameters": a JSON schema}}'
        )
    schema = inner.get("parameters") or {"type": "object", "properties": {}}
    if not isinstance(schema, Mapping):
        raise InputError(f"the parameters of tool {inner['name']!r} are {schema!r:.60}; give a JSON schema")
    return Tool(inner["name"], str(inner.get("description") or ""), dict(schema))


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer. Without tools and without a schema it is free text."""

    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    schema: Mapping[str, Any] | None = None
    """The JSON schema of an answer that calls no tool."""
    show_schema: bool = True
    """Whether the prompt shows the schema; decoding follows it either way."""

    @property
    def only_call(self) -> Tool | None:
        """The one tool that must be called, if there is exactly one. The model then writes only its arguments."""
        return self.tools[0] if self.must_call and len(self.tools) == 1 else None

    def begun(self, mark: str = CALL) -> str:
        """The fixed beginning of an answer that must be a call; `mark` is what the model writes before a call."""
        if self.only_call:
            return f'{mark}{{"name": {json.dumps(self.only_call.name)}, "arguments": '
        return mark if self.must_call else ""

    def grammar_of_calls(self, tools: Sequence[Tool], max_tokens: int) -> Grammar:
        """The grammar of the rest of an answer that calls one of these, which are the form's tools or narrower ones."""
        schemas = [tool.schema if self.only_call else _call_schema(tool) for tool in tools]
        return grammar_of(schemas, max_tokens)

    def grammar(self, max_tokens: int) -> Grammar | None:
        """The grammar of the rest of the answer; None for free text."""
        if self.must_call:
            return self.grammar_of_calls(self.tools, max_tokens)
        if self.schema is None:
            return None
        return grammar_of([*map(_call_schema, self.tools), self.schema], max_tokens)


def must_call(tools: Sequence[Tool], name: str) -> Form:
    """The form of a call of the tool of this name. Raises InputError if there is none."""
    chosen = tuple(tool for tool in tools if tool.name == name)[:1]
    if not chosen:
        raise InputError(
            f"tool_choice asks for {name!r}, but the tools are {', '.join(tool.name for tool in tools)}; "
            'choose one of them, "any", "auto" or "none"'
        )
    return Form(chosen, must_call=True)


def response_schema(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The JSON schema in a response_format; None for text. Raises InputError."""
    match (response_format or {}).get("type", "text"):
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema" if response_format and "schema" in response_format.get("json_schema", {}):
            return dict(response_format["json_schema"]["schema"])
    raise InputError(
        'response_format must be {"type": "json_schema", "json_schema": {"name": …, "schema": …}}, '
        '{"type": "json_object"} or {"type": "text"}'
    )


def _call_schema(tool: Tool) -> dict[str, Any]:
    """The JSON schema of a whole call."""
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": {"$ref": "#/$defs/arguments"}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
        "$defs": {"arguments": rebase_refs(unrolled(tool.schema), "#/$defs/arguments")},
    }
