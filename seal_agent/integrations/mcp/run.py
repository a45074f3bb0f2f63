"""MCP over stdio, and over streamable HTTP behind a key."""

from __future__ import annotations

from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from seal_agent.errors import EngineError
from seal_agent.integrations.keys import Keys, check_binding

_MAX_BODY = 1_000_000  # bytes, as of `seal serve`


class NeedsKey:
    """Lets requests through that carry the key, if there is one."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            if not self._keys.may_ask(headers.get(b"authorization", b"").decode("latin-1")):
                refusal = JSONResponse(
                    {"error": "the key is missing or wrong; send it as a bearer token"},
                    401,
                    {"www-authenticate": "Bearer"},
                )
                return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)


def http_app(server: MCPServer[Any], keys: Keys, host: str) -> ASGIApp:
    """The ASGI application, with the endpoint at /mcp. Without a key it answers under names of this machine only."""
    names = ["127.0.0.1:*", "localhost:*", "[::1]:*", "127.0.0.1", "localhost", f"{host}:*"]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=keys.api is None,
        allowed_hosts=names,
        allowed_origins=[f"http://{name}" for name in names],
    )
    app = server.streamable_http_app(host=host, max_request_body_size=_MAX_BODY, transport_security=security)
    return NeedsKey(app, keys)


def serve_http(server: MCPServer[Any], host: str, port: int, keys: Keys) -> None:
    """Serve until the process is told to end. Raises InputError for an address that needs a key."""
    check_binding(host, keys.api)
    config = uvicorn.Config(
        http_app(server, keys, host), host=host, port=port, log_level="warning", access_log=False, server_header=False
    )
    try:
        uvicorn.Server(config).run()
    except SystemExit as err:
        raise EngineError(f"{host}:{port} cannot be listened on; choose another with --port") from err


def serve_stdio(server: MCPServer[Any]) -> None:
    """Serve the process that started this one, until it closes standard input."""
    server.run("stdio")
