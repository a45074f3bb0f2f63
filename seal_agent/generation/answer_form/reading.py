"""Parses a model's answer into text and tool calls, piece by piece as it is written."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from seal_agent.generation.answer_form.form import CALL, CALL_END, Form

_ID_PREFIX = "call_"
_ARGUMENT_KEYS = ("arguments", "parameters")  # Hermes and Qwen write the former, Llama the latter


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a tool call. The first has the name; the arguments (JSON) come in one or several pieces."""

    index: int
    id: str
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class InvalidCall:
    """Text that begins like a tool call but is not a valid one."""

    id: str
    text: str
    error: str


Part = str | CallPiece | InvalidCall


class Reader:
    """Parses one answer. `feed` it the pieces in order, then `end` it; together they give the answer's parts.

    Calls are read in Hermes' form, or as JSON if the whole answer is a call or a list of calls. Text after a call is
    dropped: small models go on with what they imagine the tool returned.
    """

    def __init__(self, form: Form) -> None:
        self._tool_names = frozenset(tool.name for tool in form.tools)
        self._forced_tool = form.only_call.name if form.only_call else None
        self._buffer = "" if self._forced_tool else form.begun()
        self._in_call = self._has_text = False
        self._call_count = 0
        self._forced_id = _new_id()

    def feed(self, piece: str) -> Iterator[Part]:
        """The parts that are certain after this piece."""
        if self._forced_tool:
            yield CallPiece(0, self._forced_id, None if self._call_count else self._forced_tool, piece)
            self._call_count = 1
        elif not self._tool_names:
            yield piece
        else:
            self._buffer += piece
            yield from self._drain()

    def end(self) -> Iterator[Part]:
        """The parts held back because they might have become a call."""
        buffer, self._buffer = self._buffer, ""
        if self._in_call:
            yield from self._parse_marked(buffer)
        elif buffer and not self._call_count:
            calls = [] if self._has_text else self._parse_unmarked(buffer)
            yield from self._call_pieces(calls)
            if not calls:
                yield buffer

    def _drain(self) -> Iterator[Part]:
        """Everything in the buffer that is certain."""
        while True:
            mark = CALL_END if self._in_call else CALL
            before, match, after = self._buffer.partition(mark)
            if not match:
                break
            self._buffer = after
            if self._in_call:
                yield from self._parse_marked(before)
            elif text := before.rstrip():
                yield from self._text(text)
            self._in_call = not self._in_call
        if not self._in_call and not self._may_be_unmarked_call():
            size = _certain_length(self._buffer)
            text, self._buffer = self._buffer[:size], self._buffer[size:]
            yield from self._text(text)

    def _text(self, text: str) -> Iterator[Part]:
        if text and not self._call_count:
            self._has_text = True
            yield text

    def _may_be_unmarked_call(self) -> bool:
        """Whether the whole answer so far may be JSON."""
        return not self._has_text and not self._call_count and self._buffer.lstrip()[:1] in ("", "{", "[")

    def _parse_marked(self, text: str) -> Iterator[Part]:
        """The calls between a pair of marks."""
        try:
            calls = _parse_calls(text)
        except ValueError as err:
            yield InvalidCall(_new_id(), CALL + text, f"this is no call of a tool: {err}")
            self._call_count += 1
        else:
            yield from self._call_pieces(calls)

    def _parse_unmarked(self, text: str) -> list[tuple[str, str]]:
        """The calls in an answer that is JSON as a whole; none if it is something else or names unknown tools."""
        try:
            calls = _parse_calls(text)
        except ValueError:
            return []
        return calls if all(name in self._tool_names for name, _ in calls) else []

    def _call_pieces(self, calls: Sequence[tuple[str, str]]) -> Iterator[Part]:
        for name, arguments in calls:
            # LangChain numbers content blocks and text is block 0, so calls after text are numbered from 1.
            yield CallPiece(self._call_count + self._has_text, _new_id(), name, arguments)
            self._call_count += 1


def _parse_calls(text: str) -> list[tuple[str, str]]:
    """Name and JSON arguments of each call in a JSON call or list of calls. Raises ValueError."""
    calls = json.loads(text)
    return [_parse_call(call) for call in (calls if isinstance(calls, list) else [calls])]


def _parse_call(call: Any) -> tuple[str, str]:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise ValueError("it has no name")
    candidates = [call[key] for key in _ARGUMENT_KEYS if key in call]
    if not candidates and len(call) > 1:
        raise ValueError("it has no arguments")
    arguments = candidates[0] if candidates else {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no JSON object")
    return call["name"], json.dumps(arguments, ensure_ascii=False)


def _certain_length(text: str) -> int:
    """How many characters can be shown now: all but trailing white space and a possible beginning of a call's mark."""
    for size in range(min(len(CALL) - 1, len(text)), 0, -1):
        if text.endswith(CALL[:size]):
            text = text[:-size]
            break
    return len(re.sub(r"\s+\Z", "", text))


def _new_id() -> str:
    return _ID_PREFIX + uuid.uuid4().hex
