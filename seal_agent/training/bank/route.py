"""Sends the tokens of a pass through the adapters of a bank, forward and backward.

Dimensions: N tokens of the pass, D inputs, O outputs, R rank; S spans of a group, L tokens of the longest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from seal_agent.seeds import derived_seed
from seal_agent.training.bank.grouping import concat_rows, gather_rows, group_by_length, indices_of
from seal_agent.training.bank.storage import LoraBank

if TYPE_CHECKING:
    from seal_agent.training.bank.segments import Segments


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens [start, stop) of a pass belong to one slot."""

    slot: int
    start: int
    stop: int
    dropout_seed: int = 0


class SegmentKernel(Protocol):
    """Attention of each segment of a pass to itself and its prefix, by a kernel of the device."""

    refused: bool
    """Whether it was ever called with shapes that it does not take."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor | None:
        """The result, 1×N×H×E, of 1×H×N×E and 1×G×N×E; None where the kernel does not take these shapes."""
        ...


MIN_FILL, SMALL = 0.5, 64  # of spans that share a product: see `group_by_length`


@dataclass(frozen=True, slots=True)
class SpanGroup:
    """Spans of similar length."""

    slots_S: Tensor
    scale_S11: Tensor
    rows: Tensor  # S·L of N
    padding: Tensor | None  # positions among the S·L that are after a span's end

    def gather(self, x_ND: Tensor) -> Tensor:
        """The spans' tokens, S×L×D."""
        return gather_rows(x_ND, self.rows, len(self.slots_S))

    def gather_grad(self, grad_NO: Tensor) -> Tensor:
        """The spans' gradients, S×L×O, with zeros after a span's end."""
        return gather_rows(grad_NO, self.rows, len(self.slots_S), self.padding)


class BankRoute:
    """The route of one pass: every span of tokens goes through its own slot. Implements Route.

    `segments` are the sequences packed into one row, None if each has a row of its own.
    """

    attention: SegmentKernel | None = None
    """Attends within the segments where it can; None: `attention.py` does."""
    drops = True
    """Whether the slots' dropout applies."""

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
        self._groups: tuple[tuple[SpanGroup, ...], Tensor] | None = None
        self._tokens = max((span.stop for span in self.spans), default=0)
        self._anchor = torch.zeros((), requires_grad=True)  # makes the first layer's output require a gradient

    def groups(self, like: Tensor) -> tuple[tuple[SpanGroup, ...], Tensor]:
        """The span groups, and each of the N tokens' row in their concatenated rows; computed once for all layers.

        Tokens outside any span, such as padding after the last one, point at an arbitrary row: they are never read.
        """
        if len(like) != self._tokens:
            return self._all_rows(like)
        if self._groups is None:
            index_N, span_groups, offset = torch.zeros(len(like), dtype=torch.long), list[SpanGroup](), 0
            for group in group_by_length([(span.start, span.stop) for span in self.spans], MIN_FILL, SMALL):
                slots = [self.spans[i].slot for i in group.members]
                scales = torch.tensor([self.bank.scales[slot] for slot in slots], device=like.device)  # float32: exact
                index_SL = offset + torch.arange(group.token_SL.numel()).view_as(group.token_SL)
                index_N[group.token_SL[group.real_SL]] = index_SL[group.real_SL]
                offset += index_SL.numel()
                rows, padding = group.token_SL.flatten().to(like.device), indices_of(~group.real_SL, like.device)
                slots_S = torch.tensor(slots, device=like.device)
                span_groups.append(SpanGroup(slots_S, scales[:, None, None], rows, padding))
            self._groups = tuple(span_groups), index_N.to(like.device)
        return self._groups

    def _all_rows(self, like: Tensor) -> tuple[tuple[SpanGroup, ...], Tensor]:
        """One group of all rows, where a layer's rows are not the tokens of the pass: an expert sees some of them."""
        slots = {span.slot for span in self.spans}
        assert len(slots) == 1, "a layer whose rows are not the tokens of the pass trains one adapter at a time"
        rows = torch.arange(len(like), device=like.device)
        scales = torch.tensor([self.bank.scales[slot] for slot in slots], device=like.device)
        slots_S = torch.tensor(list(slots), device=like.device)
        return (SpanGroup(slots_S, scales[:, None, None], rows, None),), rows

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        if name not in self.bank or not x.numel():
            return plain(x)
        out: Tensor
        if x.dtype != self.bank.compute_dtype:  # the base computes some of its layers in another precision
            update = _BankLinear.apply(x.to(self.bank.compute_dtype), self._anchor, None, None, self, name)  # type: ignore[no-untyped-call]
            out = plain(x)
            out = out + update.to(out.dtype)
        elif type(layer) is nn.Linear:
            out = _BankLinear.apply(x, self._anchor, layer.weight, layer.bias, self, name)  # type: ignore[no-untyped-call]
        elif type(layer).__name__ == "Conv1D":
            out = _BankLinear.apply(x, self._anchor, layer.weight.T, layer.bias, self, name)  # type: ignore[no-untyped-call]
        else:  # a layer with its own forward, such as a quantised one: only the update is computed here
            out = plain(x) + _BankLinear.apply(x, self._anchor, None, None, self, name)  # type: ignore[no-untyped-call]
        return out


class _BankLinear(torch.autograd.Function):
    """y = x Wᵀ + b + scale · (x A) B with W frozen. Saved for backward: x, and the N×R inner product."""

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
        mask_ND = dropout_mask(route, name, x_ND)
        dropped_ND = x_ND if mask_ND is None else x_ND * mask_ND
        # Allocated in its final shape: what follows may edit the output in place, which autograd forbids on a view.
        out = x.new_empty(*x.shape[:-1], bank.outputs(name))
        out_NO = out.view(-1, out.shape[-1])
        if weight_OD is None:
            out_NO.zero_()
        elif bias_O is None:
            torch.mm(x_ND, weight_OD.T, out=out_NO)
        else:
            torch.addmm(bias_O, x_ND, weight_OD.T, out=out_NO)
        groups, index_N = route.groups(x_ND)
        inner_products, updates = [], []
        for group in groups:
            a_SDR, b_SRO = bank.gather_factors(name, group.slots_S)
            inner_SLR = torch.bmm(group.gather(dropped_ND), a_SDR).mul_(group.scale_S11)
            updates.append(torch.bmm(inner_SLR, b_SRO).flatten(0, 1))
            inner_products.append(inner_SLR)
        out_NO += concat_rows(updates).index_select(0, index_N)
        ctx.save_for_backward(dropped_ND, mask_ND, weight_OD, *inner_products)
        ctx.route, ctx.name = route, name
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dropped_ND, mask_ND, weight_OD, *inner_products = ctx.saved_tensors
        route, name, grad_NO = ctx.route, ctx.name, grad.reshape(-1, grad.shape[-1])
        groups, index_N = route.groups(dropped_ND)
        updates = []
        for group, inner_SLR in zip(groups, inner_products, strict=True):
            a_SDR, b_SRO = route.bank.gather_factors(name, group.slots_S)
            grad_SLO = group.gather_grad(grad_NO)
            grad_SLR = torch.bmm(grad_SLO, b_SRO.transpose(1, 2)).mul_(group.scale_S11)
            grad_a_SDR = torch.bmm(group.gather(dropped_ND).transpose(1, 2), grad_SLR)
            route.bank.add_gradients(name, group.slots_S, grad_a_SDR, torch.bmm(inner_SLR.transpose(1, 2), grad_SLO))
            updates.append(torch.bmm(grad_SLR, a_SDR.transpose(1, 2)).flatten(0, 1))
        grad_x = None
        if ctx.needs_input_grad[0]:
            update_ND = concat_rows(updates).index_select(0, index_N)
            if mask_ND is not None:
                update_ND *= mask_ND
            grad_x_ND = update_ND if weight_OD is None else update_ND.addmm_(grad_NO, weight_OD)
            grad_x = grad_x_ND.view(*grad.shape[:-1], -1)
        return (grad_x, *[None] * 5)


def dropout_mask(route: BankRoute, name: str, x_ND: Tensor) -> Tensor | None:
    """0 or 1/(1-p) for every input of the adapters, N×D; None without dropout.

    Drawn from the step's seed and the layer's name, so that recomputing a layer draws the same mask.
    """
    dropouts = route.bank.dropouts
    if not route.drops or not any(dropouts[span.slot] for span in route.spans):
        return None
    mask_ND = torch.ones_like(x_ND)
    spans = route.spans
    if len(x_ND) != spans[-1].stop:  # rows of one adapter that are not the tokens of the pass
        spans = (replace(spans[0], start=0, stop=len(x_ND)),)
    for span in spans:
        if p := dropouts[span.slot]:
            seed = derived_seed(span.dropout_seed, name)
            generator = torch.Generator(x_ND.device).manual_seed(seed)
            uniform = torch.rand(span.stop - span.start, x_ND.shape[1], generator=generator, device=x_ND.device)
            mask_ND[span.start : span.stop] = (uniform >= p).to(x_ND.dtype) / (1 - p)
    return mask_ND
