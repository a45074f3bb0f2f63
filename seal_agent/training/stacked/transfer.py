"""Copies the tensors of a pass to the device in one transfer, from memory that the device reads by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

_ALIGNMENT = 64  # bytes


@dataclass(frozen=True, slots=True)
class Bundle:
    """Tensors side by side in one buffer of bytes."""

    buffer: Tensor
    tensors: tuple[Tensor, ...]
    """Views of the buffer."""


def bundle_of(tensors: Sequence[Tensor], pinned: bool) -> Bundle:
    """Copy tensors of the processor into one buffer; `pinned` memory is read by the device while the host goes on."""
    buffer = torch.empty(_ends(tensors)[-1], dtype=torch.uint8, pin_memory=pinned)
    views = _views(buffer, tensors)
    for view, tensor in zip(views, tensors, strict=True):
        view.copy_(tensor)
    return Bundle(buffer, views)


def to_device(bundle: Bundle, device: torch.device, into: Tensor | None = None) -> Bundle:
    """The same tensors on the device, in one transfer; into a buffer that is there already, if one is given."""
    if into is None:
        into = torch.empty(len(bundle.buffer), dtype=torch.uint8, device=device)
    into.copy_(bundle.buffer, non_blocking=True)
    return Bundle(into, _views(into, bundle.tensors))


def _ends(tensors: Sequence[Tensor]) -> list[int]:
    return list(accumulate(-(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT for tensor in tensors))


def _views(buffer: Tensor, like: Sequence[Tensor]) -> tuple[Tensor, ...]:
    starts = [0, *_ends(like)[:-1]]
    return tuple(
        buffer[start : start + tensor.nbytes].view(tensor.dtype).view(tensor.shape)
        for start, tensor in zip(starts, like, strict=True)
    )
