"""Rankings: rows about the same questions, by the same grader and prompts, compared pairwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seal_agent.evaluation.results import Results
from seal_agent.evaluation.statistics import MIN_CERTAIN, Comparison, compare


@dataclass(frozen=True, slots=True)
class Entry:
    """A row and the file that it stands in."""

    path: Path
    results: Results


@dataclass(frozen=True, slots=True)
class RankedEntry:
    """A row in its ranking.

    `rank` is 1 + the number of rows that are statistically better; None for a row of too few units to be told from any
    other. The gain is over the base model of the same weights.
    """

    entry: Entry
    rank: int | None
    gain: Comparison | None

    @property
    def results(self) -> Results:
        return self.entry.results


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows that may be compared, best first."""

    suite: str
    data_name: str
    data_hash: str
    grader: str
    prompt_hash: str
    rows: tuple[RankedEntry, ...]

    @property
    def units(self) -> int:
        return max(row.results.data.units for row in self.rows)


def rankings(entries: Sequence[Entry]) -> list[Ranking]:
    """One ranking for each suite, data hash, grader and prompt hash; those with more rows first."""
    groups: dict[tuple[str, str, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.results.ranking_key, []).append(entry)
    found = [_ranking(group) for group in groups.values()]
    return sorted(found, key=lambda ranking: (ranking.suite, -len(ranking.rows), -ranking.units))


def _ranking(group: Sequence[Entry]) -> Ranking:
    rows = [_ranked(entry, group) for entry in group]
    rows.sort(key=lambda row: (row.rank is None, row.rank or 0, -signed(row.results)))
    first = rows[0].results
    return Ranking(first.suite, first.data.name, first.data.hash, first.grader, first.prompt_hash, tuple(rows))


def _ranked(entry: Entry, group: Sequence[Entry]) -> RankedEntry:
    results = entry.results
    enough = results.measures[results.primary].count >= MIN_CERTAIN
    better = sum(is_better(other.results, results) for other in group if other is not entry)
    base = max(rows_of_mode([each.results for each in group], results, "base"), key=signed, default=None)
    gain = compare(results.units, base.units, results.primary) if base and base is not results else None
    return RankedEntry(entry, 1 + better if enough else None, gain)


def is_better(first: Results, second: Results) -> bool:
    """Whether the first row is statistically better: the paired difference's 95 % interval leaves zero out."""
    found = compare(first.units, second.units, first.primary)
    if found is None or not found.certain:
        return False
    return (found.difference.mean > 0) == first.higher_is_better


def signed(results: Results) -> float:
    """What ranks the row, as a number of which more is better."""
    value = results.measures[results.primary].value
    return value if results.higher_is_better else -value


def rows_of_mode(group: Sequence[Results], own: Results, mode: str) -> list[Results]:
    """The rows of a mode with the same weights as the own one."""
    return [row for row in group if row.recipe.mode == mode and row.model.identity == own.model.identity]


def of_one_corpus(rivals: Sequence[Results], own: Results) -> list[Results]:
    """The rivals that searched where the row itself did; those of the largest corpus for a row that searched nothing.

    Retrieval among few passages is easier, so that shares of it are larger.
    """
    searched = own.recipe.mode == "retrieval"
    corpus = _corpus(own) if searched else max(map(_corpus, rivals), default=(0, ""))
    return [rival for rival in rivals if _corpus(rival) == corpus]


def _corpus(results: Results) -> tuple[float, str]:
    """Size and hash of what was searched; rows of older versions have the size alone."""
    corpus = results.recipe.corpus
    return (corpus.passages, corpus.hash) if corpus else (results.figures.get("passages_searched", 0.0), "")
