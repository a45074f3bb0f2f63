"""The middleware in front of every route: hosts, keys, sizes, times. What it refuses, no route sees."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seal_agent.config import ServerConfig
from seal_agent.integrations.keys import Keys, is_loopback
from seal_agent.integrations.server.errors import ApiError, api_error
from seal_agent.integrations.server.metrics import Metrics

_log = logging.getLogger(__name__)
_GUARDED = "/v1/"
_JSON_PARTS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)  # possessive: keeps nothing of a long string
_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")
_LONG = 65_536  # bytes of a body that is looked through in a thread; others wait less than a millisecond


class Limits:
    """Pure ASGI, so that a client that leaves is seen by the routes behind it.

    Args:
        draining: Whether the server is about to end; then nothing new is begun.
        listens_on: The address that was bound; without a key, a browser may name no other host.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: Keys,
        config: ServerConfig,
        metrics: Metrics,
        draining: asyncio.Event,
        listens_on: str,
    ) -> None:
        self._app, self._keys, self._config = app, keys, config
        self._metrics, self._draining, self._listens_on = metrics, draining, listens_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
            self._check(scope, headers)
            await self._app(scope, await self._with_body(scope, headers, receive), watched)
        except ApiError as error:
            await error.response()(scope, receive, watched)
        except ConnectionError:
            status = 499  # the client left before its request was whole
        finally:
            self._metrics.answered(_endpoint(scope), status, time.perf_counter() - started)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        """Raises ApiError for a request that may not pass."""
        path: str = scope["path"]
        if self._keys.api is None and not self._is_own_host(headers.get("host", "")):
            raise ApiError(403, "this server answers under the name of this machine only; use 127.0.0.1 or localhost")
        if not path.startswith(_GUARDED):
            return
        authorization = headers.get("authorization")
        if not self._keys.may_ask(authorization):
            raise ApiError(401, "the key is missing or wrong; send it as a bearer token", code="invalid_api_key")
        if self._draining.is_set():
            raise ApiError(503, "the server is about to end; try again", retry_after=self._config.retry_after)
        if path.startswith("/v1/adapters"):
            if self._keys.admin is None:
                raise ApiError(404, "changing adapters over HTTP is off; start the server with SEAL_ADMIN_KEY set")
            if not self._keys.may_change(authorization):
                raise ApiError(403, "this key may not see or change adapters; send the administrator's")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["method"] == "POST" and kind != "application/json":
            raise ApiError(415, "send the request as JSON, with the header content-type: application/json")

    def _is_own_host(self, host: str) -> bool:
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        return is_loopback(name) or name.casefold() == self._listens_on.casefold()

    async def _with_body(self, scope: Scope, headers: dict[str, str], receive: Receive) -> Receive:
        """The whole body, read within its limits, and after it what the connection says."""
        if scope["method"] not in _WITH_BODY or not scope["path"].startswith(_GUARDED):
            return receive  # no other route reads one
        limit = self._config.max_body_bytes
        too_large = ApiError(413, f"the request has more than {limit} bytes; send less", code="request_too_large")
        length = headers.get("content-length", "")
        if length.isdecimal() and len(length) < 20 and int(length) > limit:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._config.body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionError
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > limit:
                        raise too_large
        except TimeoutError:
            raise ApiError(408, f"the request was not sent within {self._config.body_seconds:g} seconds") from None
        whole = bytes(body)
        depth = depth_of(whole) if len(whole) < _LONG else await asyncio.to_thread(depth_of, whole)
        if depth > self._config.max_depth:
            raise ApiError(400, f"the request nests more than {self._config.max_depth} lists and objects")
        return _replayed(whole, receive)


def _replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def depth_of(body: bytes) -> int:
    """How deeply lists and objects are nested in a JSON text."""
    deepest = depth = 0
    for part in _JSON_PARTS.finditer(body):
        sign = part.group()[:1]
        if sign in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif sign in (b"]", b"}"):
            depth -= 1
    return deepest


def _endpoint(scope: Scope) -> str:
    """The route's pattern, so that no name of an adapter becomes a label."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "other"))


async def failed(_request: Any, error: Exception) -> Any:
    """FastAPI's handler of errors."""
    answer = api_error(error)
    if answer.status == 500:
        _log.error("a request failed", exc_info=error)
    return answer.response()
