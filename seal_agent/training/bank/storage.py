"""Storage for K adapters that train side by side over one frozen base, in one forward and backward pass.

Each slot of the bank is one flat vector of float32 weights with its own gradient and optimiser. A slot's step is thus a
few operations on one contiguous vector, and no slot touches another. Adapters of lower rank than the bank's are padded
with zero columns, whose gradients are exactly zero, so they stay zero. The backward pass writes gradients straight into
the slots: autograd sees only the activations.

Dimensions: K slots, D inputs, O outputs, R rank, P parameters of a slot, S spans of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.text_layers import linear_shape
from seal_agent.training.loss_scale import loss_scale


@dataclass(frozen=True, slots=True)
class _Location:
    """Where a layer's two factors are stored in a slot's flat vector."""

    start: int
    inputs: int
    outputs: int


class LoraBank:
    """K adapters of one base: float32 weights, gradients, and a copy of the weights in compute precision.

    An adapter of P parameters takes 8·P bytes in float32 compute, 8·P in bf16 (4 weights, 2 gradients, 2 copy). The
    optimiser adds 8·P. All slots share one float32 vector of P for the current step.
    """

    def __init__(
        self, model: nn.Module, targets: Sequence[str], slots: int, rank: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.slots, self.rank = slots, rank
        self._locations: dict[str, _Location] = {}
        size = 0
        for name in sorted(targets):  # by name, so that no order changes a sum's bits
            shape = linear_shape(model.get_submodule(name))
            assert shape is not None, name
            self._locations[name] = _Location(size, *shape)
            size += rank * sum(shape)
        self.weights_KP = torch.zeros(slots, size, device=device)
        is_float32 = dtype == torch.float32
        self._compute_KP = self.weights_KP if is_float32 else torch.zeros(slots, size, device=device, dtype=dtype)
        self._grads_KP = torch.zeros(slots, size, device=device, dtype=dtype)
        self._step_grad_P = None if is_float32 else torch.zeros(size, device=device)
        self._loss_scale = loss_scale(dtype)
        self._loaded: list[LoraAdapter | None] = [None] * slots
        self.scales = [1.0] * slots
        self.dropouts = [0.0] * slots

    @property
    def names(self) -> frozenset[str]:
        """The layers that are trained."""
        return frozenset(self._locations)

    @property
    def parameters(self) -> int:
        """P: weights of one slot, padding columns included."""
        return self.weights_KP.shape[1]

    @property
    def compute_dtype(self) -> torch.dtype:
        """Precision of the matrix products."""
        return self._compute_KP.dtype

    def load(self, slot: int, adapter: LoraAdapter, dropout: float = 0.0) -> None:
        """Copy an adapter into a slot, replacing its content."""
        weights_P = self.weights_KP[slot].zero_()
        for name, pair in adapter.pairs.items():
            a_DR, b_RO = self._views(weights_P, name)
            a_DR[:, : adapter.rank] = pair.a_DR
            b_RO[: adapter.rank] = pair.b_RO
        self._loaded[slot] = without_weights(adapter)
        self.scales[slot], self.dropouts[slot] = adapter.scale, dropout
        self.refresh(slot)

    def export(self, slot: int) -> LoraAdapter:
        """A copy of the slot's adapter, with the layers, rank and scale of the adapter that was loaded."""
        loaded = self._loaded[slot]
        assert loaded is not None, f"slot {slot} is empty"
        pairs = {}
        for name in loaded.pairs:
            a_DR, b_RO = self._views(self.weights_KP[slot], name)
            pairs[name] = LoraPair(
                a_DR[:, : loaded.rank].cpu().clone(memory_format=torch.contiguous_format),
                b_RO[: loaded.rank].cpu().clone(memory_format=torch.contiguous_format),
            )
        return LoraAdapter(loaded.rank, loaded.alpha, pairs, loaded.transposed)

    def factors(self, slot: int, name: str) -> tuple[Tensor, Tensor]:
        """A (D×R) and B (R×O) of a layer in a slot, in float32; views of the slot, so `refresh` it after writing."""
        return self._views(self.weights_KP[slot], name)

    def begin_step(self, slot: int) -> None:
        """Zero the slot's gradient."""
        self._grads_KP[slot].zero_()

    def gradient(self, slot: int) -> Tensor:
        """The slot's gradient in float32, P; valid until the next call."""
        if self._step_grad_P is None:
            return self._grads_KP[slot]
        self._step_grad_P.copy_(self._grads_KP[slot])
        return self._step_grad_P if self._loss_scale == 1 else self._step_grad_P.div_(self._loss_scale)

    def refresh(self, slot: int) -> None:
        """Update the slot's copy in compute precision, after its weights changed."""
        if self._compute_KP is not self.weights_KP:
            self._compute_KP[slot].copy_(self.weights_KP[slot])

    def __contains__(self, name: str) -> bool:
        return name in self._locations

    def outputs(self, name: str) -> int:
        """O of a layer."""
        return self._locations[name].outputs

    def gather_factors(self, name: str, slots_S: Tensor) -> tuple[Tensor, Tensor]:
        """A (S×D×R) and B (S×R×O) of a layer in these slots, in compute precision."""
        a_KDR, b_KRO = self._views(self._compute_KP, name)
        return a_KDR.index_select(0, slots_S), b_KRO.index_select(0, slots_S)

    def add_gradients(self, name: str, slots_S: Tensor, a_SDR: Tensor, b_SRO: Tensor) -> None:
        """Add to the gradients of A and B in these slots; they are those of a loss times `loss_scale`."""
        for grads, added in zip(self._views(self._grads_KP, name), (a_SDR, b_SRO), strict=True):
            grads.index_add_(0, slots_S, added)

    def _views(self, flat: Tensor, name: str) -> tuple[Tensor, Tensor]:
        """A and B of a layer, as views of one slot's vector or of all slots' vectors."""
        location = self._locations[name]
        middle = location.start + location.inputs * self.rank
        stop = middle + location.outputs * self.rank
        leading = flat.shape[:-1]
        a = flat[..., location.start : middle].view(*leading, -1, self.rank)
        return a, flat[..., middle:stop].view(*leading, self.rank, -1)


def without_weights(adapter: LoraAdapter) -> LoraAdapter:
    """The adapter with empty weights."""
    empty = LoraPair(torch.empty(0), torch.empty(0))
    return LoraAdapter(adapter.rank, adapter.alpha, dict.fromkeys(adapter.pairs, empty), adapter.transposed)


def bytes_per_slot(parameters: int, dtype: torch.dtype) -> int:
    """Bytes of weights, gradients, the copy in compute precision, and AdamW's two moments."""
    compute = 4 if dtype == torch.float32 else 2 * dtype.itemsize
    return parameters * (4 + compute + 8)


def parameters_of(model: nn.Module, targets: Sequence[str], rank: int) -> int:
    """Number of weights of one adapter of this rank on these layers."""
    shapes = (linear_shape(model.get_submodule(name)) for name in targets)
    return rank * sum(sum(shape) for shape in shapes if shape)
