"""Which linear layers a text runs through, found by running a short one.

A model may hold layers that text never reaches, such as a vision tower, and linear layers that are no plain projection,
such as a router that returns a tuple. Neither can be adapted. Where the rows of a layer's input are not the tokens of
the batch in order, such as in an expert that sees only the tokens routed to it, all rows must belong to one adapter. So
must those of a layer in the output head, which training computes for the labelled tokens alone.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from seal_agent.errors import ModelError
from seal_agent.lora.routing import routed

_ROWS, _TOKENS = 2, 13  # of the text that is run; coprime, so that a transposed input shows


@dataclass(frozen=True, slots=True)
class TextLayers:
    """Linear layers by full name, in the model's order."""

    names: tuple[str, ...]
    """Those that text runs through and that return their projection."""
    by_token: frozenset[str]
    """Those whose input has a row for each token of the batch, in order."""
    in_head: frozenset[str] = frozenset()
    """Those between the inner model and the output layer: no new adapter changes them, since the protection of what
    reference text reads ends at the inner model."""


def linear_shape(layer: nn.Module) -> tuple[int, int] | None:
    """(inputs, outputs) of a linear projection, transformers' transposed Conv1D included; else None."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    if type(layer).__name__ == "Conv1D":
        inputs, outputs = layer.get_parameter("weight").shape
        return int(inputs), int(outputs)
    return None


def text_layers(model: nn.Module) -> TextLayers:
    """The linear layers that text runs through; found once per model. Raises ModelError if it cannot run on text."""
    cached: TextLayers | None = getattr(model, "_seal_text_layers", None)
    if cached is None:
        cached = _find(model)
        model._seal_text_layers = cached  # type: ignore[assignment]
    return cached


def inner_model(model: nn.Module) -> nn.Module:
    """The model without its output head; the model itself if it does not say which part that is."""
    from transformers import PreTrainedModel

    inner: nn.Module = model.base_model  # type: ignore[assignment]
    if inner is not model:
        return inner
    parts = [child for child in model.children() if isinstance(child, PreTrainedModel)]
    return parts[0] if len(parts) == 1 else model


def plain_token_ids(model: nn.Module, count: int, seed: int = 0) -> list[int]:
    """Random token ids that stand for text, not for an image or the like."""
    config: Any = model.config
    texts = config.get_text_config()
    settings = [item for part in (config, texts) for item in vars(part).items()]
    marks = {value for name, value in settings if "token" in name and isinstance(value, int)}
    vocabulary = int(texts.vocab_size)
    draws = torch.randint(vocabulary, (4 * count + 64,), generator=torch.Generator().manual_seed(seed)).tolist()
    return ([i for i in draws if i not in marks] or [0])[:count]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call of a layer."""

    projects: bool
    by_token: bool


def _find(model: nn.Module) -> TextLayers:
    linear = {name: layer for name, layer in model.named_modules() if linear_shape(layer)}
    members = {
        f"{name}.{index}": name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.ModuleList)
        for index in range(len(layer))
    }
    ran, calls = _run(model, linear, members)
    names = []
    for name in linear:
        like = name if name in calls else _sibling_that_ran(model, name, members, ran, calls)
        if like is not None and all(call.projects for call in calls[like]):
            names.append(name)
    inner = {*inner_model(model).modules(), model.get_output_embeddings()}  # type: ignore[operator]
    in_head = frozenset(name for name in names if linear[name] not in inner)
    by_token = {name for name in names if name in calls and all(call.by_token for call in calls[name])}
    return TextLayers(tuple(names), frozenset(by_token - in_head), in_head)


def _sibling_that_ran(
    model: nn.Module, name: str, members: dict[str, str], ran: set[str], calls: dict[str, list[_Call]]
) -> str | None:
    """For a layer of an expert that no token was routed to: the same layer of an expert that ran."""
    for member, container in members.items():
        if name.startswith(member + ".") and member not in ran:
            kind = type(model.get_submodule(member))
            for other, other_container in members.items():
                twin = other + name.removeprefix(member)
                if other_container == container and twin in calls and type(model.get_submodule(other)) is kind:
                    return twin
    return None


@torch.no_grad()
def _run(
    model: nn.Module, linear: dict[str, nn.Module], members: dict[str, str]
) -> tuple[set[str], dict[str, list[_Call]]]:
    """Run a text, twice in a batch. Returns the list members that ran and the calls of each linear layer."""
    device = next(model.parameters()).device
    ids = torch.tensor([plain_token_ids(model, _TOKENS)] * _ROWS, device=device)
    ran: set[str] = set()
    calls: dict[str, list[_Call]] = {}
    thread = threading.get_ident()

    def after(name: str) -> Any:
        def record(layer: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
            if threading.get_ident() != thread:  # another thread may be using the model
                return
            if name in members:
                ran.add(name)
            if name in linear:
                calls.setdefault(name, []).append(_describe(layer, inputs, options, output))

        return record

    with routed(None), _hooks(model, {**dict.fromkeys(members), **linear}, after):
        try:
            model(input_ids=ids, use_cache=False)
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AttributeError, AssertionError) as err:
            first = (str(err).splitlines() or [type(err).__name__])[0]
            raise ModelError(
                f"{type(model).__name__} does not run on text alone ({first}); load a causal language model"
            ) from err
    return ran, calls


@contextmanager
def _hooks(model: nn.Module, names: dict[str, Any], after: Any) -> Iterator[None]:
    handles = [
        model.get_submodule(name).register_forward_hook(after(name), with_kwargs=True) for name in dict.fromkeys(names)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _describe(layer: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> _Call:
    shape = linear_shape(layer)
    assert shape is not None
    if len(inputs) != 1 or options or not isinstance(inputs[0], Tensor) or not isinstance(output, Tensor):
        return _Call(projects=False, by_token=False)
    x = inputs[0]
    projects = x.shape[-1] == shape[0] and output.shape == (*x.shape[:-1], shape[1])
    rows = _ROWS * _TOKENS
    by_token = projects and x.shape[0] in (_ROWS, rows) and math.prod(x.shape[:-1]) == rows
    if by_token:  # both texts are the same, so the second half of the rows repeats the first
        first, second = x.reshape(_ROWS, _TOKENS, -1).float()
        by_token = bool((first - second).norm() <= 0.1 * first.norm())
    return _Call(bool(projects), by_token)
