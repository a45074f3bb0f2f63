"""The form of an answer: tools that may or must be called, a schema that it must follow, or free text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from seal_agent.errors import InputError
from seal_agent.integrations.langchain.chat.schemas import grammar_of, rebase_refs, recursive_refs, unrolled
from seal_agent.types import Grammar

CALL, CALL_END = "<tool_call>", "</tool_call>"
ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
ToolChoice = str | bool | Mapping[str, Any] | None
_MUST_CALL = ("any", "required", True)
_MAY_CALL = ("auto", None, False)


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

    def grammar(self, max_tokens: int) -> Grammar | None:
        """The grammar of the rest of the answer; None for free text."""
        if self.only_call:
            return grammar_of([self.only_call.schema], max_tokens)
        call_schemas = [_call_schema(tool) for tool in self.tools]
        if self.must_call:
            return grammar_of(call_schemas, max_tokens)
        return grammar_of([*call_schemas, self.schema], max_tokens) if self.schema is not None else None


def form_of(
    tools: Sequence[ToolLike] = (),
    choice: ToolChoice = None,
    response_format: Mapping[str, Any] | type | None = None,
) -> Form:
    """The form that a call asks for.

    Args:
        tools: functions, classes, LangChain tools or dictionaries.
        choice: LangChain's tool_choice: a tool's name, "any", "auto", "none", or a provider's dictionary.
        response_format: a class, or a dictionary in OpenAI's format.

    Raises InputError for anything that none of these allows.
    """
    if isinstance(response_format, type):
        response_format = as_response_format(response_format, show=True)
    available, schema = tuple(map(tool_of, tools)), _response_schema(response_format)
    show = bool((response_format or {}).get("show_schema", True))
    if choice == "none" or not available:
        return Form(schema=schema, show_schema=show)
    if choice in _MAY_CALL:
        return Form(available, schema=schema, show_schema=show)
    if choice in _MUST_CALL:
        return Form(available, must_call=True)
    name = _chosen_name(choice)
    chosen = tuple(tool for tool in available if tool.name == name)[:1]
    if not chosen:
        raise InputError(
            f"tool_choice asks for {name!r}, but the tools are {', '.join(tool.name for tool in available)}; "
            'choose one of them, "any", "auto" or "none"'
        )
    return Form(chosen, must_call=True)


def tool_of(tool: ToolLike) -> Tool:
    """A tool from a function, a class, a BaseTool or a dictionary. Raises InputError for anything else."""
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
    """The JSON schema of a Pydantic class, a TypedDict or an OpenAI tool; a JSON schema is returned as it is.

    Raises InputError for anything else.
    """
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
    """The schema of a recursive class, which LangChain's conversion would cut off; None for other tools."""
    source = tool.tool_call_schema if isinstance(tool, BaseTool) else tool
    if isinstance(source, type) and issubclass(source, BaseModel):
        schema = source.model_json_schema()
    else:
        schema = {**source} if isinstance(source, Mapping) and "title" in source else {}
    if not recursive_refs(schema):
        return None
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def as_response_format(schema: Mapping[str, Any] | type | None, *, show: bool) -> dict[str, Any]:
    """A schema as a `response_format` in OpenAI's format; None is any JSON object.

    If `show` is False, the prompt does not show the schema.
    """
    if schema is None:
        return {"type": "json_object"}
    json_schema = schema_of(schema)
    named_schema = {"name": str(json_schema.get("title", "answer")), "schema": json_schema}
    return {"type": "json_schema", "json_schema": named_schema, **({} if show else {"show_schema": False})}


def _response_schema(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
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
        '{"type": "json_object"} or {"type": "text"}; or use with_structured_output'
    )


def _chosen_name(choice: ToolChoice) -> str:
    """The chosen tool's name, which is given alone or in OpenAI's or Anthropic's dictionary."""
    if isinstance(choice, Mapping):
        return str(choice.get("function", choice).get("name", ""))
    return str(choice)


def _call_schema(tool: Tool) -> dict[str, Any]:
    """The JSON schema of a whole call."""
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": {"$ref": "#/$defs/arguments"}},
        "required": ["name", "arguments"],
        "additionalProperties": False,
        "$defs": {"arguments": rebase_refs(unrolled(tool.schema), "#/$defs/arguments")},
    }
