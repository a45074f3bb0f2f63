"""From what the model writes to what LangChain shows: text, and calls of tools, piece by piece as they come."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from seal_agent.integrations.langchain.chat.calls import CALL, CALL_END, Form

_ID = "call_"
_NAMES_OF_ARGUMENTS = ("arguments", "parameters")  # Hermes and Qwen say the one, Llama the other


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A part of a call: its name and id come first, its arguments (JSON) in one or several parts."""

    index: int
    id: str
    name: str | None
    arguments: str


@dataclass(frozen=True, slots=True)
class BrokenCall:
    """What was begun as a call and is none, as it was written, and why."""

    id: str
    text: str
    why: str


Part = str | CallPiece | BrokenCall


class Reader:
    """Reads one answer. `feed` it the pieces in order, then `end` it; together they give the answer's parts.

    Calls are read in Hermes' form, or where the whole answer is one or a list of them in JSON. Text behind a call is
    left out: small models go on with what they think the tool said.
    """

    def __init__(self, form: Form) -> None:
        self._names = frozenset(tool.name for tool in form.tools)
        self._only = form.only_call.name if form.only_call else None
        self._held = "" if self._only else form.begun()
        self._inside = self._said_text = False
        self._calls = 0
        self._only_id = _new_id()

    def feed(self, piece: str) -> Iterator[Part]:
        """The parts that are certain now."""
        if self._only:
            yield CallPiece(0, self._only_id, None if self._calls else self._only, piece)
            self._calls = 1
        elif not self._names:
            yield piece
        else:
            self._held += piece
            yield from self._ready()

    def end(self) -> Iterator[Part]:
        """What was held back because it might have become a call."""
        held, self._held = self._held, ""
        if self._inside:
            yield from self._read(held)
        elif held and not self._calls:
            calls = [] if self._said_text else self._bare(held)
            yield from self._pieces(calls)
            if not calls:
                yield held

    def _ready(self) -> Iterator[Part]:
        while True:
            mark = CALL_END if self._inside else CALL
            before, found, after = self._held.partition(mark)
            if not found:
                break
            self._held = after
            if self._inside:
                yield from self._read(before)
            elif text := before.rstrip():
                yield from self._text(text)
            self._inside = not self._inside
        if not self._inside and not self._may_be_bare():
            sure = _certain(self._held)
            text, self._held = self._held[:sure], self._held[sure:]
            yield from self._text(text)

    def _text(self, text: str) -> Iterator[Part]:
        if text and not self._calls:
            self._said_text = True
            yield text

    def _may_be_bare(self) -> bool:
        """Whether the answer, so far, may be JSON as a whole."""
        return not self._said_text and not self._calls and self._held.lstrip()[:1] in ("", "{", "[")

    def _read(self, text: str) -> Iterator[Part]:
        """The calls between the marks."""
        try:
            calls = [_call(found) for found in _as_list(json.loads(text))]
        except ValueError as err:
            yield BrokenCall(_new_id(), CALL + text, f"this is no call of a tool: {err}")
            self._calls += 1
        else:
            yield from self._pieces(calls)

    def _bare(self, text: str) -> list[tuple[str, str]]:
        try:
            calls = [_call(found) for found in _as_list(json.loads(text))]
        except ValueError:
            return []
        return calls if all(name in self._names for name, _ in calls) else []

    def _pieces(self, calls: Sequence[tuple[str, str]]) -> Iterator[Part]:
        for name, arguments in calls:
            # Text is block 0 where LangChain numbers blocks, so calls are numbered from 1 behind it.
            yield CallPiece(self._calls + self._said_text, _new_id(), name, arguments)
            self._calls += 1


def _call(found: Any) -> tuple[str, str]:
    """Name and arguments, as JSON, of one call. Raises ValueError."""
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        raise ValueError("it has no name")
    given = [found[key] for key in _NAMES_OF_ARGUMENTS if key in found]
    if not given and len(found) > 1:
        raise ValueError("it has no arguments")
    arguments = given[0] if given else {}
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError("its arguments are no JSON object")
    return found["name"], json.dumps(arguments, ensure_ascii=False)


def _as_list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _certain(text: str) -> int:
    """How many characters can be shown: not the blanks at the end, nor what may be the beginning of a call's mark."""
    for size in range(min(len(CALL) - 1, len(text)), 0, -1):
        if text.endswith(CALL[:size]):
            text = text[:-size]
            break
    return len(re.sub(r"\s+\Z", "", text))


def _new_id() -> str:
    return _ID + uuid.uuid4().hex
