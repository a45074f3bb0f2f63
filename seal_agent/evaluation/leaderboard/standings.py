"""Rankings as the board shows them: rows that lack too many units stand last, without a rank."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.evaluation.ranking import (
    Entry,
    RankedEntry,
    Ranking,
    is_better,
    of_one_corpus,
    rankings,
    rows_of_mode,
    signed,
)
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.statistics import MOST_FAILED

MOST_MISSING = MOST_FAILED
"""Share of units that a ranked row may lack. What fails is rarely the easiest, so that a mean without it flatters."""
_SEED = re.compile(r", seed \d+$")


@dataclass(frozen=True, slots=True)
class Share:
    """What a row reaches of what a rival reaches on the units that both have measured."""

    value: float
    units: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A row on the board.

    `rank` is 1 + the number of complete rows that are statistically better; None for a row that is not complete, and
    where nothing could be told. `asked` are the units that were tried.
    """

    ranked: RankedEntry
    rank: int | None
    measured: int
    asked: int
    of_in_context: Share | None
    of_retrieval: Share | None

    @property
    def results(self) -> Results:
        return self.ranked.results

    @property
    def complete(self) -> bool:
        """Whether so few units are missing that the row can be ranked."""
        return self.asked - self.measured <= MOST_MISSING * self.asked


@dataclass(frozen=True, slots=True)
class Standings:
    """A ranking's rows in the order of the board: ranked ones, best first, then the others."""

    ranking: Ranking
    rows: tuple[Standing, ...]

    @property
    def units(self) -> int:
        """Units that the rows are about."""
        return max(row.asked for row in self.rows)


def standings(entries: Sequence[Entry]) -> list[Standings]:
    """The standings of every ranking of the rows, in the order of `rankings`."""
    return [_standings(ranking) for ranking in rankings(entries)]


def _standings(ranking: Ranking) -> Standings:
    known = {unit for row in ranking.rows for unit in _measured(row.results)}
    asked = {row.results.id: max(len(known), _tried(row.results)) for row in ranking.rows}
    rows = [_standing(row, ranking.rows, asked) for row in ranking.rows]
    lacking = [row.results for row in rows if not row.complete]
    rows = [_without(row, lacking) for row in rows]
    rows.sort(key=lambda row: (not row.complete, row.rank is None, row.rank or 0, -signed(row.results)))
    return Standings(ranking, tuple(rows))


def _standing(row: RankedEntry, group: Sequence[RankedEntry], asked: dict[str, int]) -> Standing:
    own = row.results
    shares = (_share(own, _rival(own, group, mode)) for mode in ("in_context", "retrieval"))
    return Standing(row, row.rank, len(_measured(own)), asked[own.id], *shares)


def _without(row: Standing, lacking: Sequence[Results]) -> Standing:
    """The row with a rank in which those that lack units do not count."""
    rank = row.rank if row.complete else None
    if rank is not None:
        rank -= sum(is_better(other, row.results) for other in lacking)
    return Standing(row.ranked, rank, row.measured, row.asked, row.of_in_context, row.of_retrieval)


def _measured(results: Results) -> dict[str, float]:
    """By unit, the measure that ranks."""
    return {unit.id: unit.scores[results.primary] for unit in results.units if results.primary in unit.scores}


def _tried(results: Results) -> int:
    """Units that were measured, and those that the failures name: at least so many, since titles may repeat.

    A unit that failed with some seeds is measured with the others.
    """
    titles = Counter(unit.title for unit in results.units if results.primary in unit.scores)
    failed = Counter(_unit_of(failure, titles) for failure in results.failures)
    seeds = max(1, len(results.seeds))
    lost = (math.ceil((count - titles[title] * (seeds - 1)) / seeds) for title, count in failed.items())
    return max(titles.total() + sum(max(0, count) for count in lost), len(results.units))


def _unit_of(failure: str, titles: Counter[str]) -> str:
    """The title of the unit that a failure is about; of a sequence without its seed."""
    own = max((title for title in titles if failure.startswith(f"{title}: ")), key=len, default="")
    return own or _SEED.sub("", failure.partition(": ")[0])


def _rival(own: Results, group: Sequence[RankedEntry], mode: str) -> Results | None:
    """The row of this mode with the same weights that has most of the own units, the best one of several.

    Retrieval's is of one corpus; see `of_one_corpus`.
    """
    units = _measured(own).keys()
    rows = of_one_corpus(rows_of_mode([row.results for row in group], own, mode), own)
    return max(rows, key=lambda other: (len(units & _measured(other).keys()), signed(other)), default=None)


def _share(own: Results, rival: Results | None) -> Share | None:
    if rival is None or rival is own:
        return None
    first, second = _measured(own), _measured(rival)
    both = first.keys() & second.keys()
    if not both or not (whole := fmean(second[unit] for unit in both)):
        return None
    return Share(fmean(first[unit] for unit in both) / whole, len(both))
