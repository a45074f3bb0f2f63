"""Random search and successive halving, by the same measurements as the archive.

The archive begins with the named recipes, which are part of what it is. Its rivals begin with the default alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.provenance import recipe_key
from seal_agent.config import RECIPES, TuneConfig
from seal_agent.errors import InputError
from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.outer_loop.tuning.budget import CONFIRM_SHARE, FURTHER_SHARE, ROOTS_SHARE
from seal_agent.outer_loop.tuning.mutations import stepped
from seal_agent.outer_loop.tuning.search import Laboratory, search
from seal_agent.outer_loop.tuning.settings import SETTINGS, Change, changed, value_of
from seal_agent.outer_loop.tuning.stages import Probe
from seal_agent.types import Context

ETA = 3  # one of three goes on to the next rung, as stages grow by about as much

Strategy = Callable[[Sequence[Candidate], Sequence[Context], TuneConfig, Laboratory, int], Archive]
"""Spends a budget of passages, counted over all recipes, and returns what it measured."""


@dataclass(frozen=True, slots=True)
class Passages:
    """What a search may do with a budget of passages, shared out as MinutesOrSteps does. Implements Allowance."""

    budget: int
    config: TuneConfig

    def grows(self, archive: Archive, step: int) -> bool:
        """While a passage leaves enough for further stages."""
        return self._room_to_grow(archive) > 0

    def admitted(self, archive: Archive, step: int, probes: Sequence[Probe]) -> list[Probe]:
        """As many passages as there is room for."""
        room, growth = self.budget - archive.passages_measured(), self._room_to_grow(archive)
        if step == 0:
            growth = max(self.config.stages[0], int(ROOTS_SHARE / (1 - CONFIRM_SHARE) * self.budget))
        elif any(not probe.candidate.parents and not archive.scores(probe.candidate.id) for probe in probes):
            growth = 0  # roots had their share in step 0
        chosen = []
        for probe in probes:
            is_first = not archive.scores(probe.candidate.id)
            fitting = min(len(probe.passages), room, growth if is_first else room)
            if fitting > 0:
                chosen.append(Probe(probe.candidate, probe.passages[:fitting]))
                room, growth = room - fitting, growth - (fitting if is_first else 0)
        return chosen

    def _room_to_grow(self, archive: Archive) -> int:
        return int((1 - FURTHER_SHARE) * self.budget) - archive.passages_measured()


def clades(
    roots: Sequence[Candidate], passages: Sequence[Context], config: TuneConfig, laboratory: Laboratory, budget: int
) -> Archive:
    """The archive of `seal tune`, with the config's rule for parents."""
    return search(roots, passages, config, laboratory, Passages(budget, config))


def dgm(
    roots: Sequence[Candidate], passages: Sequence[Context], config: TuneConfig, laboratory: Laboratory, budget: int
) -> Archive:
    """The same with the rule of the Darwin-Gödel Machine."""
    return clades(roots, passages, replace(config, parents="dgm"), laboratory, budget)


def random_search(
    roots: Sequence[Candidate], passages: Sequence[Context], config: TuneConfig, laboratory: Laboratory, budget: int
) -> Archive:
    """The default and others drawn from the ranges, each on all passages."""
    return _measured_fully(roots[:1], _drawn(config.seed), passages, config, laboratory, budget)


def random_steps(
    roots: Sequence[Candidate], passages: Sequence[Context], config: TuneConfig, laboratory: Laboratory, budget: int
) -> Archive:
    """The default and random steps from it, each on all passages."""
    return _measured_fully(roots[:1], _near(roots[:1], config.seed), passages, config, laboratory, budget)


def halving(
    roots: Sequence[Candidate], passages: Sequence[Context], config: TuneConfig, laboratory: Laboratory, budget: int
) -> Archive:
    """Successive halving over the default and others drawn from the ranges."""
    return _halved(roots[:1], _drawn(config.seed), passages, config, laboratory, budget)


def halving_steps(
    roots: Sequence[Candidate], passages: Sequence[Context], config: TuneConfig, laboratory: Laboratory, budget: int
) -> Archive:
    """Successive halving over the default and random steps from it."""
    return _halved(roots[:1], _near(roots[:1], config.seed), passages, config, laboratory, budget)


STRATEGIES: dict[str, Strategy] = {
    "archive, clades": clades,
    "archive, DGM's rule": dgm,
    "random search": random_search,
    "random steps": random_steps,
    "successive halving": halving,
    "successive halving, steps": halving_steps,
}


def _measured_fully(
    roots: Sequence[Candidate],
    others: Iterator[Candidate],
    passages: Sequence[Context],
    config: TuneConfig,
    laboratory: Laboratory,
    budget: int,
) -> Archive:
    archive, stop = Archive(config.max_harm), config.stages[-1]
    chosen = _first(roots, others, max(1, budget // stop))
    _measure(archive, chosen, passages[:stop], laboratory, 0)
    return archive


def _halved(
    roots: Sequence[Candidate],
    others: Iterator[Candidate],
    passages: Sequence[Context],
    config: TuneConfig,
    laboratory: Laboratory,
    budget: int,
) -> Archive:
    """As many recipes as the budget takes through all rungs, those of them that are left."""
    archive = Archive(config.max_harm)
    parts = [end - start for start, end in zip((0, *config.stages), config.stages, strict=False)]
    cost = sum(part / ETA**rung for rung, part in enumerate(parts))
    left = _first(roots, others, max(1, int(budget / cost)))
    for rung, (start, end) in enumerate(zip((0, *config.stages), config.stages, strict=False)):
        _measure(archive, left, passages[start:end], laboratory, rung)
        ranked = sorted(left, key=lambda candidate: -archive.node(candidate.id).wins)
        left = ranked[: max(1, round(len(ranked) / ETA))]
    return archive


def _first(roots: Sequence[Candidate], others: Iterator[Candidate], number: int) -> list[Candidate]:
    """The roots and others up to a number, each once."""
    found = {root.id: root for root in roots[:number]}
    while len(found) < number:
        candidate = next(others)
        found.setdefault(candidate.id, candidate)
    return list(found.values())


def _measure(
    archive: Archive, chosen: Sequence[Candidate], passages: Sequence[Context], laboratory: Laboratory, step: int
) -> None:
    probes = [Probe(candidate, tuple(passages)) for candidate in chosen]
    for probe, scores in zip(probes, laboratory.measure(step, probes), strict=True):
        if probe.candidate.id not in archive:
            archive.add(probe.candidate)
        archive.record(probe.candidate.id, scores)


def _drawn(seed: int) -> Iterator[Candidate]:
    """Recipes with every setting drawn from its range."""
    draw, default = random.Random(f"drawn {seed}"), RECIPES["default"]
    while True:
        changes = [Change(s.name, value_of(default, s.name), s.drawn(draw)) for s in SETTINGS]
        if candidate := _candidate(Candidate.named("default", default), changes):
            yield candidate


def _near(roots: Sequence[Candidate], seed: int) -> Iterator[Candidate]:
    """Children of recipes by random steps."""
    draw = random.Random(f"near {seed}")
    while True:
        parent = draw.choice(roots)
        if candidate := _candidate(parent, stepped(parent, draw)):
            yield candidate


def _candidate(parent: Candidate, changes: Sequence[Change]) -> Candidate | None:
    """None where the settings do not go together."""
    try:
        recipe = changed(parent.recipe, changes)
    except InputError:
        return None
    return Candidate(recipe_key(recipe), recipe, "stepped", "", (), tuple(changes))
