"""Puts what a model sees of a picture where it looks the picture's token ids up, and finds the layers it sees with."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from seal_agent.base_model.sight import FIRST_ID, STRIDE, SeenPicture, Sight, sight_of
from seal_agent.images.pictures import as_picture
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import current_route, routed
from seal_agent.lora.serving import serving_route
from seal_agent.lora.text_layers import linear_shape
from seal_agent.types import Picture

MAX_FEATURE_BYTES = 256 << 20  # of pictures and their features that are kept for the next prompt with them


def let_see(module: nn.Module) -> None:
    """Make the model's embedding layer look the ids of pictures up. Safe to repeat."""
    sight = sight_of(module)
    layer = module.get_input_embeddings()  # type: ignore[operator]
    if sight is not None and not getattr(layer, "_seal_sees", False):
        layer.forward = partial(_embed, _Features(sight), layer.forward)
        layer._seal_sees = True


def _embed(features: _Features, plain: Callable[[Tensor], Tensor], ids: Tensor) -> Tensor:
    if ids.is_cuda and torch.cuda.is_current_stream_capturing():  # a graph decodes tokens, which are no pictures
        return plain(ids)
    marks = ids >= FIRST_ID
    if not marks.any():
        return plain(ids)
    embedded = plain(ids.masked_fill(marks, 0))
    return embedded.masked_scatter(marks[..., None], features.of(ids[marks]).to(embedded))


class _Features:
    """The features of pictures, computed on first use, each picture by itself."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Features:
        return self

    def of(self, ids_N: Tensor) -> Tensor:
        """The features of these ids, N×D."""
        numbers_N = (ids_N - FIRST_ID) // STRIDE
        numbers, counts = torch.unique_consecutive(numbers_N, return_counts=True)
        parts = torch.split(ids_N, counts.tolist())
        rows = [
            self._all_of(self._sight.by_number(number))[(part - FIRST_ID) % STRIDE]
            for number, part in zip(numbers.tolist(), parts, strict=True)
        ]
        return torch.cat(rows)

    def _all_of(self, seen: SeenPicture) -> Tensor:
        if trains_eyes(self._sight.module):
            return features_of(self._sight, seen)
        features = seen.features_ND
        if features is None:
            adapter = seen.adapter() if seen.adapter else None
            assert adapter is not None or seen.adapter is None, "who asks holds the adapter"
            # Not in inference mode: what is kept may be read in training.
            with torch.inference_mode(False), torch.no_grad(), _through(self._sight.module, adapter):
                features = seen.features_ND = features_of(self._sight, seen)
        self._keep(seen)
        return features

    def _keep(self, seen: SeenPicture) -> None:
        """Keep the features of the latest pictures; those of others are computed again where they are needed."""
        with self._lock:
            kept = self._sight.looked_at
            kept[seen.number] = seen
            kept.move_to_end(seen.number)
            while len(kept) > 1 and sum(map(_bytes, kept.values())) > MAX_FEATURE_BYTES:
                _, dropped = kept.popitem(last=False)
                dropped.features_ND = None


def _bytes(seen: SeenPicture) -> int:
    tensors = [*seen.prepared.inputs.values(), seen.features_ND]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if isinstance(tensor, Tensor))


def trains_eyes(module: nn.Module) -> bool:
    """Whether the route of this thread trains a layer that pictures run through."""
    trained = getattr(getattr(current_route(), "bank", None), "names", ())
    return any(name in vision_names(module) for name in trained)


def _through(module: nn.Module, adapter: LoraAdapter | None) -> AbstractContextManager[None]:
    parameter = next(module.parameters())
    return routed(serving_route(module, [adapter], parameter.device, parameter.dtype) if adapter else None)


def features_of(sight: Sight, seen: SeenPicture) -> Tensor:
    """What the model's vision tower and projector make of a picture, N×D, under the route of the thread."""
    module = sight.module
    inner: Any = getattr(module, "model", module)
    wanted = inspect.signature(inner.get_image_features).parameters
    parameter = next(module.parameters())
    given = {
        name: value.to(parameter.device, parameter.dtype if value.is_floating_point() else value.dtype)
        for name, value in seen.prepared.inputs.items()
        if name in wanted and isinstance(value, Tensor)
    }
    found = inner.get_image_features(**given, return_dict=True).pooler_output
    parts = [found] if isinstance(found, Tensor) else list(found)
    return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])


def adapter_for_eyes(module: nn.Module, adapter: LoraAdapter | None) -> LoraAdapter | None:
    """The adapter if it changes what the model sees, else None."""
    if adapter is None or sight_of(module) is None:
        return None
    return adapter if any(name in vision_names(module) for name in adapter.pairs) else None


def vision_names(module: nn.Module) -> frozenset[str]:
    """The linear layers that a picture runs through, by name; found once per model, none where it does not see."""
    known: frozenset[str] | None = getattr(module, "_seal_vision_names", None)
    if known is None:
        sight = sight_of(module)
        if sight is None:
            return frozenset()
        known = frozenset(_run(sight))
        module._seal_vision_names = known  # type: ignore[assignment]
    return known


def vision_layers(module: nn.Module) -> tuple[str, ...]:
    """The linear layers that a picture runs through, in the model's order."""
    return tuple(name for name, _ in module.named_modules() if name in vision_names(module))


def _run(sight: Sight) -> set[str]:
    """The layers that project when the model looks at a grey picture."""
    module, thread, found = sight.module, threading.get_ident(), set[str]()

    def after(name: str) -> Callable[..., None]:
        def record(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            shape = linear_shape(layer)
            if threading.get_ident() != thread or shape is None or len(inputs) != 1:
                return
            if isinstance(output, Tensor) and output.shape == (*inputs[0].shape[:-1], shape[1]):
                found.add(name)

        return record

    linear = [(name, layer) for name, layer in module.named_modules() if linear_shape(layer)]
    handles = [layer.register_forward_hook(after(name)) for name, layer in linear]
    try:
        with torch.no_grad(), routed(None):
            features_of(sight, sight.see(grey_picture()))
    finally:
        for handle in handles:
            handle.remove()
    return found


@cache
def grey_picture() -> Picture:
    """A picture of nothing."""
    from PIL import Image

    return as_picture(Image.new("RGB", (64, 64), (128, 128, 128)))
