"""Sends the tokens of a pass, which lie slot by slot, through the adapters of a bank in a fixed number of launches.

Dimensions: N tokens of the pass, D inputs, O outputs, R rank, K slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from seal_agent.training.bank.products import Products, SlotPlaces
from seal_agent.training.bank.route import BankRoute, SegmentKernel, Span, dropout_mask
from seal_agent.training.bank.segments import Segments
from seal_agent.training.bank.stacked_bank import StackedBank


class GroupedRoute(BankRoute):
    """Like BankRoute, for passes whose tokens lie slot by slot, in the order of the slots."""

    bank: StackedBank

    def __init__(
        self,
        bank: StackedBank,
        spans: Sequence[Span],
        segments: Segments | None,
        checkpointing: bool,
        products: Products,
        places: SlotPlaces,
        scale_N1: Tensor,
        attention: SegmentKernel | None = None,
    ) -> None:
        """`places` and `scale_N1` are of this pass; `attention` replaces attention within segments where it can."""
        super().__init__(bank, spans, segments, checkpointing)
        self.products, self.places, self.scale_N1 = products, places, scale_N1
        self.attention = attention

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        tokens = x.numel() // x.shape[-1]
        if name not in self.bank or tokens != len(self.scale_N1):  # a layer whose rows are not the tokens of the pass
            return super().forward(name, layer, plain, x)
        y: Tensor
        weight_OD, bias_O = frozen_weights(layer) if x.dtype == self.bank.compute_dtype else (None, None)
        if weight_OD is not None:
            y = _GroupedLinear.apply(x, self._anchor, weight_OD, bias_O, self, name)  # type: ignore[no-untyped-call]
            return y
        update = _GroupedLinear.apply(x.to(self.bank.compute_dtype), self._anchor, None, None, self, name)  # type: ignore[no-untyped-call]
        out = plain(x)
        y = out + update.to(out.dtype)
        return y


def frozen_weights(layer: nn.Module) -> tuple[Tensor | None, Tensor | None]:
    """Weight (O×D) and bias of a layer that is a plain product; None for one with a forward of its own."""
    if type(layer) is nn.Linear:
        return layer.weight, layer.bias
    if type(layer).__name__ == "Conv1D":
        return layer.get_parameter("weight").T, layer.get_parameter("bias")
    return None, None


class _GroupedLinear(torch.autograd.Function):
    """y = x Wᵀ + b + scale · (x A) B with W frozen. Saved for backward: x, and the N×R inner product."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        anchor: Tensor,
        weight_OD: Tensor | None,
        bias_O: Tensor | None,
        route: GroupedRoute,
        name: str,
    ) -> Tensor:
        x_ND = x.reshape(-1, x.shape[-1])
        mask_ND = dropout_mask(route, name, x_ND)
        dropped_ND = x_ND if mask_ND is None else x_ND * mask_ND
        a_KDR, b_KRO = route.bank.factors_of_all(name)
        inner_NR = route.products.by_slot(dropped_ND, a_KDR, route.places).mul_(route.scale_N1)
        update_NO = route.products.by_slot(inner_NR, b_KRO, route.places)
        out = x.new_empty(*x.shape[:-1], update_NO.shape[-1])  # not a view: what follows may edit it in place
        out_NO = out.view(-1, out.shape[-1])
        if weight_OD is None:
            out_NO.copy_(update_NO)
        else:
            if bias_O is None:
                torch.mm(x_ND, weight_OD.T, out=out_NO)
            else:
                torch.addmm(bias_O, x_ND, weight_OD.T, out=out_NO)
            out_NO += update_NO
        ctx.save_for_backward(dropped_ND, mask_ND, weight_OD, inner_NR)
        ctx.route, ctx.name = route, name
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dropped_ND, mask_ND, weight_OD, inner_NR = ctx.saved_tensors
        route, name = ctx.route, ctx.name
        grad_NO = grad.reshape(-1, grad.shape[-1]).contiguous()
        products, places = route.products, route.places
        a_KDR, b_KRO = route.bank.factors_of_all(name)
        grad_NR = products.by_slot(grad_NO, b_KRO.transpose(1, 2), places).mul_(route.scale_N1)
        grad_b_KRO = products.outer(inner_NR, grad_NO, places)
        route.bank.accumulate(name, products.outer(dropped_ND, grad_NR, places), grad_b_KRO)
        if not ctx.needs_input_grad[0]:
            return (None,) * 6
        grad_ND = products.by_slot(grad_NR, a_KDR.transpose(1, 2), places)
        if mask_ND is not None:
            grad_ND *= mask_ND
        if weight_OD is not None:
            grad_ND.addmm_(grad_NO, weight_OD)
        return (grad_ND.view(*grad.shape[:-1], -1), *[None] * 5)
