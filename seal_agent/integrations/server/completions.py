"""POST /v1/chat/completions and /v1/completions."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from seal_agent.answering.recall import limit_in_window
from seal_agent.config import ServerConfig
from seal_agent.generation.answer_form.form import Form
from seal_agent.integrations.server.answers import ChatChoice, Head, Json, TextChoice, usage_of
from seal_agent.integrations.server.calls import Call
from seal_agent.integrations.server.errors import ApiError, api_error, dumps, json_response
from seal_agent.integrations.server.models import Models, Served
from seal_agent.integrations.server.prompts import form_of, prompt_of
from seal_agent.integrations.server.requests import ChatRequest, CompletionRequest, Sampled
from seal_agent.integrations.server.writing import Begun, Writer, unless_left
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Grammar, Prompt, Sampling

Choice = ChatChoice | TextChoice


def routes(seal: SelfAdaptingModel, models: Models, writer: Writer, config: ServerConfig) -> APIRouter:
    """The two routes."""
    router, desk = APIRouter(), _Desk(seal, models, writer, config)

    @router.post("/v1/chat/completions", response_model=None)
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        """The assistant's next turn."""
        return await desk.chat(body, request)

    @router.post("/v1/completions", response_model=None)
    async def completions(body: CompletionRequest, request: Request) -> Response:
        """How a text goes on."""
        return await desk.text(body, request)

    return router


class _Desk:
    """Turns requests into calls, and their events into answers."""

    def __init__(self, seal: SelfAdaptingModel, models: Models, writer: Writer, config: ServerConfig) -> None:
        self._seal, self._models, self._writer, self._config = seal, models, writer, config

    async def chat(self, body: ChatRequest, request: Request) -> Response:
        if body.top_logprobs is not None and not body.logprobs:
            raise ApiError(400, "top_logprobs needs logprobs; set it to true", param="top_logprobs")
        served = await asyncio.to_thread(self._models.find, body.model)
        form = form_of(body)
        prompt = await asyncio.to_thread(prompt_of, body.messages, form, self._seal.base)
        limit = await self._limit(body.max_completion_tokens or body.max_tokens, prompt, served)
        sampling = _sampling(body, limit, await asyncio.to_thread(form.grammar, limit))
        style = "plain" if form.tools or form.schema is not None else body.style
        if body.logprobs and served.weights and style != "plain" and not sampling.temperature:
            told = "what an adapter recalls has no log-probabilities"
            raise ApiError(400, f'{told}; send "style": "plain", or leave logprobs out', param="logprobs")
        top = (body.top_logprobs or 0) if body.logprobs else None
        call = Call(prompt, sampling, served.weights, body.n or 1, top, style)
        choices = [ChatChoice(i, form, bool(body.logprobs)) for i in range(call.choices)]
        return await self._answer(body, request, served, [call], choices, form)

    async def text(self, body: CompletionRequest, request: Request) -> Response:
        served = await asyncio.to_thread(self._models.find, body.model)
        n, sampling = body.n or 1, _sampling(body, 1, None)
        limits = [await self._limit(body.max_tokens, prompt, served) for prompt in body.prompts]
        calls = [
            Call(prompt, replace(sampling, max_tokens=limit), served.weights, n, body.logprobs)
            for prompt, limit in zip(body.prompts, limits, strict=True)
        ]
        choices = [TextChoice(i, body.logprobs is not None) for i in range(len(calls) * n)]
        return await self._answer(body, request, served, calls, choices, None)

    async def _limit(self, asked: int | None, prompt: Prompt, served: Served) -> int:
        """The most tokens of an answer: what the client asks for, else the server's default as far as it fits."""
        if asked:
            return asked
        base, default = self._seal.base, self._config.max_tokens
        return await asyncio.to_thread(limit_in_window, base, prompt, served.weights, default)

    async def _answer(
        self,
        body: Sampled,
        request: Request,
        served: Served,
        calls: Sequence[Call],
        choices: Sequence[Choice],
        form: Form | None,
    ) -> Response:
        head = Head(body.model, f"fp_{(served.revision or self._seal.base.identity)[:16]}", form is not None)
        if body.stream_options and not body.stream:
            raise ApiError(400, "stream_options needs stream; set it to true", param="stream_options")
        begun = await self._writer.begin(calls)
        if body.stream:
            chunks = self._chunks(head, begun, choices, calls[0].choices, body.includes_usage)
            return StreamingResponse(chunks, media_type="text/event-stream", headers={"cache-control": "no-cache"})
        return await unless_left(request, self._whole(head, begun, choices, calls[0].choices))

    async def _whole(self, head: Head, begun: Begun, choices: Sequence[Choice], per_prompt: int) -> Response:
        async with aclosing(self._writer.events(begun)) as events:
            async for event in events:
                choices[event.index].take(event)
        body = head.body([choice.whole() for choice in choices], chunk=False)
        return json_response({**body, "usage": _usage(choices, per_prompt)})

    async def _chunks(
        self, head: Head, begun: Begun, choices: Sequence[Choice], per_prompt: int, usage: bool
    ) -> AsyncIterator[str]:
        """The answer as server-sent events; an error after the first of them is an event, too."""
        no_usage = {"usage": None} if usage else {}
        for choice in choices:
            if isinstance(choice, ChatChoice):
                yield _event({**head.body([choice.opening()], chunk=True), **no_usage})
        try:
            async with aclosing(self._writer.events(begun)) as events:
                async for event in events:
                    for chunk in choices[event.index].take(event):
                        yield _event({**head.body([chunk], chunk=True), **no_usage})
        except Exception as error:
            yield _event(api_error(error).body)
            return
        if usage:
            yield _event({**head.body([], chunk=True), "usage": _usage(choices, per_prompt)})
        yield "data: [DONE]\n\n"


def _sampling(body: Sampled, max_tokens: int, grammar: Grammar | None) -> Sampling:
    """Greedy where the client names no temperature: then adapters recall."""
    seed = secrets.randbits(32) if body.seed is None else body.seed
    stops = () if grammar else body.stops
    top_p = 1.0 if body.top_p is None else body.top_p
    return Sampling(max_tokens, body.temperature or 0.0, top_p, stops, seed, grammar)


def _usage(choices: Sequence[Choice], per_prompt: int) -> Json:
    done = [(choice.index // per_prompt, choice.completion) for choice in choices if choice.completion]
    return usage_of(done)


def _event(body: Json) -> str:
    return f"data: {dumps(body)}\n\n"
