"""A model's completion as LangChain messages: one whole message, or chunks that add up to it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from seal_agent.generation.answer_form.reading import CallPiece, InvalidCall, Part, Reader
from seal_agent.types import Completion


def whole_message(completion: Completion, reader: Reader, metadata: Mapping[str, Any]) -> AIMessage:
    """The message of a finished completion; `metadata` goes into its response_metadata."""
    parts = [*reader.feed(completion.text), *reader.end()]
    calls, truncated = _join_calls(part for part in parts if isinstance(part, CallPiece))
    invalid = [_invalid_tool_call(part) for part in parts if isinstance(part, InvalidCall)]
    return AIMessage(
        content="".join(part for part in parts if isinstance(part, str)),
        tool_calls=calls,
        invalid_tool_calls=[*truncated, *invalid],
        usage_metadata=_usage(completion),
        response_metadata=_response_metadata(completion, metadata, bool(calls)),
    )


def chunks_of(
    pieces: Generator[str, None, Completion], reader: Reader, metadata: Mapping[str, Any]
) -> Iterator[ChatGenerationChunk]:
    """The message in chunks as text comes in. The last chunk is empty and carries the usage and the metadata."""
    called = False
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            completion: Completion = end.value
            break
        for part in reader.feed(piece):
            called |= not isinstance(part, str)
            yield _chunk(part)
    for part in reader.end():
        called |= not isinstance(part, str)
        yield _chunk(part)
    yield ChatGenerationChunk(
        message=AIMessageChunk(
            content="",
            usage_metadata=_usage(completion),
            response_metadata=_response_metadata(completion, metadata, called),
            chunk_position="last",
        )
    )


def _chunk(part: Part) -> ChatGenerationChunk:
    match part:
        case str():
            message = AIMessageChunk(content=part)
        case InvalidCall():
            message = AIMessageChunk(content="", invalid_tool_calls=[_invalid_tool_call(part)])
        case CallPiece():
            name, id_ = (part.name, part.id) if part.name else (None, None)
            call_chunk = tool_call_chunk(name=name, id=id_, args=part.arguments, index=part.index)
            message = AIMessageChunk(content="", tool_call_chunks=[call_chunk])
    return ChatGenerationChunk(message=message)


def _join_calls(pieces: Iterable[CallPiece]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Complete calls, and those whose arguments were truncated."""
    name_and_arguments: dict[str, tuple[str, str]] = {}
    for piece in pieces:
        name, arguments = name_and_arguments.get(piece.id, (piece.name or "", ""))
        name_and_arguments[piece.id] = (name, arguments + piece.arguments)
    complete: list[ToolCall] = []
    truncated: list[InvalidToolCall] = []
    for id_, (name, arguments) in name_and_arguments.items():
        try:
            complete.append(tool_call(name=name, args=json.loads(arguments), id=id_))
        except ValueError:
            truncated.append(invalid_tool_call(name=name, args=arguments, id=id_, error="cut off; raise max_tokens"))
    return complete, truncated


def _invalid_tool_call(call: InvalidCall) -> InvalidToolCall:
    return invalid_tool_call(name=None, args=call.text, id=call.id, error=call.error)


def _usage(completion: Completion) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=completion.prompt_tokens,
        output_tokens=completion.tokens,
        total_tokens=completion.prompt_tokens + completion.tokens,
    )


def _response_metadata(completion: Completion, metadata: Mapping[str, Any], called: bool) -> dict[str, Any]:
    finish_reason = "tool_calls" if called and completion.finish_reason == "stop" else completion.finish_reason
    return {**metadata, "finish_reason": finish_reason}
