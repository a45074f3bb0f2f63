"""Routes a layer's calls through adapters. Each thread has its own route; without one, the model is the plain base.

Adapter weights live outside the model. A routable linear layer looks up the route of the running thread, so two threads
never see each other's adapters.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Protocol

from torch import Tensor, nn

_attach_lock = threading.Lock()


class Route(Protocol):
    """Replaces the forward of routable layers while it is active."""

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """The layer's output with adapters; `plain` is the frozen layer's own forward, `name` its full name."""
        ...


_route: ContextVar[Route | None] = ContextVar("seal_agent_route", default=None)


def current_route() -> Route | None:
    """The route of the running thread."""
    return _route.get()


@contextmanager
def routed(route: Route | None) -> Iterator[None]:
    """Within the block, routable layers that run in this thread follow `route`."""
    token = _route.set(route)
    try:
        yield
    finally:
        _route.reset(token)


def make_routable(model: nn.Module, names: Sequence[str]) -> None:
    """Make these linear layers of `model` look up the thread's route. Safe to repeat."""
    with _attach_lock:
        for name in names:
            layer = model.get_submodule(name)
            if not getattr(layer, "_seal_routable", False):
                _wrap(layer, name)


def _wrap(layer: nn.Module, name: str) -> None:
    # A partial, unlike a closure, is copied with the layer: a deep copy of the model runs on its own layers.
    layer.forward = partial(_routed_forward, name, layer, layer.forward)
    layer._seal_routable = True  # type: ignore[assignment]


def _routed_forward(name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    route = _route.get()
    out: Tensor = plain(x) if route is None else route.forward(name, layer, plain, x)
    return out
