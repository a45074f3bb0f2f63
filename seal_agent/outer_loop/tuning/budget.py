"""A budget in minutes: which probes there is room for, and on how many passages the winner is confirmed.

A budget is shared out before it is spent. The named recipes come first, the default at once and the others as far as
their share goes; then children, until what is left is for the further stages of the promising; confirming has a share
that the search does not touch. While the default leads, all but the least of that share goes back to the search: there
is no winner yet to be confirmed. Seconds are those of finished work, as the ledger has them, and every decision that
they made is on file too: the same command decides the same, and a larger budget goes on from there. What was confirmed
for a smaller budget counts as spent, and is not learnt again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seal_agent.config import TuneConfig
from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.outer_loop.tuning.confirm import CONFIRMING, REFERENCES
from seal_agent.outer_loop.tuning.costs import MAX_COST, relative_cost
from seal_agent.outer_loop.tuning.evidence import LEAST
from seal_agent.outer_loop.tuning.laboratory import MEASURE, RunLaboratory
from seal_agent.outer_loop.tuning.search import best, best_rival
from seal_agent.outer_loop.tuning.stages import Probe
from seal_agent.types import content_hash

PLAN = "plan"
"""The ledger's kind of a decision."""
ROOTS_SHARE = 0.25  # of the budget, that the named recipes may take at first; not tuned
CONFIRM_SHARE = 0.4  # of the budget at most, that is kept for confirming; not tuned
FURTHER_SHARE = 0.3  # of the search, that is kept for further stages; not tuned

_MINUTE = 60.0
_EXACT = 1e-6  # seconds by which sums of floating point may differ
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Confirming:
    """On how many passages each recipe is confirmed, and which references the winner is compared with."""

    passages: int
    references: tuple[str, ...]


def confirming_plan(room: float, paces: Sequence[float], most: int, done: Sequence[int] = ()) -> tuple[int, int]:
    """Passages of each recipe, and how many of the recipes, that a time has room for.

    All recipes are compared where that leaves at least half of `most` passages; else the first two, on at least LEAST
    passages, whatever the room.

    Args:
        room: Seconds.
        paces: Seconds per passage of the winner, the default, and others, in this order.
        done: How many passages each of them has learnt already.
    """
    least = min(LEAST, most)
    for count in (len(paces), min(2, len(paces))):
        fitting = [n for n in range(1, most + 1) if _seconds_of(n, paces[:count], done) <= max(0.0, room) + _EXACT]
        passages = max(fitting, default=0)
        if passages >= max(least, most / 2):
            return passages, count
    return max(least, passages), count


def reserve(total: float, paces: Sequence[float], most: int, done: Sequence[int] = ()) -> float:
    """Seconds of a budget that are kept for confirming: its share, but never less than the least, nor more than all.

    What is `done` already is of that share.
    """
    share = CONFIRM_SHARE * total - _seconds_of(most, paces) + _seconds_of(most, paces, done)
    return min(max(share, least_reserve(paces, most, done)), _seconds_of(most, paces, done))


def least_reserve(paces: Sequence[float], most: int, done: Sequence[int] = ()) -> float:
    """Seconds of the shortest confirming, of the first two."""
    return _seconds_of(min(LEAST, most), paces[:2], done)


def _seconds_of(passages: int, paces: Sequence[float], done: Sequence[int] = ()) -> float:
    """Seconds in which recipes with these paces learn so many passages each, without those that are done."""
    left = (max(0, passages - count) for count in (*done, *[0] * len(paces)))
    return sum(pace * count for pace, count in zip(paces, left, strict=False))


def least_passages(config: TuneConfig) -> int:
    """Passages of the smallest run that searches: the default, a child, and both of them confirmed."""
    return 2 * config.stages[0] + 2 * min(LEAST, config.confirming)


def shortage(minutes: float, config: TuneConfig, seconds_per_passage: float) -> str:
    """What is wrong with a budget that has no room for any search; "" where it has."""
    needed = least_passages(config) * seconds_per_passage / _MINUTE
    if minutes >= needed:
        return ""
    return (
        f"{minutes:g} minutes are too few: at {seconds_per_passage:.0f} s a passage the smallest search takes "
        f"{needed:.0f}; give a larger --budget, or fewer passages with --stages and --confirm"
    )


@dataclass(frozen=True, slots=True)
class _Clock:
    """Seconds of all work before a step, and what a passage took each candidate, questions included.

    `confirmed` are the passages that each candidate learnt for a smaller budget's confirming.
    """

    spent: float
    paces: Mapping[str, float]
    confirmed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What was decided for a step: whether the archive may grow, and what is measured on how many passages."""

    grows: bool
    passages: tuple[tuple[str, int], ...]

    def is_about(self, probes: Sequence[Probe]) -> bool:
        """Whether the step has all candidates of the plan: not where a judge that was back changed what came before."""
        return {name for name, _ in self.passages} <= {probe.candidate.id for probe in probes}


@dataclass(frozen=True, slots=True)
class _End:
    """At which step the search of a budget ended, and how its winner is confirmed."""

    step: int
    confirming: Confirming


class MinutesOrSteps:
    """What a search may do within minutes of work, a number of steps, or both. Implements Allowance."""

    def __init__(self, minutes: float | None, steps: int | None, config: TuneConfig, laboratory: RunLaboratory) -> None:
        self.steps, self.config, self.laboratory, self.run = steps, config, laboratory, laboratory.run
        self.minutes = minutes
        self._clocks: dict[int, _Clock] = {}
        self._grows: dict[int, bool] = {}
        self._asked = 0  # the last step that was asked about
        self._end_key = content_hash([PLAN, "end", minutes, steps])
        self.total = float("inf") if minutes is None else minutes * _MINUTE

    def grows(self, archive: Archive, step: int) -> bool:
        """Whether a step may make children: while a passage of the dearest leaves enough for further stages.

        Answered once for a step, before it has children.
        """
        if step not in self._grows:
            self._grows[step] = self._may_grow(archive, step)
        return self._grows[step]

    def _may_grow(self, archive: Archive, step: int) -> bool:
        if self._has_ended(step):
            return False
        if kept := self._kept(step):
            return kept.grows
        if self.minutes is None or self._is_begun(step):
            return True
        return MAX_COST * self._pace(archive, _first(archive), step) <= self._room_to_grow(archive, step)

    def admitted(self, archive: Archive, step: int, probes: Sequence[Probe]) -> list[Probe]:
        """The probes that there is room for, on as many passages as there is; none where the search ends."""
        self._asked = step
        if self._has_ended(step) or (self.steps is not None and step > self.steps):
            return []
        kept = self._kept(step)
        if kept and kept.is_about(probes):
            passages = dict(kept.passages)
            return [_cut(probe, passages[probe.candidate.id]) for probe in probes if probe.candidate.id in passages]
        if self.minutes is None or (kept is None and self._is_begun(step)):
            return list(probes)
        grows, chosen = self.grows(archive, step), self._affordable(archive, step, probes)
        lack = shortage(self.minutes, self.config, self._pace(archive, _first(archive), step))
        if lack and step == 1:
            _LOG.warning(lack)
        are_roots = any(_is_root(probe, archive) for probe in probes)
        if chosen or (are_roots and not lack):  # an end is on file for its budget alone: a larger one decides it anew
            plan = _Plan(grows, tuple((probe.candidate.id, len(probe.passages)) for probe in chosen))
            self.run.record(_key(step), PLAN, step, plan, again=True)
        return chosen

    def confirming(self, archive: Archive) -> Confirming:
        """What is left is for confirming: on how many passages, against which references. Decided once for a budget."""
        names = tuple(name for name in REFERENCES if any(candidate.name == name for candidate in archive))
        pieces = self.run.counts()
        begun_without = (CONFIRMING, MEASURE) in pieces and not any(kind == PLAN for _, kind in pieces)
        if self.minutes is None or begun_without:
            return Confirming(self.config.confirming, names)
        if end := self.run.find(self._end_key, _End):
            return end.confirming
        step = 1 + max(step for step, _ in pieces)
        paces, done = self._to_confirm(archive, step)
        room = self.total - self._clock(step).spent
        passages, count = confirming_plan(room, paces, self.config.confirming, done)
        plan = Confirming(passages, names[: len(names) - (len(paces) - count)])
        self.run.record(self._end_key, PLAN, CONFIRMING, _End(self._asked, plan))
        return plan

    # ------------------------------------------------------------ room

    def _affordable(self, archive: Archive, step: int, probes: Sequence[Probe]) -> list[Probe]:
        """In their order, on as many passages as fit."""
        if step == 0:
            return list(probes[:1])  # the default shows the pace
        room, growth = self._room(archive, step), self._room_to_grow(archive, step)
        if any(_is_root(probe, archive) for probe in probes):
            growth = min(growth, self.total * ROOTS_SHARE - self._clock(step).spent)
        chosen = []
        for probe in probes:
            pace, is_first = self._pace(archive, probe.candidate, step), not archive.scores(probe.candidate.id)
            left = max(0.0, min(growth, room) if is_first else room)
            fitting = min(len(probe.passages), int(left / pace)) if pace else len(probe.passages)
            if fitting:
                chosen.append(_cut(probe, fitting))
                room, growth = room - fitting * pace, growth - (fitting * pace if is_first else 0.0)
        return chosen

    def _room(self, archive: Archive, step: int) -> float:
        """Seconds that the search has left."""
        kept, _ = self._shares(archive, step)
        return self.total - self._clock(step).spent - kept

    def _room_to_grow(self, archive: Archive, step: int) -> float:
        """Of those seconds, what new candidates may take: all but a share for the stages that others wait for."""
        _, searching = self._shares(archive, step)
        last = self.config.stages[-1]
        waits = any(0 < len(archive.scores(c.id)) < last and not archive.left(c.id) for c in archive)
        return self._room(archive, step) - (FURTHER_SHARE * searching if waits else 0.0)

    def _shares(self, archive: Archive, step: int) -> tuple[float, float]:
        """Seconds that are kept for confirming, and those of the search.

        Where the search has used up its own while the default leads, they are those that it gets back.
        """
        default, (paces, done) = _first(archive), self._to_confirm(archive, step)
        most = self.config.confirming
        kept, least = reserve(self.total, paces, most, done), least_reserve(paces, most, done)
        room = self.total - self._clock(step).spent - kept
        leads = best(archive, self.config.percentile).id == default.id
        if leads and room < MAX_COST * self._pace(archive, default, step):
            return least, kept - least
        return kept, self.total - kept

    def _to_confirm(self, archive: Archive, step: int) -> tuple[list[float], list[int]]:
        """Seconds per passage of the winner so far, the default and the other references, and what each has learnt.

        Where no recipe but the default is viable, the winner to come counts like the default.
        """
        default, confirmed = _first(archive), self._clock(step).confirmed
        winner = best_rival(archive, default, self.config.percentile)
        named = [c for name in REFERENCES for c in archive if c.name == name and c.id != default.id]
        others = [default, *(c for c in named if not winner or c.id != winner.id)]
        paces = [self._pace(archive, candidate, step) for candidate in (winner or default, *others)]
        return paces, [confirmed.get(winner.id, 0) if winner else 0, *(confirmed.get(c.id, 0) for c in others)]

    def _pace(self, archive: Archive, candidate: Candidate, step: int) -> float:
        """Seconds per passage, questions included: as measured before a step, or by the parent's or the default's."""
        measured = self._clock(step).paces.get(candidate.id)
        if measured is not None:
            return measured
        parent = candidate.parent
        other = archive[parent] if parent and parent in archive else _first(archive)
        if other.id == candidate.id:
            return 0.0
        return self._pace(archive, other, step) * relative_cost(candidate.recipe, other.recipe)

    def _clock(self, step: int) -> _Clock:
        """Read once for a step: nothing of what was before it changes."""
        if step not in self._clocks:
            overhead, paces = self.laboratory.overhead(before=step), self.laboratory.paces(before=step)
            self._clocks[step] = _Clock(
                self.laboratory.seconds(before=step),
                {name: pace * overhead for name, pace in paces.items()},
                self.laboratory.judged(CONFIRMING),
            )
        return self._clocks[step]

    # ------------------------------------------------------------ decisions on file

    def _kept(self, step: int) -> _Plan | None:
        return self.run.find(_key(step), _Plan)

    def _has_ended(self, step: int) -> bool:
        """Whether the search of this budget ended before, at this step or an earlier one."""
        end = self.run.find(self._end_key, _End)
        return end is not None and step >= end.step

    def _is_begun(self, step: int) -> bool:
        """Whether a step was begun without a decision: by a number of steps, or by an older version."""
        return (step, MEASURE) in self.run.counts()


def _is_root(probe: Probe, archive: Archive) -> bool:
    return not probe.candidate.parents and not archive.scores(probe.candidate.id)


def _first(archive: Archive) -> Candidate:
    """The default, which every archive begins with."""
    return next(iter(archive))


def _cut(probe: Probe, count: int) -> Probe:
    return Probe(probe.candidate, probe.passages[:count])


def _key(step: int) -> str:
    return content_hash([PLAN, step])
