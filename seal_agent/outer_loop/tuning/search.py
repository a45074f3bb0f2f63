"""The archive's growth, on one screen: draw parents by their clades, change them, measure in stages, keep all.

    archive   = the named recipes, each measured on the first passages, as far as there is room
    for each step, in each of its places:
        where the archive may grow:  a child of a parent drawn by its clade, measured on the first passages
        else:                        a candidate drawn by its own score, measured on its next passages
        whoever lies below its parent by the whole interval, harms or costs too much, is measured no further

Expanding and measuring are decoupled: the archive holds at most (passages measured) ^ `width` candidates, as in the
Huxley-Gödel Machine (arXiv 2510.21614). Every draw has a seed of its step, and what the laboratory gives is recorded:
a run that is begun again draws the same, and ends with the same archive.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Protocol

from seal_agent.config import TuneConfig
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.clades import draw_promising, least_belief
from seal_agent.outer_loop.tuning.costs import is_too_dear
from seal_agent.outer_loop.tuning.mutations import Propose, make_child
from seal_agent.outer_loop.tuning.stages import Probe, leave_early, next_probe
from seal_agent.seeds import derived_seed
from seal_agent.types import Context

CLOSE = 0.01  # of a share of wins: of recipes that are as good to within this, the cheapest wins; not tuned


class Laboratory(Protocol):
    """Measures recipes, and lets the model propose changes."""

    def measure(self, step: int, probes: Sequence[Probe]) -> list[tuple[PassageScore, ...]]:
        """The scores of each probe's passages."""
        ...

    def proposer(self, archive: Archive, step: int, place: int) -> Propose | None:
        """What the model proposes for a child in a place of a step; None where no model proposes."""
        ...


class Allowance(Protocol):
    """Says what a search may do."""

    def grows(self, archive: Archive, step: int) -> bool:
        """Whether a step may make children."""
        ...

    def admitted(self, archive: Archive, step: int, probes: Sequence[Probe]) -> list[Probe]:
        """The probes of a step that are measured, on as many of their passages as may be; none ends the search."""
        ...


@dataclass(frozen=True, slots=True)
class Steps:
    """Everything, for so many steps after the first. Implements Allowance."""

    most: int

    def grows(self, archive: Archive, step: int) -> bool:
        return True

    def admitted(self, archive: Archive, step: int, probes: Sequence[Probe]) -> list[Probe]:
        return list(probes) if step <= self.most else []


def search(
    roots: Sequence[Candidate],
    passages: Sequence[Context],
    config: TuneConfig,
    laboratory: Laboratory,
    allowance: Allowance,
    on_step: Callable[[Archive, int], None] = lambda archive, step: None,
) -> Archive:
    """Grow an archive from `roots`, of which the first is the reference, until nothing is left or allowed.

    Args:
        passages: Those that select, in the order in which every candidate learns them.
        allowance: Asked in each step. Roots that it does not admit in step 0 it is asked for once more, in step 1.
        on_step: Called after each step.
    """
    archive, waiting = Archive(config.max_harm), list(roots)
    for step in count():
        if waiting:
            probes = _first(archive, waiting, passages, config)
        else:
            grows = allowance.grows(archive, step)
            probes = _probes(archive, step, passages, config, laboratory, grows, roots[0].id)
        chosen = allowance.admitted(archive, step, probes)
        if not chosen and not waiting:
            _drop_unmeasured(archive)
            return archive
        measured = {probe.candidate.id for probe in chosen}
        waiting = [root for root in waiting if root.id not in measured] if step == 0 else []
        for probe, scores in zip(chosen, laboratory.measure(step, chosen), strict=True):
            archive.record(probe.candidate.id, scores)
        _drop_unmeasured(archive)
        for probe in chosen:
            leave_early(archive, probe.candidate, roots[0].id)
        on_step(archive, step)
    raise AssertionError("count() ends never")


def best(archive: Archive, percentile: float) -> Candidate:
    """The viable candidate whose share of wins is surest to be high: that of the highest lower percentile.

    Of all that were measured where none is viable; of all before anything was measured.

    Of those that are as good to within CLOSE, the one that trains on the fewest tokens.
    """
    return _best_of(archive, archive.viable() or archive.measured() or [c.id for c in archive], percentile)


def best_rival(archive: Archive, reference: Candidate, percentile: float) -> Candidate | None:
    """The best candidate; where that is the reference, the best of the others. None where no other is viable."""
    others = [name for name in archive.viable() if name != reference.id]
    if not others:
        return None
    first = best(archive, percentile)
    return first if first.id != reference.id else _best_of(archive, others, percentile)


def _best_of(archive: Archive, names: Sequence[str], percentile: float) -> Candidate:
    nodes = [archive.node(name) for name in names]
    beliefs = {node.name: least_belief(node.wins, node.losses, percentile) for node in nodes}
    close = [name for name, belief in beliefs.items() if belief >= max(beliefs.values()) - CLOSE]
    return archive[min(close, key=lambda name: (archive.tokens(name) or math.inf, -beliefs[name]))]


def _first(
    archive: Archive, roots: Sequence[Candidate], passages: Sequence[Context], config: TuneConfig
) -> list[Probe]:
    """The first stage of roots that are not in the archive yet."""
    for root in roots:
        archive.add(root)
    return [probe for root in roots if (probe := next_probe(archive, root, passages, config))]


def _drop_unmeasured(archive: Archive) -> None:
    """Take out what was not admitted."""
    for candidate in [candidate for candidate in archive if not archive.scores(candidate.id)]:
        archive.drop(candidate.id)


def _probes(
    archive: Archive,
    step: int,
    passages: Sequence[Context],
    config: TuneConfig,
    laboratory: Laboratory,
    grows: bool,
    reference: str,
) -> list[Probe]:
    """What a step measures: new children while the archive may grow, further stages of candidates otherwise."""
    too_dear = partial(is_too_dear, archive, reference=reference)
    probes: list[Probe] = []
    for place in range(config.children):
        draw = random.Random(derived_seed(config.seed, "step", step, place))
        taken = {probe.candidate.id for probe in probes}
        further = {
            candidate.id: probe
            for candidate in archive
            if candidate.id not in taken and (probe := next_probe(archive, candidate, passages, config))
        }
        planned = sum(len(probe.passages) for probe in probes)
        if grows and (not further or (archive.passages_measured() + planned) ** config.width >= len(archive)):
            propose = laboratory.proposer(archive, step, place)
            if child := make_child(archive, step, config.parents, draw, propose, too_dear):
                archive.add(child)
                first = next_probe(archive, child, passages, config)
                assert first, "a new candidate has every stage before it"
                probes.append(first)
                continue
        if further:
            probes.append(further[draw_promising([archive.node(name) for name in further], draw)])
    return probes
