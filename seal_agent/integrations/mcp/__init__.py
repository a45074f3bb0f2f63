"""A server for the Model Context Protocol: `seal mcp`. The SDK stays in this room."""

from __future__ import annotations

from seal_agent.errors import MissingDependency

try:
    import mcp  # noqa: F401
except ImportError as err:
    raise MissingDependency("the MCP server needs the SDK: pip install 'seal-agent[mcp]'") from err
