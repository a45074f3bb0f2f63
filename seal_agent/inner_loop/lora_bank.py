"""LoRA adapters as values, and the routing that lets each row of a batch use its own.

The weights live outside the model. A linear layer that has been made routable looks up the route of the
running thread; without one it is the plain frozen layer. Two threads therefore never see each other's adapter.

Dimensions: K adapters, B rows, T tokens, D inputs, O outputs, R rank.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seal_agent.errors import InputError

_attach_lock = threading.Lock()
_route: ContextVar[Route | None] = ContextVar("seal_agent_route", default=None)


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The two factors of one layer's update: y += scale · (x A) B."""

    a_DR: Tensor
    b_RO: Tensor


@dataclass(frozen=True, slots=True)
class LoraAdapter:
    """One adapter in float32 on the CPU: a pair per target module, by the module's full name."""

    rank: int
    alpha: float
    pairs: Mapping[str, LoraPair]
    transposed: bool = False  # the base stores its projections as inputs × outputs (GPT-2's Conv1D)

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    @property
    def parameters(self) -> int:
        return sum(pair.a_DR.numel() + pair.b_RO.numel() for pair in self.pairs.values())


@dataclass(frozen=True, slots=True)
class StackedPair:
    """The pairs of K adapters for one layer, zero-padded to the largest rank, scale folded into B."""

    a_KDR: Tensor
    b_KRO: Tensor


@dataclass(frozen=True, slots=True)
class Route:
    """Which adapter each row of a batch uses; row index K means none."""

    pairs: Mapping[str, StackedPair]
    rows_B: Tensor | None  # None: every row uses adapter 0
    dropout: float = 0.0
    generator: torch.Generator | None = None

    def of_rows(self, index: Tensor) -> Route:
        """The route of the rows that stay in the batch; nothing is stacked anew."""
        return self if self.rows_B is None else replace(self, rows_B=self.rows_B[index])

    def delta(self, name: str, x_BTD: Tensor) -> Tensor | None:
        """What the adapters add to a layer's output, in the dtype of its input; None if untouched."""
        pair = self.pairs.get(name)
        if pair is None:
            return None
        if self.dropout:
            keep = torch.rand(x_BTD.shape, generator=self.generator, device=x_BTD.device) >= self.dropout
            x_BTD = x_BTD * keep / (1 - self.dropout)
        a_KDR, b_KRO = pair.a_KDR.to(x_BTD.dtype), pair.b_KRO.to(x_BTD.dtype)
        if self.rows_B is None:
            return (x_BTD @ a_KDR[0]) @ b_KRO[0]
        return torch.bmm(torch.bmm(x_BTD, a_KDR[self.rows_B]), b_KRO[self.rows_B])


@contextmanager
def routed(route: Route | None) -> Iterator[None]:
    """Every routable layer that runs in this thread inside the block applies `route`."""
    token = _route.set(route)
    try:
        yield
    finally:
        _route.reset(token)


def make_routable(model: nn.Module, names: Sequence[str]) -> None:
    """Let these linear layers of `model` look up the thread's route. Safe to repeat."""
    with _attach_lock:
        for name in names:
            layer = model.get_submodule(name)
            if not getattr(layer, "_seal_routable", False):
                _wrap(layer, name)


def _wrap(layer: nn.Module, name: str) -> None:
    plain = layer.forward

    def forward(x: Tensor) -> Tensor:
        out: Tensor = plain(x)
        route = _route.get()
        delta = None if route is None else route.delta(name, x)
        return out if delta is None else out + delta

    layer.forward = forward
    layer._seal_routable = True  # type: ignore[assignment]


def route_of(
    model: nn.Module, adapters: Sequence[LoraAdapter | None], device: torch.device, dtype: torch.dtype
) -> Route | None:
    """The route of a batch whose row i uses adapters[i]; None where no row uses one.

    Where all rows share one adapter, the route fits a batch of any size. The layers are made routable.
    """
    distinct = list({id(adapter): adapter for adapter in adapters if adapter is not None}.values())
    if not distinct:
        return None
    make_routable(model, sorted({name for adapter in distinct for name in adapter.pairs}))
    pairs = stack(distinct, device, dtype)
    if len(distinct) == 1 and all(adapter is not None for adapter in adapters):
        return Route(pairs, None)
    slot = {id(adapter): k for k, adapter in enumerate(distinct)}
    indices = [slot.get(id(adapter), len(distinct)) for adapter in adapters]
    return Route(pairs, torch.tensor(indices, device=device))


# ---------------------------------------------------------------- targets and shapes


def linear_shape(layer: nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear projection, transformers' transposed Conv1D included; else None."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if type(layer).__name__ == "Conv1D":
        inputs, outputs = layer.get_parameter("weight").shape
        return int(inputs), int(outputs)
    return None


def find_targets(model: nn.Module, targets: Sequence[str]) -> tuple[str, ...]:
    """Full names of the linear layers that `targets` mean, in the model's order.

    "default" is PEFT's own choice for the architecture, "all" every linear layer but the output layer;
    anything else is the last part of a module name. Raises InputError for a name that matches nothing.
    """
    linear = [name for name, layer in model.named_modules() if linear_shape(layer) and not _is_output(model, layer)]
    wanted: set[str] = set()
    for target in targets:
        names = _default_targets(model) if target == "default" else (target,)
        found = [n for n in linear if target == "all" or n.rpartition(".")[2] in names]
        if target == "default" and not found:
            found = linear
        if not found:
            known = ", ".join(sorted({n.rpartition(".")[2] for n in linear}))
            raise InputError(f"targets names {target!r}, but this model's linear layers are {known} (or default, all)")
        wanted.update(found)
    return tuple(name for name in linear if name in wanted)


def _default_targets(model: nn.Module) -> tuple[str, ...]:
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as by_type

    return tuple(by_type.get(getattr(model.config, "model_type", ""), ()))


def _is_output(model: nn.Module, layer: nn.Module) -> bool:
    return layer is model.get_output_embeddings()  # type: ignore[operator]


# ---------------------------------------------------------------- making adapters


def new_adapter(model: nn.Module, targets: Sequence[str], rank: int, alpha: float, seed: int) -> LoraAdapter:
    """A fresh adapter that changes nothing yet: A uniform as PEFT draws it, B zero.

    PEFT fills A by kaiming_uniform with a = √5, which is uniform on ±1/√D.
    """
    generator = torch.Generator().manual_seed(seed)
    pairs = {}
    for name in targets:
        shape = linear_shape(model.get_submodule(name))
        assert shape is not None, name
        inputs, outputs = shape
        a_DR = (torch.rand(inputs, rank, generator=generator) * 2 - 1) / math.sqrt(inputs)
        pairs[name] = LoraPair(a_DR, torch.zeros(rank, outputs))
    return LoraAdapter(rank, alpha, pairs, _stores_transposed(model, targets))


def _stores_transposed(model: nn.Module, targets: Sequence[str]) -> bool:
    return any(not isinstance(model.get_submodule(name), nn.Linear) for name in targets)


def stack(adapters: Sequence[LoraAdapter], device: torch.device, dtype: torch.dtype) -> dict[str, StackedPair]:
    """K adapters as one stack per layer, plus a zero adapter at index K for rows that use none."""
    names = sorted({name for adapter in adapters for name in adapter.pairs})
    rank = max(adapter.rank for adapter in adapters)
    return {name: _stack_layer(name, adapters, rank, device, dtype) for name in names}


def _stack_layer(
    name: str, adapters: Sequence[LoraAdapter], rank: int, device: torch.device, dtype: torch.dtype
) -> StackedPair:
    some = next(a.pairs[name] for a in adapters if name in a.pairs)
    a_KDR = torch.zeros(len(adapters) + 1, some.a_DR.shape[0], rank)
    b_KRO = torch.zeros(len(adapters) + 1, rank, some.b_RO.shape[1])
    for k, adapter in enumerate(adapters):
        if pair := adapter.pairs.get(name):
            a_KDR[k, :, : adapter.rank] = pair.a_DR
            b_KRO[k, : adapter.rank] = pair.b_RO * adapter.scale
    return StackedPair(a_KDR.to(device, dtype), b_KRO.to(device, dtype))
