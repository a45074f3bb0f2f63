"""The server's process: uvicorn, which on SIGTERM takes nothing new and lets what is being written end."""

from __future__ import annotations

from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from seal_agent.config import ServerConfig
from seal_agent.errors import EngineError
from seal_agent.integrations.keys import check_binding
from seal_agent.integrations.server.app import Settings, create_app
from seal_agent.model import SelfAdaptingModel


class DrainingServer(uvicorn.Server):
    """A uvicorn server that tells the application when it is about to end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app: Any = self.config.app
        app.state.draining.set()
        super().handle_exit(sig, frame)


def server(app: FastAPI, host: str, port: int, limits: ServerConfig) -> DrainingServer:
    """A server that is not running yet."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=limits.drain_seconds,
        h11_max_incomplete_event_size=64 * 1024,
    )
    return DrainingServer(config)


def serve(seal: SelfAdaptingModel, host: str, port: int, settings: Settings) -> None:
    """Serve until the process is told to end. Raises InputError for an address that needs a key."""
    check_binding(host, settings.keys.api)
    running = server(create_app(seal, settings), host, port, settings.limits)
    try:
        running.run()
    except SystemExit as err:
        raise EngineError(f"{host}:{port} cannot be listened on; choose another with --port") from err
