"""Ridge refit of A after training: A should read the inputs of its lesson, and little of anything else.

Many small noisy steps leave traces in A that the lesson has no use for, and reference text reads those too. The refit
takes the A' that responds to the lesson's inputs as A does and to reference text with nothing, which minimises

    mean over the lesson of |x (A' - A)|²  +  strength · mean over reference text of |x A'|².

The minimum is A' = (S + strength · C)⁻¹ S A, where S and C are the second moments of the inputs. It is the closed form
of RegMean (Jin et al., 2023, arXiv 2212.09849) for merging the adapter with no adapter at all. If an adapter is
continued, S includes the replayed sequences of earlier lessons, so that their share of A stays.

The refit is solved in the directions that protected_directions.py leaves open to A; C is diagonal there. Of a wide
layer only some are kept, and C is the same in all others. Then the equal form over tokens is solved, in which no
D×D matrix occurs: with G = strength · C and the N lesson tokens X, S = XᵀX / N and

    A' = G⁻¹ Xᵀ (N + X G⁻¹ Xᵀ)⁻¹ X A.

Dimensions: D inputs of a layer, R rank, U open directions, V open directions that are kept, N tokens.
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
from seal_agent.training.retention.spectra import Directions, Spectrum

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
    for name, first in moments.shared_with.items():  # a layer that the lesson does not reach has learnt nothing
        spectrum, a_DR = directions[name], bank.factors(slot, name)[0]
        if first in moments.inputs:
            a_DR += _step_of_wide_layer(spectrum, torch.cat(moments.inputs[first]).float(), a_DR, config)
            continue
        open_DU, energy_U = moments.open_directions(name)
        read_UR = open_DU.T @ a_DR
        lesson_UU = moments.sums[first] / moments.tokens
        total_UU = lesson_UU + torch.diag(config.shrink * energy_U.clamp(min=_least(energy_U.mean())))
        refit_UR = torch.linalg.solve(total_UU, lesson_UU @ read_UR)
        a_DR += open_DU @ (refit_UR - read_UR)
    bank.refresh(slot)


def _least(mean_energy: Tensor) -> Tensor:
    return MIN_ENERGY_SHARE * mean_energy.clamp(min=torch.finfo(torch.float32).tiny)


def _step_of_wide_layer(spectrum: Spectrum, x_ND: Tensor, a_DR: Tensor, config: InnerLoopConfig) -> Tensor:
    """A' - A, D×R, of a layer of whose directions only the strongest are kept."""
    first, kept = spectrum.protected_count(config.null_space), len(spectrum.energy_K)
    protected_DS, open_DV = spectrum.directions_DK.float().tensor_split([first], dim=1)
    energy_V, rest = spectrum.energy_K[first:].float(), torch.tensor(spectrum.rest, device=x_ND.device)
    mean = (energy_V.sum() + (spectrum.width - kept) * rest) / (spectrum.width - first)
    mean = mean.clamp(min=MIN_ENERGY_SHARE * spectrum.energy_K.float().mean())  # all that is open may be silent
    energy_V, rest = (config.shrink * energy.clamp(min=_least(mean)) for energy in (energy_V, rest))
    x_ND = x_ND - x_ND @ protected_DS @ protected_DS.T
    x_NV = x_ND @ open_DV
    scaled_ND = (x_NV / energy_V - x_NV / rest) @ open_DV.T + x_ND / rest
    read_NR, tokens = x_ND @ a_DR, len(x_ND)
    gram_NN = scaled_ND @ x_ND.T + tokens * torch.eye(tokens, device=x_ND.device)
    open_DR = a_DR - protected_DS @ (protected_DS.T @ a_DR)
    refit_DR: Tensor = scaled_ND.T @ torch.linalg.solve(gram_NN, read_NR)
    return refit_DR - open_DR


class _InputMoments:
    """Second moments of layers' inputs in their open directions; layers with the same input share them."""

    def __init__(self, directions: Directions, protected_share: float) -> None:
        self._directions, self._protected_share = directions, protected_share
        self.sums: dict[str, Tensor] = {}
        self.inputs: dict[str, list[Tensor]] = {}  # of wide layers, in the model's precision
        self.shared_with: dict[str, str] = {}  # the first layer that reads the same input
        self.tokens = 0
        self._last: tuple[str, Tensor] | None = None

    def open_directions(self, name: str) -> tuple[Tensor, Tensor]:
        """The open directions (D×U) and the energy of reference text in them (U), in float32."""
        spectrum = self._directions[name]
        first = spectrum.protected_count(self._protected_share)
        return spectrum.directions_DK[:, first:].float(), spectrum.energy_K[first:].float()

    def add(self, name: str, x: Tensor) -> None:
        """Add a layer's inputs. Layers that read the same tensor run in a row, so only the last one is remembered."""
        if name not in self._directions or not x.numel():
            return
        if self._last is None or self._last[1] is not x:
            self._last = name, x
            x_ND, spectrum = x.reshape(-1, x.shape[-1]), self._directions[name]
            if spectrum.is_partial:
                self.inputs.setdefault(name, []).append(x_ND)
            else:
                x_NU = x_ND.float() @ self.open_directions(name)[0]
                moment_UU = x_NU.T @ x_NU
                self.sums[name] = self.sums[name] + moment_UU if name in self.sums else moment_UU
        self.shared_with[name] = self._last[0]


class _MomentsRoute(BankRoute):
    """A BankRoute without dropout that also accumulates the moments of the layers' inputs."""

    drops = False

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
