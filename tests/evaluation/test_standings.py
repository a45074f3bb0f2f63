"""Rows that lack units on the board: marked, compared on the units that both rows have, and not ranked above others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from bench_rows import novel_row, read

from seal_agent.evaluation.failed import MOST_FAILED
from seal_agent.evaluation.leaderboard.markdown import markdown
from seal_agent.evaluation.leaderboard.rows import Rows
from seal_agent.evaluation.leaderboard.site import build_site, entries_of
from seal_agent.evaluation.leaderboard.standings import MOST_MISSING, Standing, Standings, standings
from seal_agent.evaluation.results import Unit, write_results
from seal_agent.evaluation.statistics import measures_of

Kept = Callable[[int, Unit], bool]


def lacking(path: Path, kept: Kept, seeds: int = 1) -> Path:
    """The row without some of its units, which failed with every seed."""
    row = read(path)
    units = [unit for number, unit in enumerate(row.units) if kept(number, unit)]
    failures = [f"{unit.title}: loss is NaN" for unit in row.units if unit not in units for _ in range(seeds)]
    data = replace(row.data, units=len(units))
    less = replace(
        row, units=units, measures=measures_of(units), data=data, failures=failures, seeds=list(range(seeds))
    )
    write_results(less, path)
    return path


def right(number: int, unit: Unit) -> bool:
    return unit.scores["contains"] > 0.5


def board_of(folder: Path) -> Standings:
    (board,) = standings(entries_of([folder]))
    return board


def row_of(board: Standings, recipe: str) -> Standing:
    return next(row for row in board.rows if row.results.recipe.name == recipe)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """An honest recipe, the same one without the passages that it gets wrong, and the passage in the prompt."""
    folder = tmp_path / "rows"
    novel_row(folder, "honest", [6, 6, 2, 2])
    lacking(novel_row(folder, "fails", [6, 6, 2, 2]), right)
    novel_row(folder, "in_context", [4, 4, 2, 2], mode="in_context")
    return folder


def test_a_row_that_lacks_units_stands_last_and_without_a_rank(rows: Path) -> None:
    board = board_of(rows)
    assert [(row.results.recipe.name, row.rank) for row in board.rows][-1] == ("fails", None)
    assert (row_of(board, "fails").measured, row_of(board, "fails").asked, board.units) == (4, 8, 8)


def test_a_row_that_lacks_units_lowers_no_rank(tmp_path: Path) -> None:
    novel_row(tmp_path, "honest", [3], passages=16)
    lacking(novel_row(tmp_path, "fails", [6], passages=16), lambda number, _: number < 13)
    board = board_of(tmp_path)
    assert {row.results.recipe.name: row.rank for row in board.rows} == {"honest": 1, "fails": None}


def test_a_small_share_of_failures_is_marked_and_ranked(tmp_path: Path) -> None:
    novel_row(tmp_path, "honest", [3], passages=16)
    lacking(novel_row(tmp_path, "fails", [6], passages=16), lambda number, _: number < 15)
    assert MOST_MISSING > 1 / 16
    assert [row.rank for row in board_of(tmp_path).rows] == [1, 2]
    assert "fails *(15 of 16 measured)*" in markdown(entries_of([tmp_path]))


def test_what_the_board_does_not_rank_cannot_be_contributed() -> None:
    assert MOST_MISSING == MOST_FAILED


def test_shares_are_of_the_units_that_both_rows_have(rows: Path) -> None:
    board = board_of(rows)
    fails, other = row_of(board, "fails"), row_of(board, "in_context").results
    of_other = {unit.id: unit.scores["contains"] for unit in other.units}
    share = fails.of_in_context
    assert share
    assert share.units == 4
    both = [(unit.scores["contains"], of_other[unit.id]) for unit in fails.results.units]
    assert share.value == pytest.approx(fmean(a for a, _ in both) / fmean(b for _, b in both))
    assert share.value == pytest.approx(1.5)


def test_the_page_and_the_markdown_say_what_was_not_measured_and_why(rows: Path, tmp_path: Path) -> None:
    build_site(entries_of([rows]), tmp_path / "site")
    page = (tmp_path / "site" / "novel_n1.html").read_text()
    assert "4 of 8 measured, not ranked</mark>" in page
    assert "loss is NaN" in page
    assert '<h2 id="r1">8 passages of seal_novel</h2>' in page
    assert "| – | model | fails *(4 of 8 measured, not ranked)* |" in markdown(entries_of([rows]))


def test_a_row_alone_knows_from_its_failures_what_it_lacks(tmp_path: Path) -> None:
    lacking(novel_row(tmp_path, "fails", [6, 6, 2, 2]), right, seeds=3)
    (row,) = board_of(tmp_path).rows
    assert (row.measured, row.asked, row.rank) == (4, 8, None)
    build_site(entries_of([tmp_path]), tmp_path / "site")
    overview = " ".join((tmp_path / "site" / "index.html").read_text().split())
    assert "Best mean of one row, none of which is ranked: too few passages were measured" in overview


def test_what_failed_with_one_seed_is_measured_with_the_others(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [6])
    row = read(path)
    failures = [f"{row.units[0].title}: loss is NaN"]
    write_results(replace(row, seeds=[0, 1], failures=failures), path)
    (standing,) = board_of(tmp_path).rows
    assert (standing.measured, standing.asked) == (8, 8)
    assert "*(1 failed)*" in markdown(entries_of([tmp_path]))


def test_sequences_that_failed_are_named_without_their_seed(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [6], passages=3)
    row = read(path)
    units = [replace(unit, title=f"sequence {number}") for number, unit in enumerate(row.units, 1)]
    failures = [f"sequence {number}, seed {seed}: loss is NaN" for number in (3, 4) for seed in (0, 1)]
    write_results(replace(row, units=units, seeds=[0, 1, 2], failures=[*failures, "sequence 4, seed 2: no"]), path)
    (standing,) = board_of(tmp_path).rows
    assert (standing.measured, standing.asked) == (3, 4)


def test_the_rows_of_a_board_are_compared_once(rows: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from seal_agent.evaluation.leaderboard import rows as rows_module

    calls = []
    monkeypatch.setattr(rows_module, "standings", lambda entries: calls.append(entries) or standings(entries))
    entries = entries_of([rows])
    build_site(entries, tmp_path / "site")
    markdown(entries)
    assert (len(calls), isinstance(entries, Rows)) == (1, True)
