"""K adapters in one module: trained side by side over one frozen base, in one forward and backward pass.

Each slot of the bank is one flat vector of float32 weights with its own gradient and optimiser, so that a slot's step
is a few operations on one contiguous vector and no slot touches another. A rank below the bank's is padded with zero
columns, whose gradients are exactly zero; they stay zero. The gradients are written by the backward pass straight into
the slot: autograd sees the activations only.

Dimensions: K slots, N tokens of a pass, D inputs, O outputs, R rank, P parameters of a slot; S spans of a group, L
tokens of the longest of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.targets import linear_shape

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a layer's two factors lie in a slot's flat vector."""

    start: int
    inputs: int
    outputs: int


class LoraBank:
    """Storage for K adapters of one base: float32 weights, gradients and a copy of the weights in compute precision.

    Per adapter of P parameters it holds 8·P bytes in float32 compute, 8·P in bf16 (4 weights, 2 gradients, 2 copy);
    the optimiser adds 8·P. One float32 vector of P for the running step is shared by all slots.
    """

    def __init__(
        self, model: nn.Module, targets: Sequence[str], slots: int, rank: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.slots, self.rank = slots, rank
        self._places: dict[str, _Place] = {}
        size = 0
        for name in sorted(targets):  # by name, so that no order changes a sum's bits
            shape = linear_shape(model.get_submodule(name))
            assert shape is not None, name
            self._places[name] = _Place(size, *shape)
            size += rank * sum(shape)
        self.weights_KP = torch.zeros(slots, size, device=device)
        exact = dtype == torch.float32
        self._compute_KP = self.weights_KP if exact else torch.zeros(slots, size, device=device, dtype=dtype)
        self._grads_KP = torch.zeros(slots, size, device=device, dtype=dtype)
        self._step_grad_P = None if exact else torch.zeros(size, device=device)
        self._loaded: list[LoraAdapter | None] = [None] * slots
        self.scales = [1.0] * slots
        self.dropouts = [0.0] * slots

    @property
    def parameters(self) -> int:
        """P: float32 weights of one slot, padding columns included."""
        return self.weights_KP.shape[1]

    @property
    def compute_dtype(self) -> torch.dtype:
        """Precision of the products."""
        return self._compute_KP.dtype

    def load(self, slot: int, adapter: LoraAdapter, dropout: float = 0.0) -> None:
        """Copy an adapter into a slot, over whatever was there."""
        weights_P = self.weights_KP[slot].zero_()
        for name, pair in adapter.pairs.items():
            a_DR, b_RO = self._views(weights_P, name)
            a_DR[:, : adapter.rank] = pair.a_DR
            b_RO[: adapter.rank] = pair.b_RO
        self._loaded[slot] = _form_of(adapter)
        self.scales[slot], self.dropouts[slot] = adapter.scale, dropout
        self.refresh(slot)

    def export(self, slot: int) -> LoraAdapter:
        """The slot's adapter as a value of its own, with the layers, rank and scale of the one loaded into it."""
        form = self._loaded[slot]
        assert form is not None, f"slot {slot} is empty"
        pairs = {}
        for name in form.pairs:
            a_DR, b_RO = self._views(self.weights_KP[slot], name)
            pairs[name] = LoraPair(
                a_DR[:, : form.rank].cpu().clone(memory_format=torch.contiguous_format),
                b_RO[: form.rank].cpu().clone(memory_format=torch.contiguous_format),
            )
        return LoraAdapter(form.rank, form.alpha, pairs, form.transposed)

    def factors(self, slot: int, name: str) -> tuple[Tensor, Tensor]:
        """A (D×R) and B (R×O) of a layer in a slot, in float32; writing to them changes the slot: `refresh` it then."""
        return self._views(self.weights_KP[slot], name)

    def begin_step(self, slot: int) -> None:
        """Forget the slot's gradient."""
        self._grads_KP[slot].zero_()

    def gradient(self, slot: int) -> Tensor:
        """The slot's gradient in float32, P; valid until the next call."""
        if self._step_grad_P is None:
            return self._grads_KP[slot]
        return self._step_grad_P.copy_(self._grads_KP[slot])

    def refresh(self, slot: int) -> None:
        """Carry the slot's weights over to compute precision, after they changed."""
        if self._compute_KP is not self.weights_KP:
            self._compute_KP[slot].copy_(self.weights_KP[slot])

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def outputs(self, name: str) -> int:
        """O of a layer."""
        return self._places[name].outputs

    def compute(self, name: str, slots_S: Tensor) -> tuple[Tensor, Tensor]:
        """A (S×D×R) and B (S×R×O) of a layer in these slots, in compute precision."""
        a_KDR, b_KRO = self._views(self._compute_KP, name)
        return a_KDR.index_select(0, slots_S), b_KRO.index_select(0, slots_S)

    def add_gradients(self, name: str, slots_S: Tensor, a_SDR: Tensor, b_SRO: Tensor) -> None:
        """Add to the gradients of A and B in these slots."""
        for grads, new in zip(self._views(self._grads_KP, name), (a_SDR, b_SRO), strict=True):
            grads.index_add_(0, slots_S, new)

    def _views(self, flat: Tensor, name: str) -> tuple[Tensor, Tensor]:
        """A and B of a layer within one slot's vector, or within all of them."""
        place = self._places[name]
        middle = place.start + place.inputs * self.rank
        stop = middle + place.outputs * self.rank
        outer = flat.shape[:-1]
        a = flat[..., place.start : middle].view(*outer, -1, self.rank)
        return a, flat[..., middle:stop].view(*outer, self.rank, -1)


def _form_of(adapter: LoraAdapter) -> LoraAdapter:
    """The adapter without its weights."""
    nothing = LoraPair(torch.empty(0), torch.empty(0))
    return LoraAdapter(adapter.rank, adapter.alpha, dict.fromkeys(adapter.pairs, nothing), adapter.transposed)


def bytes_per_slot(parameters: int, dtype: torch.dtype) -> int:
    """Weights, gradients, their copy in compute precision, and AdamW's two moments."""
    compute = 4 if dtype == torch.float32 else 2 * dtype.itemsize
    return parameters * (4 + compute + 8)


def parameters_of(model: nn.Module, targets: Sequence[str], rank: int) -> int:
    """Float32 weights of one adapter of this rank on these layers."""
    shapes: Mapping[str, tuple[int, int] | None] = {n: linear_shape(model.get_submodule(n)) for n in targets}
    return rank * sum(sum(shape) for shape in shapes.values() if shape)
