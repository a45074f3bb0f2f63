"""The form of an answer from what LangChain's callers give: functions, classes, tools, dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel

from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Form, Tool, must_call, response_schema
from seal_agent.generation.answer_form.schemas import recursive_refs

ToolLike = Mapping[str, Any] | type | Callable[..., Any] | BaseTool
ToolChoice = str | bool | Mapping[str, Any] | None
_MUST_CALL = ("any", "required", True)
_MAY_CALL = ("auto", None, False)


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
    available, schema = tuple(map(tool_of, tools)), response_schema(response_format)
    show = bool((response_format or {}).get("show_schema", True))
    if choice == "none" or not available:
        return Form(schema=schema, show_schema=show)
    if choice in _MAY_CALL:
        return Form(available, schema=schema, show_schema=show)
    if choice in _MUST_CALL:
        return Form(available, must_call=True)
    return must_call(available, _chosen_name(choice))


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


def _chosen_name(choice: ToolChoice) -> str:
    """The chosen tool's name, which is given alone or in OpenAI's or Anthropic's dictionary."""
    if isinstance(choice, Mapping):
        return str(choice.get("function", choice).get("name", ""))
    return str(choice)
