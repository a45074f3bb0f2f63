"""The continuous decoder: one thread that decodes every client's rows together, one token a step."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seal_agent.config import ServerConfig
from seal_agent.errors import EngineError, first_line
from seal_agent.generation.continuous import ContinuousEngine
from seal_agent.generation.rows import LiveRow
from seal_agent.integrations.server.calls import Call, Deliver, Failed, Finished, Piece, Token
from seal_agent.integrations.server.errors import ApiError

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Choice:
    """A row, and where its text goes."""

    index: int
    live: LiveRow
    deliver: Deliver
    wants_tokens: bool
    reported: int = 0


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one request. Implements Written."""

    rows: list[LiveRow] = field(default_factory=list)

    def leave(self) -> None:
        for live in self.rows:
            live.left = True


class ContinuousDecoder:
    """Implements Decoder on the transformers engine."""

    def __init__(self, engine: ContinuousEngine, config: ServerConfig) -> None:
        self._engine, self._config = engine, config
        self._waiting: deque[_Choice] = deque()
        self._choices: dict[int, _Choice] = {}
        self._changed, self._closed = threading.Condition(), False
        self._thread = threading.Thread(target=self._run, name="seal-decoder", daemon=True)
        self._thread.start()

    def prepare(self, call: Call) -> Callable[[Deliver], _Rows]:
        rows = [
            self._engine.live_row(call.prompt, call.sampling, call.weights, index, call.top or 0)
            for index in range(call.choices)
        ]

        def begin(deliver: Deliver) -> _Rows:
            choices = [_Choice(i, live, deliver, call.top is not None) for i, live in enumerate(rows)]
            self._add(choices)
            return _Rows(rows)

        return begin

    def load(self) -> tuple[int, int]:
        return len(self._waiting), len(self._choices)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _add(self, choices: list[_Choice]) -> None:
        with self._changed:
            check_room(len(self._waiting) + len(self._choices), len(choices), self._config)
            self._waiting.extend(choices)
            self._changed.notify()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._choices or self._engine.live or self._closed):
                    self._changed.wait()
                if self._closed:
                    break
            try:
                self._advance()
            except Exception as err:
                _log.exception("decoding failed")
                self._engine.clear()
                self._fail(list(self._choices.values()), err)
        self._engine.clear()
        with self._changed:
            unanswered = [*self._choices.values(), *self._waiting]
        for choice in unanswered:
            choice.deliver(Failed(EngineError("the server has ended; try again")))

    def _advance(self) -> None:
        """Let waiting rows join, as far as there is room, and decode one token of each."""
        self._join(self._joining())
        for live in self._engine.step():
            if choice := self._choices.get(id(live)):
                self._deliver(choice)
        self._choices = {key: choice for key, choice in self._choices.items() if not _ended(choice.live)}

    def _join(self, joining: list[_Choice]) -> None:
        """Let rows join; where that fails, they alone fail."""
        self._choices |= {id(choice.live): choice for choice in joining}
        try:
            if joining:
                self._engine.join([choice.live for choice in joining])
        except Exception as err:
            _log.exception("reading prompts failed")
            self._fail(joining, err)

    def _joining(self) -> list[_Choice]:
        room, tokens = self._config.max_rows - len(self._choices), self._config.max_joining_tokens
        joining: list[_Choice] = []
        with self._changed:
            while self._waiting and len(joining) < room:
                length = len(self._waiting[0].live.row.prompt_ids)
                if joining and length > tokens:
                    break
                choice = self._waiting.popleft()
                if not choice.live.left:
                    joining.append(choice)
                    tokens -= length
        return joining

    def _deliver(self, choice: _Choice) -> None:
        live = choice.live
        if live.left:
            return
        text = self._engine.new_text(live)
        tokens = self._tokens(choice) if choice.wants_tokens else ()
        if text or tokens:
            choice.deliver(Piece(choice.index, text, tokens))
        if live.finished:
            choice.deliver(Finished(choice.index, self._engine.completion(live)))

    def _tokens(self, choice: _Choice) -> tuple[Token, ...]:
        """What was generated since the last piece, without the token that ends a text."""
        row, base, start = choice.live.row, self._engine.base, choice.reported
        choice.reported = len(row.generated)
        return tuple(
            Token(
                base.tokenizer.decode([row.generated[i]]),
                row.logprobs[i],
                tuple((base.tokenizer.decode([id_]), logprob) for id_, logprob in choice.live.alternatives[i])
                if choice.live.top
                else (),
            )
            for i in range(start, len(row.generated))
            if row.generated[i] not in base.stop_ids
        )

    def _fail(self, choices: Sequence[_Choice], error: Exception) -> None:
        """Give these rows up: whatever of them is in the batch leaves it before the next token."""
        for choice in choices:
            choice.live.left = True
            self._choices.pop(id(choice.live), None)
            choice.deliver(Failed(EngineError(f"decoding failed ({first_line(error)}); try again")))


def _ended(live: LiveRow) -> bool:
    return live.finished or live.left


def check_room(rows: int, more: int, config: ServerConfig) -> None:
    """Raises ApiError where so many rows wait or are decoded that more would wait too long."""
    if rows + more > config.max_waiting:
        raise ApiError(
            429,
            f"{rows} answers are being written or wait; try again",
            code="queue_full",
            retry_after=config.retry_after,
        )
