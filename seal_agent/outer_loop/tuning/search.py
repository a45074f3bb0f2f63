"""The archive's growth, on one screen: draw parents by their clades, change them, measure in stages, keep all.

    archive   = the named recipes, each measured on the first passages
    for each step, in each of its places:
        where the archive may grow:  a child of a parent drawn by its clade, measured on the first passages
        else:                        a candidate drawn by its own score, measured on its next passages
        whoever lies below its parent by the whole interval is measured no further

Expanding and measuring are decoupled: the archive holds at most (passages measured) ^ `width` candidates, as in the
Huxley-Gödel Machine (arXiv 2510.21614). Every draw has a seed of its step, and what the laboratory gives is recorded:
a run that is begun again draws the same, and ends with the same archive.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol

from seal_agent.config import TuneConfig
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.clades import draw_promising, least_belief
from seal_agent.outer_loop.tuning.mutations import Propose, make_child
from seal_agent.outer_loop.tuning.stages import Probe, leave_early, next_probe
from seal_agent.seeds import derived_seed
from seal_agent.types import Context


class Laboratory(Protocol):
    """Measures recipes, and lets the model propose changes."""

    def measure(self, step: int, probes: Sequence[Probe]) -> list[tuple[PassageScore, ...]]:
        """The scores of each probe's passages."""
        ...

    def proposer(self, archive: Archive, step: int, place: int) -> Propose | None:
        """What the model proposes for a child in a place of a step; None where no model proposes."""
        ...


def search(
    roots: Sequence[Candidate],
    passages: Sequence[Context],
    config: TuneConfig,
    laboratory: Laboratory,
    go_on: Callable[[Archive, int], bool],
    on_step: Callable[[Archive, int], None] = lambda archive, step: None,
) -> Archive:
    """Grow an archive from `roots`, of which the first is the reference, until nothing is left or `go_on` is False.

    Args:
        passages: Those that select, in the order in which every candidate learns them.
        go_on: Asked before each step after the first, with the archive and the step's number.
        on_step: Called after each step.
    """
    archive = Archive(config.max_harm)
    for root in roots:
        archive.add(root)
    for step in count():
        if step and not go_on(archive, step):
            return archive
        probes = _probes(archive, step, passages, config, laboratory) if step else _first(archive, passages, config)
        if not probes:
            return archive
        for probe, scores in zip(probes, laboratory.measure(step, probes), strict=True):
            archive.record(probe.candidate.id, scores)
        for probe in probes:
            leave_early(archive, probe.candidate, roots[0].id)
        on_step(archive, step)
    raise AssertionError("count() ends never")


def best(archive: Archive, percentile: float) -> Candidate:
    """The viable candidate whose share of wins is surest to be high: that of the highest lower percentile."""
    names = archive.viable() or [candidate.id for candidate in archive]
    nodes = [archive.node(name) for name in names]
    return archive[max(nodes, key=lambda node: least_belief(node.wins, node.losses, percentile)).name]


def _first(archive: Archive, passages: Sequence[Context], config: TuneConfig) -> list[Probe]:
    """The first stage of every root."""
    return [probe for candidate in archive if (probe := next_probe(archive, candidate, passages, config))]


def _probes(
    archive: Archive, step: int, passages: Sequence[Context], config: TuneConfig, laboratory: Laboratory
) -> list[Probe]:
    """What a step measures: new children while the archive may grow, further stages of candidates otherwise."""
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
        if not further or (archive.passages_measured() + planned) ** config.width >= len(archive):
            propose = laboratory.proposer(archive, step, place)
            if child := make_child(archive, step, config.parents, draw, propose):
                archive.add(child)
                first = next_probe(archive, child, passages, config)
                assert first, "a new candidate has every stage before it"
                probes.append(first)
                continue
        if further:
            probes.append(further[draw_promising([archive.node(name) for name in further], draw)])
    return probes
