"""Tools as they can be called now: schemas narrowed to what is on the screen, and the calls that they allow."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seal_agent.generation.answer_form.form import Tool
from seal_agent.types import ToolCall

Arguments = Mapping[str, Sequence[str] | None]
"""The values that each argument may have; None for any text."""


def possible(tools: Sequence[Mapping[str, Any]], calls: Mapping[str, Sequence[Arguments]]) -> list[Mapping[str, Any]]:
    """The tools as OpenAI function schemas that allow these calls alone.

    Args:
        tools: All tools of the environment, likewise.
        calls: For each tool that can be called, the arguments that go together. A tool without any is left out, as are
            arguments of which one has no possible value.
    """
    narrowed: list[Mapping[str, Any]] = []
    for tool in tools:
        function = tool["function"]
        forms = [_form(each) for each in calls.get(function["name"], ()) if all(v is None or v for v in each.values())]
        if forms:
            parameters = forms[0] if len(forms) == 1 else {"anyOf": forms}
            narrowed.append({"type": "function", "function": {**function, "parameters": parameters}})
    return narrowed


def listed(tools: Sequence[Tool], most: int) -> list[ToolCall]:
    """The calls that narrowed tools allow, at most so many of each tool; those with free text are left out."""
    return [call for tool in tools for call in itertools.islice(_calls(tool), most)]


def _calls(tool: Tool) -> Iterator[ToolCall]:
    for form in tool.schema.get("anyOf", [tool.schema]):
        properties = form.get("properties", {})
        if all("enum" in schema for schema in properties.values()):
            for values in itertools.product(*(schema["enum"] for schema in properties.values())):
                arguments = dict(zip(properties, values, strict=True))
                yield ToolCall(tool.name, json.dumps(arguments, ensure_ascii=False))


def _form(arguments: Arguments) -> dict[str, Any]:
    """The JSON schema of arguments with these values."""
    properties = {
        name: {"type": "string", "minLength": 1} if values is None else {"enum": list(values)}
        for name, values in arguments.items()
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
