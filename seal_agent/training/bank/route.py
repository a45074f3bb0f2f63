"""How the tokens of a pass go through the adapters of a bank, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from seal_agent.training.bank.grouping import gathered, group, indices_of, joined
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


FILLED, SMALL = 0.5, 64  # of spans that share a product: see `group`


@dataclass(frozen=True, slots=True)
class SpanGroup:
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
        self._grouped: tuple[tuple[SpanGroup, ...], Tensor] | None = None
        self._anchor = torch.zeros((), requires_grad=True)  # makes the first layer's output require a gradient

    def groups(self, like: Tensor) -> tuple[tuple[SpanGroup, ...], Tensor]:
        """The spans in groups, and where in the groups' joined rows each of the N tokens stands; for all layers.

        Tokens of no span, padding behind the last say, point at some row: nothing is read from them.
        """
        if self._grouped is None:
            places_N, made, before = torch.zeros(len(like), dtype=torch.long), list[SpanGroup](), 0
            for alike in group([(span.start, span.stop) for span in self.spans], FILLED, SMALL):
                slots = [self.spans[i].slot for i in alike.members]
                scales = torch.tensor([self.bank.scales[slot] for slot in slots], device=like.device)  # float32: exact
                place_SL = before + torch.arange(alike.token_SL.numel()).view_as(alike.token_SL)
                places_N[alike.token_SL[alike.real_SL]] = place_SL[alike.real_SL]
                before += place_SL.numel()
                rows, surplus = alike.token_SL.flatten().to(like.device), indices_of(~alike.real_SL, like.device)
                made.append(SpanGroup(torch.tensor(slots, device=like.device), scales[:, None, None], rows, surplus))
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
