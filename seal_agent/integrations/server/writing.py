"""From a request to the events of its answer: which decoder writes it, for how long, and until its client leaves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from fastapi import Request

from seal_agent.answering.turns import is_recall
from seal_agent.config import ServerConfig
from seal_agent.integrations.server.calls import Call, Decoder, Event, Failed, Finished, Piece, Written
from seal_agent.integrations.server.errors import ApiError
from seal_agent.integrations.server.metrics import Metrics

_Value = TypeVar("_Value")


@dataclass(slots=True)
class Begun:
    """An answer that is being written: the events of all its choices come in, one beside the other."""

    events: asyncio.Queue[Event]
    started: float
    unfinished: int = 0
    written: list[Written] = field(default_factory=list)

    def leave(self) -> None:
        for written in self.written:
            written.leave()


class Writer:
    """Sends calls to the decoder that fits them."""

    def __init__(self, decoder: Decoder, recall: Decoder, config: ServerConfig, metrics: Metrics) -> None:
        self._decoder, self._recall, self._config, self._metrics = decoder, recall, config, metrics

    def load(self) -> tuple[int, int]:
        """How many answers wait, and how many are written."""
        (waiting, running), (asked, recalled) = self._decoder.load(), self._recall.load()
        return waiting + asked, running + recalled

    def close(self) -> None:
        self._decoder.close()
        self._recall.close()

    async def begin(self, calls: Sequence[Call]) -> Begun:
        """Begin to write all choices of these calls, numbered through.

        Raises ApiError, SealError for a call that cannot be written, or not now.
        """
        if sum(call.choices for call in calls) > self._config.max_choices:
            raise ApiError(400, f"at most {self._config.max_choices} choices are written at once; ask for fewer")
        loop, begun = asyncio.get_running_loop(), Begun(asyncio.Queue(), time.monotonic())

        def deliver(first: int, event: Event) -> None:
            numbered = event if isinstance(event, Failed) else replace(event, index=first + event.index)
            if not loop.is_closed():
                loop.call_soon_threadsafe(begun.events.put_nowait, numbered)

        begins = [await asyncio.to_thread(self._decoder_of(call).prepare, call) for call in calls]
        try:
            for call, begin in zip(calls, begins, strict=True):
                begun.written.append(begin(partial(deliver, begun.unfinished)))
                begun.unfinished += call.choices
        except ApiError:
            begun.leave()
            raise
        return begun

    def _decoder_of(self, call: Call) -> Decoder:
        recalls = call.weights and is_recall(call.prompt, call.sampling, call.style)
        return self._recall if recalls else self._decoder

    async def events(self, begun: Begun) -> AsyncGenerator[Piece | Finished]:
        """The events up to the last choice's end. Raises the error that ended it, ApiError when time is up."""
        deadline, first = begun.started + self._config.request_seconds, True
        try:
            while begun.unfinished:
                event = await self._next(begun, deadline)
                if first:
                    self._metrics.first_text(time.monotonic() - begun.started)
                    first = False
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Finished):
                    begun.unfinished -= 1
                    self._metrics.tokens(event.completion.prompt_tokens, event.completion.tokens)
                yield event
        finally:
            begun.leave()

    async def _next(self, begun: Begun, deadline: float) -> Event:
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await begun.events.get()
        except TimeoutError:
            limit = self._config.request_seconds
            raise ApiError(
                503, f"the answer took more than {limit:g} seconds; ask for fewer tokens, or try again", retry_after=10
            ) from None


async def unless_left(request: Request, work: Awaitable[_Value]) -> _Value:
    """The result of some work, which is given up when the client leaves."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ApiError(499, "the client has left")
        return working.result()
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
