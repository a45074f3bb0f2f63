"""LangChain integration: the chat model, tools that adapt it, and middleware that adapts it automatically.

from seal_agent.integrations.langchain import ChatSeal, create_adaptation_tools
from seal_agent.integrations.langchain import AdaptationMiddleware, TrajectoryMiddleware
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seal_agent.errors import MissingDependency

try:
    import langchain_core  # noqa: F401
except ImportError as err:
    raise MissingDependency("this needs langchain-core: pip install 'seal-agent[langchain]'") from err

if TYPE_CHECKING:
    from seal_agent.integrations.langchain.agent.middleware import AdaptationMiddleware as AdaptationMiddleware
    from seal_agent.integrations.langchain.agent.tools import create_adaptation_tools as create_adaptation_tools
    from seal_agent.integrations.langchain.agent.trajectories import TrajectoryMiddleware as TrajectoryMiddleware
    from seal_agent.integrations.langchain.chat.model import ChatSeal as ChatSeal

_MODULES = {
    "AdaptationMiddleware": "agent.middleware",
    "ChatSeal": "chat.model",
    "TrajectoryMiddleware": "agent.trajectories",
    "create_adaptation_tools": "agent.tools",
}
__all__ = ["AdaptationMiddleware", "ChatSeal", "TrajectoryMiddleware", "create_adaptation_tools"]


def __getattr__(name: str) -> Any:
    """Import on first use: the middleware needs langchain, the rest only langchain-core."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
