"""Events as OpenAI's JSON: a whole completion, or its chunks."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from seal_agent.generation.answer_form.form import Form
from seal_agent.generation.answer_form.reading import CallPiece, InvalidCall, Part, Reader
from seal_agent.integrations.server.calls import Finished, Piece, Token
from seal_agent.types import Completion

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What every chunk of an answer begins with."""

    model: str
    fingerprint: str
    chat: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self, choices: list[Json], *, chunk: bool) -> Json:
        kind = "chat.completion" if self.chat else "text_completion"
        return {
            "id": f"{'chatcmpl' if self.chat else 'cmpl'}-{self.id}",
            "object": f"{kind}.chunk" if chunk and self.chat else kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        }


def usage_of(completions: Iterable[tuple[int, Completion]]) -> Json:
    """Tokens that were read and written; a prompt with several choices counts once. Pairs of prompt and completion."""
    read: dict[int, int] = {}
    written = 0
    for prompt, completion in completions:
        read[prompt] = completion.prompt_tokens
        written += completion.tokens
    prompt_tokens = sum(read.values())
    return {"prompt_tokens": prompt_tokens, "completion_tokens": written, "total_tokens": prompt_tokens + written}


class ChatChoice:
    """One choice of a chat completion, as its text comes in."""

    def __init__(self, index: int, form: Form, logprobs: bool) -> None:
        self.index, self._reader, self._logprobs = index, Reader(form), logprobs
        self._first_call: int | None = None
        self._content, self._tokens = "", list[Token]()
        self._calls: dict[int, Json] = {}
        self.completion: Completion | None = None

    def take(self, event: Piece | Finished) -> list[Json]:
        """The choices of the chunks that follow from an event."""
        tokens: Sequence[Token] = ()
        if isinstance(event, Piece):
            parts, tokens = list(self._reader.feed(event.text)), event.tokens
            self._tokens += tokens
        else:
            parts, self.completion = list(self._reader.end()), event.completion
        deltas = [self._delta(part) for part in parts]
        if not deltas and tokens:
            deltas = [{}]
        chunks = [self._chunk(delta, tokens if i == 0 else ()) for i, delta in enumerate(deltas)]
        if self.completion:
            chunks.append(self._chunk({}, (), self._finish))
        return chunks

    def opening(self) -> Json:
        """The chunk that says who speaks."""
        return self._chunk({"role": "assistant", "content": ""}, ())

    def whole(self) -> Json:
        """The choice of a completion that did not stream."""
        calls = [self._calls[i] for i in sorted(self._calls)]
        message: Json = {"role": "assistant", "content": self._content or (None if calls else ""), "refusal": None}
        if calls:
            message["tool_calls"] = [{key: call[key] for key in ("id", "type", "function")} for call in calls]
        return {
            "index": self.index,
            "message": message,
            "logprobs": self._probs(self._tokens),
            "finish_reason": self._finish,
        }

    @property
    def _finish(self) -> str:
        reason = self.completion.finish_reason if self.completion else "stop"
        return "tool_calls" if self._calls and reason == "stop" else reason

    def _delta(self, part: Part) -> Json:
        if isinstance(part, InvalidCall):
            part = part.text
        if isinstance(part, str):
            self._content += part
            return {"content": part}
        return {"tool_calls": [self._call(part)]}

    def _call(self, part: CallPiece) -> Json:
        """A piece of a call as OpenAI numbers them, from 0."""
        if self._first_call is None:
            self._first_call = part.index
        index = part.index - self._first_call
        if part.name is None:
            self._calls[index]["function"]["arguments"] += part.arguments
            return {"index": index, "function": {"arguments": part.arguments}}
        call: Json = {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments}}
        self._calls[index] = {**call, "function": dict(call["function"])}
        return {"index": index, **call}

    def _chunk(self, delta: Json, tokens: Sequence[Token], finish: str | None = None) -> Json:
        return {"index": self.index, "delta": delta, "logprobs": self._probs(tokens), "finish_reason": finish}

    def _probs(self, tokens: Sequence[Token]) -> Json | None:
        if not self._logprobs or not tokens:
            return None
        return {"content": [_chat_token(token) for token in tokens], "refusal": None}


class TextChoice:
    """One choice of a plain completion, as its text comes in."""

    def __init__(self, index: int, logprobs: bool) -> None:
        self.index, self._logprobs = index, logprobs
        self._text, self._tokens = "", list[Token]()
        self.completion: Completion | None = None

    def take(self, event: Piece | Finished) -> list[Json]:
        """The choices of the chunks that follow from an event."""
        if isinstance(event, Finished):
            self.completion = event.completion
            return [self._choice("", (), 0, event.completion.finish_reason)]
        offset = len(self._text)
        self._text += event.text
        self._tokens += event.tokens
        return [self._choice(event.text, event.tokens, offset, None)]

    def whole(self) -> Json:
        """The choice of a completion that did not stream."""
        finish = self.completion.finish_reason if self.completion else "stop"
        return self._choice(self._text, self._tokens, 0, finish)

    def _choice(self, text: str, tokens: Sequence[Token], offset: int, finish: str | None) -> Json:
        probs = _text_tokens(tokens, offset) if self._logprobs and (tokens or finish is None) else None
        return {"index": self.index, "text": text, "logprobs": probs, "finish_reason": finish}


def _chat_token(token: Token) -> Json:
    top = [{"token": text, "logprob": logprob, "bytes": _bytes(text)} for text, logprob in token.top]
    return {"token": token.text, "logprob": token.logprob, "bytes": _bytes(token.text), "top_logprobs": top}


def _bytes(text: str) -> list[int] | None:
    """A token's bytes; None for a part of a character."""
    return None if "\ufffd" in text else list(text.encode())


def _text_tokens(tokens: Sequence[Token], offset: int) -> Json:
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.text)
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [dict(token.top) for token in tokens],
        "text_offset": offsets,
    }
