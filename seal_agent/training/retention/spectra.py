"""Spectra: the directions that a layer's inputs take on reference text, and how strongly.

The directions are the eigenvectors of the inputs' second moments. Of wide layers only the strongest are kept; the rest
counts as equally strong in every direction.

Dimensions: D inputs of a layer, K kept directions, T tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import routed
from seal_agent.lora.text_layers import linear_shape
from seal_agent.progress import Progress
from seal_agent.training.bank.attention import use_segment_attention
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.memory import available_bytes
from seal_agent.training.packing import Batch, Row, lay_out
from seal_agent.training.probes import last_hidden_states, supports_packing
from seal_agent.types import TrainingSequence

KEPT = 2560
"""Most directions kept of a layer: all of a 1B model's; of a 7B model's 4 GB instead of 44. Not tuned."""

TOKENS_PER_PASS = 2048  # of packed texts; not tuned
MEMORY_SHARE = 0.25  # of the free memory, for the moments of the layers that are read together; not tuned
POWER_ITERATIONS = 6  # of the subspace iteration for wide layers (Halko et al., 2011, arXiv 0909.4061, section 4.5)


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Directions of a layer's inputs: orthonormal columns, strongest first, and their mean squares per token."""

    directions_DK: Tensor
    energy_K: Tensor
    rest: float = 0.0
    """Mean square per token in each direction that is not kept."""

    @property
    def width(self) -> int:
        """Number of the layer's inputs, D."""
        return len(self.directions_DK)

    @property
    def is_partial(self) -> bool:
        """Whether some directions are not kept, and their energy is `rest`."""
        return 0 < len(self.energy_K) < self.width

    def protected_count(self, share: float) -> int:
        """How many directions this share of them is, as far as they are kept."""
        return min(round(share * self.width), len(self.energy_K))


Directions = Mapping[str, Spectrum]
"""The spectrum of each layer on reference text, by the layer's name; layers with the same input share one object."""


@torch.no_grad()
def principal_directions(
    base: BaseModel,
    names: Sequence[str],
    texts: Sequence[Sequence[int]],
    progress: Progress | None = None,
    *,
    precision: torch.dtype = torch.float32,
) -> dict[str, Spectrum]:
    """The spectrum of each layer's inputs over texts.

    The texts are read in packed passes where the model allows it. Layers whose moments do not fit into a share of the
    free memory are read in another round, which ends at the last of them.

    Args:
        base: The model.
        names: Its layers, in the order of the forward pass.
        texts: Token ids.
        progress: Called with the layers done.
        precision: Of the directions; their energy is in float32.
    """
    batches = _batches(base, texts)
    spectra: dict[str, Spectrum] = {}
    for group in _groups(base, names):
        moments = _Moments(base.module, group)
        _read(base, batches, moments)
        found: dict[str, Spectrum] = {}
        for name in group:
            first = moments.shared_with.get(name)
            if first is None:
                spectra[name] = _unknown(base, name)
                continue
            if first not in found:
                found[first] = _spectrum(moments.sums.pop(first) / moments.tokens[first], precision)
            spectra[name] = found[first]
            if progress:
                progress(len(spectra), len(names))
    return spectra


def _batches(base: BaseModel, texts: Sequence[Sequence[int]]) -> list[Batch]:
    """Passes over all texts, without padding; one text each where the model cannot take them packed."""
    use_segment_attention(base)
    packed, rows, batches, tokens = supports_packing(base), list[Row](), list[Batch](), 0
    for ids in texts:
        if rows and (not packed or tokens + len(ids) > TOKENS_PER_PASS):
            batches.append(lay_out(rows, packed, base.pad_id, base.device))
            rows, tokens = [], 0
        rows.append(Row(0, TrainingSequence(tuple(ids), tuple(ids)), 1.0))
        tokens += len(ids)
    return [*batches, *([lay_out(rows, packed, base.pad_id, base.device)] if rows else [])]


def _groups(base: BaseModel, names: Sequence[str]) -> Iterator[list[str]]:
    """Consecutive layers whose moments fit into the memory that may be used; at least one."""
    budget = MEMORY_SHARE * available_bytes(base.device)
    group: list[str] = []
    used = 0
    for name in names:
        needed = 4 * _width(base, name) ** 2
        if group and used + needed > budget:
            yield group
            group, used = [], 0
        group.append(name)
        used += needed
    if group:
        yield group


class _AllRead(Exception):
    """Every layer of the group has been read: the rest of the pass is not needed."""


class _Moments:
    """Second moments of layers' inputs, D×D in float32; layers that read the same tensor share them."""

    def __init__(self, module: nn.Module, names: Sequence[str]) -> None:
        self._module, self._names = module, names
        self.sums: dict[str, Tensor] = {}
        self.tokens: dict[str, int] = {}
        self.shared_with: dict[str, str] = {}  # the first layer that reads the same input
        self._seen: dict[int, tuple[str, Tensor]] = {}  # holds the tensor, so that no other takes its id
        self._read = set[str]()
        self._thread = threading.get_ident()

    def begin_pass(self) -> None:
        self._seen.clear()
        self._read.clear()

    def hooks(self) -> list[RemovableHandle]:
        return [self._hook(name) for name in self._names]

    def _hook(self, name: str) -> RemovableHandle:
        def before(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if threading.get_ident() == self._thread:  # others may decode with the same module meanwhile
                self._add(name, inputs[0])

        return self._module.get_submodule(name).register_forward_pre_hook(before)

    def _add(self, name: str, x: Tensor) -> None:
        if x.numel():
            first = self._seen.setdefault(id(x), (name, x))[0]
            self.shared_with[name] = first
            if first == name:
                x_TD = x.reshape(-1, x.shape[-1]).float()
                self.tokens[name] = self.tokens.get(name, 0) + len(x_TD)
                if name in self.sums:
                    self.sums[name].addmm_(x_TD.T, x_TD)
                else:
                    self.sums[name] = x_TD.T @ x_TD
        self._read.add(name)
        if len(self._read) == len(self._names):
            raise _AllRead


def _read(base: BaseModel, batches: Sequence[Batch], moments: _Moments) -> None:
    bank = LoraBank(base.module, (), 1, 1, base.device, base.dtype)
    hooks = moments.hooks()
    try:
        for batch in batches:
            moments.begin_pass()
            try:
                with routed(BankRoute(bank, (), batch.segments) if batch.segments else None):
                    last_hidden_states(base, batch)
            except _AllRead:
                pass
    finally:
        for hook in hooks:
            hook.remove()
        moments.begin_pass()


def _width(base: BaseModel, name: str) -> int:
    shape = linear_shape(base.module.get_submodule(name))
    assert shape is not None, name
    return shape[0]


def _unknown(base: BaseModel, name: str) -> Spectrum:
    """No directions: of a layer that none of the texts reached, such as an expert, nothing is protected."""
    return Spectrum(torch.zeros(_width(base, name), 0), torch.zeros(0))


def _spectrum(moment_DD: Tensor, precision: torch.dtype) -> Spectrum:
    width = len(moment_DD)
    if width <= KEPT:
        values_D, vectors_DD = torch.linalg.eigh(moment_DD)
        return Spectrum(vectors_DD.flip(1).to(precision).contiguous(), values_D.flip(0).clamp(min=0))
    values_K, vectors_DK = _strongest(moment_DD, KEPT)
    rest = float((moment_DD.trace() - values_K.sum()).clamp(min=0)) / (width - KEPT)
    return Spectrum(vectors_DK.to(precision).contiguous(), values_K, rest)


def _strongest(moment_DD: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest eigenvalues and their eigenvectors, by subspace iteration from fixed random directions."""
    generator = torch.Generator().manual_seed(0)
    vectors_DK = torch.randn(len(moment_DD), count, generator=generator).to(moment_DD.device)
    for _ in range(POWER_ITERATIONS):
        vectors_DK = torch.linalg.qr(moment_DD @ vectors_DK).Q
    values_K, inner_KK = torch.linalg.eigh(vectors_DK.T @ moment_DD @ vectors_DK)
    return values_K.flip(0).clamp(min=0), vectors_DK @ inner_KK.flip(1)
