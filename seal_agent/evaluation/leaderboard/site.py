"""Builds the site: one page per suite, and copies of the results files that its rows link to."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from seal_agent.errors import InputError
from seal_agent.evaluation.files import write_atomically
from seal_agent.evaluation.leaderboard.cells import Table, table_of
from seal_agent.evaluation.leaderboard.note_curves import note_curve_svg
from seal_agent.evaluation.leaderboard.pareto import pareto_svg, points_of
from seal_agent.evaluation.leaderboard.quoted import quoted_rows
from seal_agent.evaluation.ranking import Entry, Ranking, rankings
from seal_agent.evaluation.results import results_in
from seal_agent.evaluation.suites import SUITES, Suite

ASSETS = (
    "board.css",
    "board.js",
    "vendor/tablesort.min.js",
    "vendor/tablesort.number.min.js",
    "vendor/LICENSE-tablesort.txt",
)
DATA = "data"


@dataclass(frozen=True, slots=True)
class Shown:
    """A ranking on a page: its table and its pictures, "" where there is nothing to draw."""

    ranking: Ranking
    table: Table
    picture: str
    notes: str

    @property
    def first(self) -> str:
        """The measure that ranks of the first row, with its unit and interval."""
        place, column = next((i, c) for i, c in enumerate(self.table.columns) if c.weight == "primary")
        return f"{column.name.partition(', %')[0]}: {self.table.lines[0].cells[place].text}"


def entries_of(folders: Sequence[str | Path]) -> list[Entry]:
    """All results files below the folders, each row once. Raises InputError."""
    found = [Entry(path, results) for folder in folders for path, results in results_in(folder)]
    if not found:
        raise InputError(f"there are no results in {', '.join(map(str, folders))}; make some with `seal bench`")
    unknown = [entry for entry in found if entry.results.suite not in SUITES]
    if unknown:
        raise InputError(f"{unknown[0].path} is of the suite {unknown[0].results.suite!r}, which this version lacks")
    for entry in found:
        _check_ranked(entry)
    return list({entry.results.id: entry for entry in found}.values())


def _check_ranked(entry: Entry) -> None:
    """Raises InputError for a row that does not have what its suite ranks by."""
    results, suite = entry.results, SUITES[entry.results.suite]
    if (results.primary, results.higher_is_better) != (suite.primary, suite.higher_is_better):
        raise InputError(f"{entry.path} is not ranked by {suite.primary} as {suite.name} is; `seal submit` says more")
    if results.primary not in results.measures:
        raise InputError(f"{entry.path} has no {results.primary}, by which {suite.name} is ranked; make the row again")


def build_site(entries: Sequence[Entry], out: Path) -> list[Path]:
    """Write the pages, which need nothing but the folder; returns their paths, the overview first."""
    links = _copy_data(entries, out)
    for name in ASSETS:
        text = (resources.files(__package__) / name).read_bytes()
        write_atomically(out / "assets" / Path(name).name, text)
    by_suite: dict[str, list[Ranking]] = {}
    for ranking in rankings(entries):
        by_suite.setdefault(ranking.suite, []).append(ranking)
    pages = {
        name: [
            Shown(ranking, table_of(ranking, links, entries), _picture(ranking), note_curve_svg(ranking))
            for ranking in by_suite[name]
        ]
        for name in SUITES
        if name in by_suite
    }
    suites = [SUITES[name] for name in pages]
    written = [_write(out / "index.html", "index.html.jinja", suites=suites, current="", pages=pages)]
    for name, shown in pages.items():
        page = out / f"{name}.html"
        quoted = quoted_rows(name)
        written.append(
            _write(
                page, "suite.html.jinja", suites=suites, current=name, suite=SUITES[name], shown=shown, quoted=quoted
            )
        )
    return written


def _copy_data(entries: Sequence[Entry], out: Path) -> dict[str, str]:
    """Copy the results, and the answers beside them, into the site, a folder for each. Returns the links by id."""
    links = {}
    for entry in entries:
        folder = out / DATA / entry.results.id
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.path, folder / entry.path.name)
        links[entry.results.id] = f"{DATA}/{entry.results.id}/{entry.path.name}"
        samples = entry.results.samples
        if samples and (answers := entry.path.with_name(samples.file)).is_file():
            shutil.copyfile(answers, folder / samples.file)
    return links


def _picture(ranking: Ranking) -> str:
    suite: Suite = SUITES[ranking.suite]
    return pareto_svg(points_of(ranking)) if suite.kind in ("passages", "together") else ""


def _write(path: Path, template: str, **values: object) -> Path:
    environment = Environment(
        loader=PackageLoader(__package__, "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    write_atomically(path, environment.get_template(template).render(**values).encode())
    return path
