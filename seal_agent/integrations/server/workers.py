"""Other ways to an answer: engines that batch by themselves, and answers that adapters recall."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from seal_agent.answering.chats import replies_in_chats
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ServerConfig
from seal_agent.errors import EngineError, SealError, first_line
from seal_agent.generation.engine import Engine
from seal_agent.generation.rows import check_room as check_window
from seal_agent.generation.rows import ids_of
from seal_agent.generation.sampling import check_sampling, seed_of_row
from seal_agent.integrations.server.calls import Call, Deliver, Failed, Finished, Piece
from seal_agent.integrations.server.decoder import check_room
from seal_agent.integrations.server.errors import ApiError
from seal_agent.types import Completion

_log = logging.getLogger(__name__)


class _Reader:
    """Whether somebody still reads. Implements Written."""

    def __init__(self) -> None:
        self.left = False

    def leave(self) -> None:
        self.left = True


class StreamingDecoder:
    """Implements Decoder on an engine that batches the calls of its threads itself, such as vLLM: a thread per row."""

    def __init__(self, engine: Engine, base: BaseModel, config: ServerConfig) -> None:
        self._engine, self._base, self._config = engine, base, config
        self._pool = ThreadPoolExecutor(config.max_rows, "seal-stream")
        self._lock, self._rows, self._running = threading.Lock(), 0, 0

    def prepare(self, call: Call) -> Callable[[Deliver], _Reader]:
        if call.top is not None:
            raise ApiError(400, "this engine reports no log-probabilities; leave logprobs out", param="logprobs")
        check_sampling(call.sampling)
        check_window(len(ids_of(self._base, call.prompt)), call.sampling.max_tokens, self._base.window)

        def begin(deliver: Deliver) -> _Reader:
            reader = _Reader()
            with self._lock:
                check_room(self._rows, call.choices, self._config)
                self._rows += call.choices
            for index in range(call.choices):
                self._pool.submit(self._write, call, index, deliver, reader)
            return reader

        return begin

    def load(self) -> tuple[int, int]:
        return self._rows - self._running, self._running

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _write(self, call: Call, index: int, deliver: Deliver, reader: _Reader) -> None:
        with self._lock:
            self._running += 1
        try:
            if not reader.left:
                self._stream(call, index, deliver, reader)
        except Exception as err:
            deliver(Failed(as_seal_error(err)))
        finally:
            with self._lock:
                self._running, self._rows = self._running - 1, self._rows - 1

    def _stream(self, call: Call, index: int, deliver: Deliver, reader: _Reader) -> None:
        sampling = replace(call.sampling, seed=seed_of_row(call.sampling.seed, index))
        pieces = self._engine.stream(call.prompt, sampling, call.weights)
        while True:
            try:
                piece = next(pieces)
            except StopIteration as end:
                completion: Completion = end.value
                break
            if reader.left:
                return pieces.close()
            deliver(Piece(index, piece))
        return deliver(Finished(index, completion))


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A question; equal to itself alone, since the weights in two calls cannot be compared."""

    call: Call
    deliver: Deliver
    reader: _Reader


class RecallDecoder:
    """Implements Decoder for questions that adapters answer by recalling: those that wait together are one batch."""

    def __init__(self, engine: Engine, base: BaseModel, config: ServerConfig) -> None:
        self._engine, self._base, self._config = engine, base, config
        self._waiting: deque[_Asked] = deque()
        self._changed, self._closed, self._running = threading.Condition(), False, 0
        self._thread = threading.Thread(target=self._run, name="seal-recall", daemon=True)
        self._thread.start()

    def prepare(self, call: Call) -> Callable[[Deliver], _Reader]:
        check_sampling(call.sampling)
        check_window(len(ids_of(self._base, call.prompt)), call.sampling.max_tokens, self._base.window)

        def begin(deliver: Deliver) -> _Reader:
            reader = _Reader()
            with self._changed:
                check_room(len(self._waiting) + self._running, 1, self._config)
                self._waiting.append(_Asked(call, deliver, reader))
                self._changed.notify()
            return reader

        return begin

    def load(self) -> tuple[int, int]:
        return len(self._waiting), self._running

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._closed):
                    self._changed.wait()
                if self._closed:
                    break
            try:
                self._answer(self._batch())
            except Exception as err:
                _log.exception("recalling failed")
                self._fail_all(as_seal_error(err))
            self._running = 0
        self._fail_all(EngineError("the server has ended; try again"))

    def _batch(self) -> list[_Asked]:
        """The questions that wait with the settings of the first, as many as are decoded at once."""
        with self._changed:
            waiting = [asked for asked in self._waiting if not asked.reader.left]
            alike = [asked for asked in waiting if _settings(asked.call) == _settings(waiting[0].call)]
            batch = alike[: self._config.max_rows]
            self._waiting = deque(asked for asked in waiting if asked not in batch)
            self._running = len(batch)
        return batch

    def _answer(self, batch: list[_Asked]) -> None:
        """Answer a batch; where that fails, each of its questions alone, since one may be what failed."""
        reading = [asked for asked in batch if not asked.reader.left]
        try:
            completions = self._completions(reading) if reading else []
        except Exception as err:
            self._answer_apart(reading, err)
        else:
            for asked, completion in zip(reading, completions, strict=True):
                for index in range(asked.call.choices):
                    asked.deliver(Piece(index, completion.text))
                    asked.deliver(Finished(index, completion))

    def _answer_apart(self, batch: list[_Asked], error: Exception) -> None:
        if len(batch) == 1:
            return batch[0].deliver(Failed(as_seal_error(error)))
        _log.warning("recalling %d answers failed (%s); asking one by one", len(batch), first_line(error))
        for asked in batch:
            self._answer([asked])
        return None

    def _completions(self, batch: Sequence[_Asked]) -> list[Completion]:
        chats = [
            (asked.call.prompt, asked.call.weights)
            for asked in batch
            if isinstance(asked.call.prompt, tuple) and asked.call.weights is not None
        ]
        first = batch[0].call
        replies = replies_in_chats(self._engine, self._base, chats, first.sampling, first.style)
        return [completion for _, completion in replies]

    def _fail_all(self, error: SealError) -> None:
        """Give up what waits."""
        with self._changed:
            waiting, self._waiting = self._waiting, deque()
        for asked in waiting:
            asked.deliver(Failed(error))


def _settings(call: Call) -> tuple[object, ...]:
    return replace(call.sampling, seed=0), call.style


def as_seal_error(err: Exception) -> SealError:
    """An error as one that clients may be told about."""
    if isinstance(err, SealError):
        return err
    _log.error("answering failed", exc_info=err)
    return EngineError(f"the engine failed ({first_line(err)}); try again")
