"""What an answer may look like: tools that may or must be called, a schema that it must follow, or free text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from seal_agent.errors import InputError
from seal_agent.integrations.langchain.chat.schemas import grammar_of, loops, moved, unrolled
from seal_agent.types import Grammar

CALL, CALL_END = "<tool_call>", "</tool_call>"
ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
ToolChoice = str | bool | Mapping[str, Any] | None
_ANY = ("any", "required", True)
_FREE = ("auto", None, False)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool as the model is told of it; `schema` is the JSON schema of its arguments."""

    name: str
    description: str
    schema: Mapping[str, Any]

    @property
    def openai(self) -> dict[str, Any]:
        function = {"name": self.name, "description": self.description, "parameters": dict(self.schema)}
        return {"type": "function", "function": function}


@dataclass(frozen=True, slots=True)
class Form:
    """The form of an answer. Without tools and without a schema it is free text."""

    tools: tuple[Tool, ...] = ()
    must_call: bool = False
    schema: Mapping[str, Any] | None = None
    """What the answer must follow where it calls no tool."""
    show_schema: bool = True
    """Whether the model is told the schema, or only held to it."""

    @property
    def only_call(self) -> Tool | None:
        """The tool whose call is all that may be written; the model then writes its arguments and nothing else."""
        return self.tools[0] if self.must_call and len(self.tools) == 1 else None

    def begun(self, wrap: str = CALL) -> str:
        """How an answer begins that must be a call; `wrap` is what the model writes before a call."""
        if self.only_call:
            return f'{wrap}{{"name": {json.dumps(self.only_call.name)}, "arguments": '
        return wrap if self.must_call else ""

    def grammar(self, max_tokens: int) -> Grammar | None:
        """What the rest of the answer is held to; None where it is free."""
        if self.only_call:
            return grammar_of([self.only_call.schema], max_tokens)
        calls = [_call_schema(tool) for tool in self.tools]
        if self.must_call:
            return grammar_of(calls, max_tokens)
        return grammar_of([*calls, self.schema], max_tokens) if self.schema is not None else None


def form_of(
    tools: Sequence[ToolLike] = (),
    choice: ToolChoice = None,
    response_format: Mapping[str, Any] | type | None = None,
) -> Form:
    """Understand what LangChain and its users pass as tools, tool_choice and response_format. Raises InputError."""
    if isinstance(response_format, type):
        response_format = as_response_format(response_format, show=True)
    known, schema = tuple(map(tool_of, tools)), _schema_asked(response_format)
    show = bool((response_format or {}).get("show_schema", True))
    if choice == "none" or not known:
        return Form(schema=schema, show_schema=show)
    if choice in _FREE:
        return Form(known, schema=schema, show_schema=show)
    if choice in _ANY:
        return Form(known, must_call=True)
    name = _name_chosen(choice)
    chosen = tuple(tool for tool in known if tool.name == name)[:1]
    if not chosen:
        raise InputError(
            f"tool_choice asks for {name!r}, but the tools are {', '.join(tool.name for tool in known)}; "
            'choose one of them, "any", "auto" or "none"'
        )
    return Form(chosen, must_call=True)


def tool_of(tool: ToolLike) -> Tool:
    """A tool from a function, a class, a BaseTool or a dictionary. Raises InputError for any other."""
    try:
        function = convert_to_openai_tool(tool)["function"]
        schema = _recursive_schema(tool) or function.get("parameters") or {"type": "object", "properties": {}}
        return Tool(str(function["name"]), str(function.get("description", "")), schema)
    except (ValueError, KeyError, TypeError) as err:
        raise InputError(
            f"{tool!r:.80} cannot be a tool here; give a function with type hints and a docstring, a Pydantic class, "
            "a TypedDict, a LangChain tool, or a JSON schema with a title"
        ) from err


def schema_of(schema: Mapping[str, Any] | type) -> dict[str, Any]:
    """The JSON schema of a Pydantic class, a TypedDict, an OpenAI tool, or the schema itself. Raises InputError."""
    if isinstance(schema, Mapping) and not {"function", "parameters", "input_schema"} & set(schema):
        return dict(schema)
    try:
        tool = tool_of(schema)
    except InputError as err:
        raise InputError(
            f"{schema!r:.80} is no schema; give a Pydantic class, a TypedDict, or a JSON schema with a title"
        ) from err
    return {"title": tool.name, "description": tool.description, **tool.schema}


def _recursive_schema(tool: ToolLike) -> dict[str, Any] | None:
    """The schema of a class that holds itself, which LangChain's conversion would cut off; None for others."""
    kind = tool.tool_call_schema if isinstance(tool, BaseTool) else tool
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        schema = kind.model_json_schema()
    else:
        schema = {**kind} if isinstance(kind, Mapping) and "title" in kind else {}
    if not loops(schema):
        return None
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def as_response_format(schema: Mapping[str, Any] | type | None, *, show: bool) -> dict[str, Any]:
    """A schema as the `response_format` of a call, the way OpenAI has it; None is any JSON object.

    Where `show` is False the model is not told the schema.
    """
    if schema is None:
        return {"type": "json_object"}
    found = schema_of(schema)
    named = {"name": str(found.get("title", "answer")), "schema": found}
    return {"type": "json_schema", "json_schema": named, **({} if show else {"show_schema": False})}


def _schema_asked(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    match (response_format or {}).get("type", "text"):
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema" if response_format and "schema" in response_format.get("json_schema", {}):
            return dict(response_format["json_schema"]["schema"])
    raise InputError(
        'response_format must be {"type": "json_schema", "json_schema": {"name": …, "schema": …}}, '
        '{"type": "json_object"} or {"type": "text"}; or use with_structured_output'
    )


def _name_chosen(choice: ToolChoice) -> str:
    """The tool's name: alone, or in the dictionary of OpenAI or Anthropic."""
    if isinstance(choice, Mapping):
        return str(choice.get("function", choice).get("name", ""))
    return str(choice)


def _call_schema(tool: Tool) -> dict[str, Any]:
    """Schema of a whole call."""
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": {"$ref": "#/$defs/arguments"}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
        "$defs": {"arguments": moved(unrolled(tool.schema), "#/$defs/arguments")},
    }
