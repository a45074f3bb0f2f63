"""K adapters in one module: trained side by side over one frozen base, in one forward and backward pass.

Each slot of the bank is one flat vector of float32 weights with its own gradient and optimiser, so that a slot's step
is a few operations on one contiguous vector and no slot touches another. A rank below the bank's is padded with zero
columns, whose gradients are exactly zero; they stay zero. The gradients are written by the backward pass straight into
the slot: autograd sees the activations only.

Dimensions: K slots, N tokens of a pass, D inputs, O outputs, R rank, P parameters of a slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seal_agent.inner_loop.lora import LoraAdapter, LoraPair, linear_shape

if TYPE_CHECKING:
    from seal_agent.inner_loop.segments import Segments


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens [start, stop) of a pass belong to one slot."""

    slot: int
    start: int
    stop: int
    dropout_seed: int = 0


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
        # Every pass asks for every view many times: they are made once.
        self._compute = [{name: self._views(row_P, name) for name in self._places} for row_P in self._compute_KP]
        self._grads = [{name: self._views(row_P, name) for name in self._places} for row_P in self._grads_KP]

    @property
    def parameters(self) -> int:
        """P: float32 weights of one slot, padding columns included."""
        return self.weights_KP.shape[1]

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

    def compute(self, slot: int, name: str) -> tuple[Tensor, Tensor]:
        """A (D×R) and B (R×O) of a slot's layer, in compute precision."""
        return self._compute[slot][name]

    def gradients(self, slot: int, name: str) -> tuple[Tensor, Tensor]:
        """Where the gradients of A (D×R) and B (R×O) are summed."""
        return self._grads[slot][name]

    def _views(self, flat_P: Tensor, name: str) -> tuple[Tensor, Tensor]:
        place = self._places[name]
        middle = place.start + place.inputs * self.rank
        stop = middle + place.outputs * self.rank
        return flat_P[place.start : middle].view(-1, self.rank), flat_P[middle:stop].view(self.rank, -1)


def _form_of(adapter: LoraAdapter) -> LoraAdapter:
    """The adapter without its weights."""
    nothing = LoraPair(torch.empty(0), torch.empty(0))
    return LoraAdapter(adapter.rank, adapter.alpha, dict.fromkeys(adapter.pairs, nothing), adapter.transposed)


def bytes_per_slot(parameters: int, dtype: torch.dtype) -> int:
    """Weights, gradients, their copy in compute precision, and AdamW's two moments."""
    compute = 4 if dtype == torch.float32 else 2 * dtype.itemsize
    return parameters * (4 + compute + 8)


class BankRoute:
    """The route of one pass: every span of tokens goes through its own slot. Implements Route.

    `segments` are the sequences packed into one row, None where each has a row of its own.
    """

    def __init__(
        self,
        bank: LoraBank,
        spans: Sequence[Span],
        segments: Segments | None = None,
        checkpointing: bool = False,
    ) -> None:
        self.bank = bank
        self.spans = tuple(spans)
        self.segments = segments
        self.checkpointing = checkpointing
        self._anchor = torch.zeros((), requires_grad=True)  # makes the first layer's output require a gradient

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if name not in self.bank:
            return plain(x)
        out: Tensor
        if type(layer) is nn.Linear:
            out = _BankLinear.apply(x, self._anchor, layer.weight, layer.bias, self, name)  # type: ignore[no-untyped-call]
        elif type(layer).__name__ == "Conv1D":
            out = _BankLinear.apply(x, self._anchor, layer.weight.T, layer.bias, self, name)  # type: ignore[no-untyped-call]
        else:  # a layer with a forward of its own, a quantised one say: only the update is ours
            out = plain(x) + _BankLinear.apply(x, self._anchor, None, None, self, name)  # type: ignore[no-untyped-call]
        return out


class _BankLinear(torch.autograd.Function):
    """y = x Wᵀ + b + scale · (x A) B with W frozen. Kept for the backward pass: x, and the N×R inner product."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        anchor: Tensor,
        weight_OD: Tensor | None,
        bias_O: Tensor | None,
        route: BankRoute,
        name: str,
    ) -> Tensor:
        bank, x_ND = route.bank, x.reshape(-1, x.shape[-1])
        keep_ND = _keep(route, name, x_ND)
        seen_ND = x_ND if keep_ND is None else x_ND * keep_ND
        outputs = bank.compute(0, name)[1].shape[1]
        if weight_OD is None:
            out_NO = x_ND.new_zeros(x_ND.shape[0], outputs)
        else:
            out_NO = nn.functional.linear(x_ND, weight_OD, bias_O)
        low_NR = x_ND.new_empty(x_ND.shape[0], bank.rank)
        for span in route.spans:
            a_DR, b_RO = bank.compute(span.slot, name)
            low = torch.mm(seen_ND[span.start : span.stop], a_DR, out=low_NR[span.start : span.stop])
            out_NO[span.start : span.stop].addmm_(low.mul_(bank.scales[span.slot]), b_RO)
        ctx.save_for_backward(seen_ND, low_NR, keep_ND, weight_OD)
        ctx.route, ctx.name = route, name
        return out_NO.view(*x.shape[:-1], outputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        seen_ND, low_NR, keep_ND, weight_OD = ctx.saved_tensors
        route, name, grad_NO = ctx.route, ctx.name, grad.reshape(-1, grad.shape[-1])
        through = ctx.needs_input_grad[0]
        grad_x_ND = None
        if through:
            grad_x_ND = grad_NO @ weight_OD if weight_OD is not None else torch.zeros_like(seen_ND)
        for span in route.spans:
            rows = slice(span.start, span.stop)
            a_DR, b_RO = route.bank.compute(span.slot, name)
            grad_a_DR, grad_b_RO = route.bank.gradients(span.slot, name)
            grad_low = (grad_NO[rows] @ b_RO.T).mul_(route.bank.scales[span.slot])
            grad_b_RO.addmm_(low_NR[rows].T, grad_NO[rows])
            grad_a_DR.addmm_(seen_ND[rows].T, grad_low)
            if grad_x_ND is not None and keep_ND is None:
                grad_x_ND[rows].addmm_(grad_low, a_DR.T)
            elif grad_x_ND is not None:
                grad_x_ND[rows] += (grad_low @ a_DR.T) * keep_ND[rows]
        return (grad_x_ND.view(*grad.shape[:-1], -1) if grad_x_ND is not None else None, *[None] * 5)


def _keep(route: BankRoute, name: str, x_ND: Tensor) -> Tensor | None:
    """0 or 1/(1-p) for every input of the adapters; None without dropout.

    Drawn from the step's seed and the layer's name, so that recomputing a layer draws the same again.
    """
    dropouts = route.bank.dropouts
    if not any(dropouts[span.slot] for span in route.spans):
        return None
    keep_ND = torch.ones_like(x_ND)
    for span in route.spans:
        if p := dropouts[span.slot]:
            seed = hash((span.dropout_seed, *name.encode()))
            generator = torch.Generator(x_ND.device).manual_seed(seed)
            draws = torch.rand(span.stop - span.start, x_ND.shape[1], generator=generator, device=x_ND.device)
            keep_ND[span.start : span.stop] = (draws >= p).to(x_ND.dtype) / (1 - p)
    return keep_ND


def parameters_of(model: nn.Module, targets: Sequence[str], rank: int) -> int:
    """Float32 weights of one adapter of this rank on these layers."""
    shapes: Mapping[str, tuple[int, int] | None] = {n: linear_shape(model.get_submodule(n)) for n in targets}
    return rank * sum(sum(shape) for shape in shapes.values() if shape)
