"""A bank whose slots are updated together: gradients in float32, factors read as stacks of all slots.

Dimensions: K slots, D inputs, O outputs, R rank, P parameters of a slot.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.training.bank.products import ALIGNMENT
from seal_agent.training.bank.storage import LoraBank, without_weights


class StackedBank(LoraBank):
    """Like LoraBank, with a rank that is a multiple of 8 and gradients that add up in float32.

    A product's result in bf16 is rounded once before it is added; what several passes add is not.
    """

    def __init__(
        self, model: nn.Module, targets: Sequence[str], slots: int, rank: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        super().__init__(model, targets, slots, -(-rank // ALIGNMENT) * ALIGNMENT, device, dtype)
        if dtype != torch.float32:
            self._grads_KP = torch.zeros(self.weights_KP.shape, device=device)
            self._step_grad_P = None
        self.grads_KP, self.compute_KP = self._grads_KP, self._compute_KP
        self._zeroed = set(range(slots))  # slots whose gradient is zero already

    @property
    def widths(self) -> list[int]:
        """Inputs and outputs of every layer."""
        return [n for location in self._locations.values() for n in (location.inputs, location.outputs)]

    def load_packed(self, slot: int, adapter: LoraAdapter, flat: Tensor, dropout: float) -> None:
        """As `load`, in one transfer.

        Args:
            slot: Where it goes.
            adapter: What is loaded.
            flat: Its A of every layer, side by side, then its B of every layer; without B where that is zero.
            dropout: Of its inputs.
        """
        weights_P, rank = self.weights_KP[slot].zero_(), adapter.rank
        views = [self._views(weights_P, name) for name in adapter.pairs]
        places = [a_DR[:, :rank] for a_DR, _ in views]
        if len(flat) > sum(place.numel() for place in places):
            places += [b_RO[:rank] for _, b_RO in views]
        on_device = flat.to(weights_P.device, non_blocking=True)
        pieces = torch.split(on_device, [place.numel() for place in places])
        torch._foreach_copy_(places, [piece.view(place.shape) for piece, place in zip(pieces, places, strict=True)])
        self._loaded[slot] = without_weights(adapter)
        self.scales[slot], self.dropouts[slot] = adapter.scale, dropout
        self.refresh(slot)

    def export(self, slot: int) -> LoraAdapter:
        """As LoraBank's, in one transfer; the factors are views of one vector."""
        loaded = self._loaded[slot]
        assert loaded is not None, f"slot {slot} is empty"
        host_P = self.weights_KP[slot].to("cpu", copy=True)
        pairs = {}
        for name in loaded.pairs:
            a_DR, b_RO = self._views(host_P, name)
            pairs[name] = LoraPair(a_DR[:, : loaded.rank].contiguous(), b_RO[: loaded.rank])
        return LoraAdapter(loaded.rank, loaded.alpha, pairs, loaded.transposed)

    def begin_step(self, slot: int) -> None:
        if slot not in self._zeroed:
            super().begin_step(slot)
        self._zeroed.discard(slot)

    def note_zeroed(self, slots: Sequence[int]) -> None:
        """The optimiser has set the gradients of these slots to zero."""
        self._zeroed.update(slots)

    def factors_of_all(self, name: str) -> tuple[Tensor, Tensor]:
        """A (K×D×R) and B (K×R×O) of a layer, in compute precision; views."""
        return self._views(self._compute_KP, name)

    def accumulate(self, name: str, a_KDR: Tensor, b_KRO: Tensor) -> None:
        """Add to the gradients of A and B in all slots; what is added is that of a loss times `loss_scale`."""
        for grads, added in zip(self._views(self._grads_KP, name), (a_KDR, b_KRO), strict=True):
            grads.add_(added, alpha=1 / self._loss_scale)

    def add_gradients(self, name: str, slots_S: Tensor, a_SDR: Tensor, b_SRO: Tensor) -> None:
        a_SDR, b_SRO = a_SDR.float(), b_SRO.float()
        if self._loss_scale != 1:
            a_SDR, b_SRO = a_SDR / self._loss_scale, b_SRO / self._loss_scale
        super().add_gradients(name, slots_S, a_SDR, b_SRO)
