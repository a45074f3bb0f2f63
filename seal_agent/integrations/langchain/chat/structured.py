"""with_structured_output: answers that follow a schema, parsed into its values."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.openai_tools import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
from langchain_core.utils.pydantic import is_basemodel_subclass

from seal_agent.errors import InputError
from seal_agent.integrations.langchain.chat.calls import as_response_format, tool_of

Method = Literal["json_schema", "function_calling", "json_mode"]
Schema = Mapping[str, Any] | type


def structured(
    model: BaseChatModel,
    schema: Schema | None,
    method: Method,
    *,
    include_raw: bool,
    strict: bool | None,
    call_kwargs: Mapping[str, Any],
) -> Runnable[LanguageModelInput, Any]:
    """The model with decoding constrained to a schema, followed by a parser.

    Args:
        model: the chat model.
        schema: a Pydantic class, a TypedDict or a JSON schema; None, with json_mode, is any JSON object.
        method: how the prompt shows the schema: json_schema as such, function_calling as a tool, json_mode not at all.
            Decoding is constrained by every method.
        include_raw: return {"raw", "parsed", "parsing_error"} instead of the value alone.
        strict: only traced; decoding is always strict.
        call_kwargs: bound to every call.

    Raises InputError for an unusable schema or an unknown method.
    """
    traced_format = {"kwargs": {"method": method, "strict": strict}, "schema": schema}
    call_kwargs = {**call_kwargs, "ls_structured_output_format": traced_format}
    match method:
        case "function_calling" if schema is not None:
            name = tool_of(schema).name
            bound = model.bind_tools([schema], tool_choice=name, **call_kwargs)  # type: ignore[list-item]
            parser = _call_parser(schema, name)
        case "json_schema" | "json_mode" if schema is not None or method == "json_mode":
            bound = model.bind(response_format=as_response_format(schema, show=method == "json_schema"), **call_kwargs)
            parser = _json_parser(schema)
        case "json_schema" | "function_calling":
            raise InputError(f"method {method!r} needs a schema; give a Pydantic class, a TypedDict or a JSON schema")
        case _:
            raise InputError(f"there is no method {method!r}; use json_schema, function_calling or json_mode")
    return _with_raw(bound, parser) if include_raw else bound | parser


def _json_parser(schema: Schema | None) -> BaseOutputParser[Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticOutputParser(pydantic_object=schema)
    return JsonOutputParser()


def _call_parser(schema: Schema, name: str) -> BaseOutputParser[Any]:
    if isinstance(schema, type) and is_basemodel_subclass(schema):
        return PydanticToolsParser(tools=[schema], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _with_raw(bound: Runnable[Any, Any], parser: BaseOutputParser[Any]) -> Runnable[Any, Any]:
    """{"raw": message, "parsed": value or None, "parsing_error": error or None}."""
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=bound) | parsed.with_fallbacks([failed], exception_key="parsing_error")
