"""Ridge refit of A after training: A should read the inputs of its lesson, and little of anything else.

Many small noisy steps leave traces in A that the lesson has no use for, and reference text reads those too. The refit
takes the A' that responds to the lesson's inputs as A does and to reference text with nothing, which minimises

    mean over the lesson of |x (A' - A)|²  +  strength · mean over reference text of |x A'|².

The minimum is A' = (S + strength · C)⁻¹ S A, where S and C are the second moments of the inputs. It is the closed form
of RegMean (Jin et al., 2023, arXiv 2212.09849) for merging the adapter with no adapter at all. If an adapter is
continued, S includes the replayed sequences of earlier lessons, so that their share of A stays.

The refit is solved in the directions that protected_directions.py leaves open to A; C is diagonal there.

Dimensions: D inputs of a layer, R rank, U open directions, N tokens of a pass.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.lora.routing import routed
from seal_agent.seeds import derived_seed
from seal_agent.training.bank.route import BankRoute, Span
from seal_agent.training.bank.segments import Segments
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.packing import Row, lay_out
from seal_agent.training.probes import last_hidden_states, supports_packing
from seal_agent.training.retention.protected_directions import Directions

TOKENS = 2048  # of the lesson, drawn at random, over which S is computed; not tuned
TOKENS_PER_PASS = 512  # limit of a pass with more than one sequence; not tuned
# Lower bound on the energy of a direction, as a share of the mean energy, so that S + C is invertible. Not tuned.
MIN_ENERGY_SHARE = 1e-3


@torch.no_grad()
def ridge_refit(
    base: BaseModel, bank: LoraBank, rows: Sequence[Row], directions: Directions, config: InnerLoopConfig
) -> None:
    """Refit A in place, in every layer of `directions`.

    Args:
        base: The frozen model.
        bank: Holds the adapter.
        rows: The lesson; their slot is refitted.
        directions: The layers and their spectra on reference text.
        config: `shrink` is the strength; in the strongest share `null_space` of the directions A stays as it is.
    """
    moments, packed = _InputMoments(directions, config.null_space), supports_packing(base)
    for pass_rows in _passes(rows, packed, config.seed):
        batch = lay_out(pass_rows, packed, base.pad_id, base.device)
        with routed(_MomentsRoute(bank, batch.spans, batch.segments, moments)):
            last_hidden_states(base, batch)
        moments.tokens += batch.real_tokens
    slot = rows[0].slot
    for name in moments.shared_with:  # a layer that the lesson does not reach has learnt nothing
        open_DU, energy_U = moments.open_directions(name)
        a_DR, _ = bank.factors(slot, name)
        read_UR = open_DU.T @ a_DR
        lesson_UU = moments.sums[moments.shared_with[name]] / moments.tokens
        min_energy = MIN_ENERGY_SHARE * energy_U.mean().clamp(min=torch.finfo(torch.float32).tiny)
        total_UU = lesson_UU + torch.diag(config.shrink * energy_U.clamp(min=min_energy))
        refit_UR = torch.linalg.solve(total_UU, lesson_UU @ read_UR)
        a_DR += open_DU @ (refit_UR - read_UR)
    bank.refresh(slot)


class _InputMoments:
    """Second moments of layers' inputs in their open directions; layers with the same input share them."""

    def __init__(self, directions: Directions, protected_share: float) -> None:
        self._directions, self._protected_share = directions, protected_share
        self.sums: dict[str, Tensor] = {}
        self.shared_with: dict[str, str] = {}  # the first layer that reads the same input
        self.tokens = 0
        self._last: tuple[str, Tensor] | None = None

    def open_directions(self, name: str) -> tuple[Tensor, Tensor]:
        """The open directions (D×U) and the energy of reference text in them (U), in float32."""
        spectrum = self._directions[name]
        first = spectrum.protected_count(self._protected_share)
        return spectrum.directions_DD[:, first:].float(), spectrum.energy_D[first:].float()

    def add(self, name: str, x: Tensor) -> None:
        """Add a layer's inputs. Layers that read the same tensor run in a row, so only the last one is remembered."""
        if name not in self._directions or not x.numel():
            return
        if self._last is None or self._last[1] is not x:
            self._last = name, x
            x_NU = x.reshape(-1, x.shape[-1]).float() @ self.open_directions(name)[0]
            moment_UU = x_NU.T @ x_NU
            self.sums[name] = self.sums[name] + moment_UU if name in self.sums else moment_UU
        self.shared_with[name] = self._last[0]


class _MomentsRoute(BankRoute):
    """A BankRoute that also accumulates the moments of the layers' inputs."""

    def __init__(
        self, bank: LoraBank, spans: Sequence[Span], segments: Segments | None, moments: _InputMoments
    ) -> None:
        super().__init__(bank, spans, segments)
        self._moments = moments

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        self._moments.add(name, x)
        return super().forward(name, layer, plain, x)


def _passes(rows: Sequence[Row], packed: bool, seed: int) -> Iterator[list[Row]]:
    """A random sample of the rows, in passes without padding; if they cannot be packed, one row per pass."""
    pass_rows: list[Row] = []
    tokens = total = 0
    for row in random.Random(derived_seed(seed, "ridge refit")).sample(list(rows), len(rows)):
        if total >= TOKENS:
            break
        length = len(row.sequence.input_ids)
        if pass_rows and (not packed or tokens + length > TOKENS_PER_PASS):
            yield pass_rows
            pass_rows, tokens = [], 0
        pass_rows.append(row)
        tokens, total = tokens + length, total + length
    yield pass_rows
