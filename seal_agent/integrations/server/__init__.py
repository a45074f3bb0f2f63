"""An OpenAI-compatible server: `seal serve`. FastAPI and uvicorn stay in this room."""

from __future__ import annotations

from seal_agent.errors import MissingDependency

try:
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as err:
    raise MissingDependency("the server needs FastAPI and uvicorn: pip install 'seal-agent[server]'") from err
