"""K adapters in one module: trained side by side over one frozen base, in one forward and backward pass.

Each slot of the bank is one flat vector of float32 weights with its own gradient and optimiser, so that a slot's step
is a few operations on one contiguous vector and no slot touches another. A rank below the bank's is padded with zero
columns, whose gradients are exactly zero; they stay zero. The gradients are written by the backward pass straight into
the slot: autograd sees the activations only.

Dimensions: K slots, N tokens of a pass, D inputs, O outputs, R rank, P parameters of a slot; S spans of a group, L
tokens of the longest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seal_agent.inner_loop.grouping import gathered, group, indices_of, joined
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


FILLED, SMALL = 0.5, 64  # of spans that share a product: see `group`


@dataclass(frozen=True, slots=True)
class _Spans:
    """Spans of like length."""

    slots_S: Tensor
    scale_S11: Tensor
    rows: Tensor  # S·L of N
    surplus: Tensor | None  # those of the S·L behind a span's end

    def of(self, x_ND: Tensor) -> Tensor:
        """S×L×D."""
        return gathered(x_ND, self.rows, len(self.slots_S))

    def of_grad(self, grad_NO: Tensor) -> Tensor:
        """S×L×O, with nothing behind a span's end."""
        return gathered(grad_NO, self.rows, len(self.slots_S), self.surplus)


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
        self._grouped: tuple[tuple[_Spans, ...], Tensor] | None = None
        self._anchor = torch.zeros((), requires_grad=True)  # makes the first layer's output require a gradient

    def groups(self, like: Tensor) -> tuple[tuple[_Spans, ...], Tensor]:
        """The spans in groups, and where in the groups' joined rows each of the N tokens stands; for all layers.

        Tokens of no span, padding behind the last say, point at some row: nothing is read from them.
        """
        if self._grouped is None:
            places_N, made, before = torch.zeros(len(like), dtype=torch.long), list[_Spans](), 0
            for alike in group([(span.start, span.stop) for span in self.spans], FILLED, SMALL):
                slots = [self.spans[i].slot for i in alike.members]
                scales = torch.tensor([self.bank.scales[slot] for slot in slots], device=like.device)  # float32: exact
                place_SL = before + torch.arange(alike.token_SL.numel()).view_as(alike.token_SL)
                places_N[alike.token_SL[alike.real_SL]] = place_SL[alike.real_SL]
                before += place_SL.numel()
                rows, surplus = alike.token_SL.flatten().to(like.device), indices_of(~alike.real_SL, like.device)
                made.append(_Spans(torch.tensor(slots, device=like.device), scales[:, None, None], rows, surplus))
            self._grouped = tuple(made), places_N.to(like.device)
        return self._grouped

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
        outputs = bank.outputs(name)
        if weight_OD is None:
            out_NO = x_ND.new_zeros(x_ND.shape[0], outputs)
        else:
            out_NO = nn.functional.linear(x_ND, weight_OD, bias_O)
        groups, places_N = route.groups(x_ND)
        lows, updates = [], []
        for spans in groups:
            a_SDR, b_SRO = bank.compute(name, spans.slots_S)
            low_SLR = torch.bmm(spans.of(seen_ND), a_SDR).mul_(spans.scale_S11)
            updates.append(torch.bmm(low_SLR, b_SRO).flatten(0, 1))
            lows.append(low_SLR)
        out_NO += joined(updates).index_select(0, places_N)
        ctx.save_for_backward(seen_ND, keep_ND, weight_OD, *lows)
        ctx.route, ctx.name = route, name
        return out_NO.view(*x.shape[:-1], outputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        seen_ND, keep_ND, weight_OD, *lows = ctx.saved_tensors
        route, name, grad_NO = ctx.route, ctx.name, grad.reshape(-1, grad.shape[-1])
        groups, places_N = route.groups(seen_ND)
        updates = []
        for spans, low_SLR in zip(groups, lows, strict=True):
            a_SDR, b_SRO = route.bank.compute(name, spans.slots_S)
            grad_SLO = spans.of_grad(grad_NO)
            grad_SLR = torch.bmm(grad_SLO, b_SRO.transpose(1, 2)).mul_(spans.scale_S11)
            grad_a_SDR = torch.bmm(spans.of(seen_ND).transpose(1, 2), grad_SLR)
            route.bank.add_gradients(name, spans.slots_S, grad_a_SDR, torch.bmm(low_SLR.transpose(1, 2), grad_SLO))
            updates.append(torch.bmm(grad_SLR, a_SDR.transpose(1, 2)).flatten(0, 1))
        grad_x = None
        if ctx.needs_input_grad[0]:
            update_ND = joined(updates).index_select(0, places_N)
            if keep_ND is not None:
                update_ND *= keep_ND
            grad_x_ND = update_ND if weight_OD is None else update_ND.addmm_(grad_NO, weight_OD)
            grad_x = grad_x_ND.view(*grad.shape[:-1], -1)
        return (grad_x, *[None] * 5)


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
