"""Gradient checkpointing for decoder layers, switched on by the thread's route rather than by the model's state."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from seal_agent.lora.routing import current_route, routed
from seal_agent.training.bank.route import BankRoute


def make_checkpointable(model: nn.Module) -> int:
    """Prepare the decoder layers. Returns how many there are. Safe to repeat."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [layer for layer in model.modules() if isinstance(layer, GradientCheckpointingLayer)]
    for layer in layers:
        if not getattr(layer, "_seal_checkpointable", False):
            _wrap(layer)
    return len(layers)


def _wrap(layer: nn.Module) -> None:
    # A partial, unlike a closure, is copied with the layer: a deep copy of the model runs on its own layers.
    layer.forward = partial(_checkpointed_forward, layer.forward)
    layer._seal_checkpointable = True  # type: ignore[assignment]


def _checkpointed_forward(plain: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    route = current_route()
    if not (isinstance(route, BankRoute) and route.checkpointing and torch.is_grad_enabled()):
        return plain(*inputs, **options)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        # The layer is recomputed after the pass has left its route, on a GPU even in another thread.
        return nullcontext(), routed(route)

    return checkpoint(plain, *inputs, use_reentrant=False, context_fn=contexts, preserve_rng_state=False, **options)
