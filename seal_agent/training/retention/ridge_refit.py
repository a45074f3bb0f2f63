"""Fitting A once more when an adapter is trained: it should read what its lesson shows it, and little of anything else.

Many small noisy steps leave traces in A that the lesson has no use for, and ordinary text reads those too. Of all A'
this takes the one that answers the lesson's inputs as A does and ordinary inputs with nothing, in the sense of

    mean over the lesson of |x (A' - A)|²  +  strength · mean over ordinary text of |x A'|²,

which is least for A' = (S + strength · C)⁻¹ S A, where S and C are the second moments of the inputs. It is the closed
form of RegMean (Jin et al., 2023, arXiv 2212.09849) for merging the adapter with no adapter at all. Of an adapter that
goes on, S holds what it learns again of earlier lessons, so that their share of A stays.

It is solved where A may read at all, in the directions that null_space.py leaves open; C is diagonal there.

Dimensions: D inputs of a layer, R rank, U directions left open, N tokens of a pass.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.lora.routing import routed
from seal_agent.training.bank.route import BankRoute, Span
from seal_agent.training.bank.segments import Segments
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.packing import Row, lay_out
from seal_agent.training.probes import last_hidden_states, supports_packing
from seal_agent.training.retention.protected_directions import Directions

TOKENS = 2048  # our choice: of the lesson, drawn at random, over which S is taken
PASS = 512  # our choice: tokens of a pass at most, where it has more than one sequence
LEAST = 1e-3  # our choice: share of the mean energy that every direction has at least, so that S + C can be inverted


@torch.no_grad()
def ridge_refit(
    base: BaseModel, bank: LoraBank, rows: Sequence[Row], directions: Directions, config: InnerLoopConfig
) -> None:
    """Fit A of every layer that has `directions` anew, in the slot of `rows`, which are its lesson.

    `config.shrink` is the strength; in the share `config.null_space` of the directions A stays as it is.
    """
    watch, packed = _Watch(directions, config.null_space), supports_packing(base)
    for batch_rows in _passes(rows, packed, config.seed):
        batch = lay_out(batch_rows, packed, base.pad_id, base.device)
        with routed(_WatchedRoute(bank, batch.spans, batch.segments, watch)):
            last_hidden_states(base, batch)
        watch.tokens += batch.real_tokens
    slot = rows[0].slot
    for name in directions:
        open_DU, energy_U = watch.opened(name)
        a_DR, _ = bank.factors(slot, name)
        read_UR = open_DU.T @ a_DR
        lesson_UU = watch.moments[watch.same[name]] / watch.tokens
        least = LEAST * energy_U.mean().clamp(min=torch.finfo(torch.float32).tiny)
        both_UU = lesson_UU + torch.diag(config.shrink * energy_U.clamp(min=least))
        kept_UR = torch.linalg.solve(both_UU, lesson_UU @ read_UR)
        a_DR += open_DU @ (kept_UR - read_UR)
    bank.refresh(slot)


class _Watch:
    """Second moments of the inputs of layers in their open directions; layers with the same input share them."""

    def __init__(self, directions: Directions, closed: float) -> None:
        self._directions, self._closed = directions, closed
        self.moments: dict[str, Tensor] = {}
        self.same: dict[str, str] = {}
        self.tokens = 0
        self._last: tuple[str, Tensor] | None = None

    def opened(self, name: str) -> tuple[Tensor, Tensor]:
        """The open directions (D×U) and what ordinary text has in them (U), in float32."""
        of = self._directions[name]
        first = of.first_behind(self._closed)
        return of.directions_DD[:, first:].float(), of.energy_D[first:].float()

    def look(self, name: str, x: Tensor) -> None:
        """Layers that read one tensor run one after the other, so that only the last one is remembered."""
        if name not in self._directions:
            return
        if self._last is None or self._last[1] is not x:
            self._last = name, x
            seen_NU = x.reshape(-1, x.shape[-1]).float() @ self.opened(name)[0]
            moment_UU = seen_NU.T @ seen_NU
            self.moments[name] = self.moments[name] + moment_UU if name in self.moments else moment_UU
        self.same[name] = self._last[0]


class _WatchedRoute(BankRoute):
    """A pass whose inputs are watched on their way."""

    def __init__(self, bank: LoraBank, spans: Sequence[Span], segments: Segments | None, watch: _Watch) -> None:
        super().__init__(bank, spans, segments)
        self._watch = watch

    def forward(self, name: str, layer: nn.Module, plain: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        self._watch.look(name, x)
        return super().forward(name, layer, plain, x)


def _passes(rows: Sequence[Row], packed: bool, seed: int) -> Iterator[list[Row]]:
    """Some of the rows, drawn at random, in passes without padding: where they can't be packed, each on its own."""
    some: list[Row] = []
    tokens = total = 0
    for row in random.Random(seed).sample(list(rows), len(rows)):
        if total >= TOKENS:
            break
        length = len(row.sequence.input_ids)
        if some and (not packed or tokens + length > PASS):
            yield some
            some, tokens = [], 0
        some.append(row)
        tokens, total = tokens + length, total + length
    yield some
