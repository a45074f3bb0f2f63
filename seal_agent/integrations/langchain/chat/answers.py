"""What a model wrote as LangChain's messages: one whole message, or chunks that add up to it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, InvalidToolCall, ToolCall, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from seal_agent.integrations.langchain.chat.reading import BrokenCall, CallPiece, Part, Reader
from seal_agent.types import Completion


def whole_message(said: Completion, reader: Reader, facts: Mapping[str, Any]) -> AIMessage:
    """The message of a finished answer; `facts` go into its response_metadata."""
    parts = [*reader.feed(said.text), *reader.end()]
    pieces = [part for part in parts if isinstance(part, CallPiece)]
    calls, cut = _calls_of(pieces)
    broken = [_invalid(part) for part in parts if isinstance(part, BrokenCall)]
    return AIMessage(
        content="".join(part for part in parts if isinstance(part, str)),
        tool_calls=calls,
        invalid_tool_calls=[*cut, *broken],
        usage_metadata=_usage(said),
        response_metadata=_metadata(said, facts, bool(calls)),
    )


def chunks_of(
    pieces: Generator[str, None, Completion], reader: Reader, facts: Mapping[str, Any]
) -> Iterator[ChatGenerationChunk]:
    """The answer as it comes. The last chunk is empty and carries the usage and the facts."""
    called = False
    while True:
        try:
            piece = next(pieces)
        except StopIteration as end:
            said: Completion = end.value
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
            usage_metadata=_usage(said),
            response_metadata=_metadata(said, facts, called),
            chunk_position="last",
        )
    )


def _chunk(part: Part) -> ChatGenerationChunk:
    match part:
        case str():
            message = AIMessageChunk(content=part)
        case BrokenCall():
            message = AIMessageChunk(content="", invalid_tool_calls=[_invalid(part)])
        case CallPiece():
            named = (part.name, part.id) if part.name else (None, None)
            piece = tool_call_chunk(name=named[0], id=named[1], args=part.arguments, index=part.index)
            message = AIMessageChunk(content="", tool_call_chunks=[piece])
    return ChatGenerationChunk(message=message)


def _calls_of(pieces: Iterable[CallPiece]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """Whole calls, and those whose arguments were cut off."""
    written: dict[str, tuple[str, str]] = {}
    for piece in pieces:
        name, before = written.get(piece.id, (piece.name or "", ""))
        written[piece.id] = (name, before + piece.arguments)
    whole: list[ToolCall] = []
    cut: list[InvalidToolCall] = []
    for id_, (name, arguments) in written.items():
        try:
            whole.append(tool_call(name=name, args=json.loads(arguments), id=id_))
        except ValueError:
            cut.append(invalid_tool_call(name=name, args=arguments, id=id_, error="cut off; raise max_tokens"))
    return whole, cut


def _invalid(part: BrokenCall) -> InvalidToolCall:
    return invalid_tool_call(name=None, args=part.text, id=part.id, error=part.why)


def _usage(said: Completion) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=said.prompt_tokens,
        output_tokens=said.tokens,
        total_tokens=said.prompt_tokens + said.tokens,
    )


def _metadata(said: Completion, facts: Mapping[str, Any], called: bool) -> dict[str, Any]:
    finish = "tool_calls" if called and said.finish_reason == "stop" else said.finish_reason
    return {**facts, "finish_reason": finish}
