"""Builds the site: one page per suite, and copies of the results files that its rows link to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from seal_agent.evaluation.files import write_atomically
from seal_agent.evaluation.leaderboard.cells import Files, Table, table_of
from seal_agent.evaluation.leaderboard.copies import copy_rows, remove_old_copies
from seal_agent.evaluation.leaderboard.note_curves import note_curve_svg
from seal_agent.evaluation.leaderboard.pareto import pareto_svg, points_of
from seal_agent.evaluation.leaderboard.quoted import quoted_rows
from seal_agent.evaluation.leaderboard.rows import HOME_PAGE, entries_of, is_page, standings_of
from seal_agent.evaluation.leaderboard.standings import MOST_MISSING, Standings
from seal_agent.evaluation.ranking import Entry
from seal_agent.evaluation.statistics import FEW, MIN_CERTAIN
from seal_agent.evaluation.suites import SUITES

__all__ = ["build_site", "entries_of"]

ASSETS = (
    "board.css",
    "board.js",
    "vendor/tablesort.min.js",
    "vendor/tablesort.number.min.js",
    "vendor/LICENSE-tablesort.txt",
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A ranking on a page: its table and its pictures, "" where there is nothing to draw."""

    board: Standings
    table: Table
    picture: str
    notes: str

    @property
    def first(self) -> str:
        """What the measure that ranks is in the first row, with its unit and interval."""
        place, column = next((i, c) for i, c in enumerate(self.table.columns) if c.weight == "primary")
        return f"{column.name.partition(', %')[0]}: {self.table.lines[0].cells[place].text}"

    @property
    def standing(self) -> str:
        """How the first row came to stand first."""
        first, rows = self.board.rows[0], f"{len(self.board.rows)} rows" if len(self.board.rows) > 1 else "one row"
        if first.rank is not None:
            return f"First of {rows}"
        unit = SUITES[self.board.ranking.suite].unit
        return f"Best mean of {rows}, none of which is ranked: too few {unit} were measured"


def build_site(entries: Sequence[Entry], out: Path) -> list[Path]:
    """Write the pages, which need nothing but the folder; returns their paths, the overview first.

    Pages and copies of an earlier site that this one lacks are removed; files of others stay.
    """
    copies = copy_rows(entries, out)
    for name in ASSETS:
        text = (resources.files(__package__) / name).read_bytes()
        write_atomically(out / "assets" / Path(name).name, text)
    by_suite: dict[str, list[Shown]] = {}
    for board in standings_of(entries):
        by_suite.setdefault(board.ranking.suite, []).append(_shown(board, copies, entries))
    pages = {name: by_suite[name] for name in SUITES if name in by_suite}
    suites = [SUITES[name] for name in pages]
    written = [_write(out / HOME_PAGE, "index.html.jinja", suites=suites, current="", pages=pages)]
    for name, shown in pages.items():
        page = out / f"{name}.html"
        quoted = quoted_rows(name)
        written.append(
            _write(
                page, "suite.html.jinja", suites=suites, current=name, suite=SUITES[name], shown=shown, quoted=quoted
            )
        )
    _remove_old_pages(out, written)
    remove_old_copies(out, copies)
    return written


def _shown(board: Standings, copies: Mapping[str, Files], entries: Sequence[Entry]) -> Shown:
    drawn = SUITES[board.ranking.suite].kind in ("passages", "together")
    picture = pareto_svg(points_of(board)) if drawn else ""
    return Shown(board, table_of(board, copies, entries), picture, note_curve_svg(board))


def _remove_old_pages(out: Path, written: Sequence[Path]) -> None:
    for page in out.glob("*.html"):
        if page not in written and is_page(page):
            page.unlink()


def _write(path: Path, template: str, **values: object) -> Path:
    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.globals |= {"few": FEW, "certain": MIN_CERTAIN, "most_missing": round(100 * MOST_MISSING)}
    write_atomically(path, environment.get_template(template).render(**values).encode())
    return path
