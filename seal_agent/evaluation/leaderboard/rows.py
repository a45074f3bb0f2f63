"""The rows of a board: results files, each row once, without the copies that a site has of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import overload

from seal_agent.errors import InputError
from seal_agent.evaluation.leaderboard.standings import Standings, standings
from seal_agent.evaluation.ranking import Entry
from seal_agent.evaluation.results import results_in
from seal_agent.evaluation.suites import SUITES

DATA = "data"
"""The folder of a site with copies of the rows, a folder named by its id for each."""
HOME_PAGE = "index.html"
PAGE_TITLE = "seal-agent leaderboard</title>"
"""What every page of a site has in it, and those of other programs do not."""
_ID = re.compile(r"[0-9a-f]{12}")


class Rows(Sequence[Entry]):
    """The rows of a board. They are compared once, however often their standings are asked for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = tuple(entries)

    @cached_property
    def standings(self) -> list[Standings]:
        return standings(self._entries)

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Entry, ...]: ...

    def __getitem__(self, index: int | slice) -> Entry | tuple[Entry, ...]:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)


def standings_of(entries: Sequence[Entry]) -> list[Standings]:
    """The standings of rows, those that `Rows` remember where they are such."""
    return entries.standings if isinstance(entries, Rows) else standings(entries)


def entries_of(folders: Sequence[str | Path]) -> Rows:
    """All results files below the folders, each row once: the first file that has it. Raises InputError.

    Copies in a site are left out, unless the site itself is what is named.
    """
    found = [entry for folder in folders for entry in _entries_in(Path(folder))]
    if not found:
        raise InputError(f"there are no results in {', '.join(map(str, folders))}; make some with `seal bench`")
    unknown = [entry for entry in found if entry.results.suite not in SUITES]
    if unknown:
        raise InputError(f"{unknown[0].path} is of the suite {unknown[0].results.suite!r}, which this version lacks")
    rows: dict[str, Entry] = {}
    for entry in found:
        _check_ranked(entry)
        rows.setdefault(entry.results.id, entry)
    return Rows(list(rows.values()))


def _entries_in(folder: Path) -> list[Entry]:
    found = [Entry(path, results) for path, results in results_in(folder)]
    own = [entry for entry in found if not _is_copy(entry.path)]
    named = any(is_site(place) for place in (folder, *folder.absolute().parents))
    return found if named and not own else own


def is_site(folder: Path) -> bool:
    """Whether the folder is a site of this program."""
    return is_page(folder / HOME_PAGE)


def is_page(path: Path) -> bool:
    """Whether a file is a page that this program made."""
    try:
        return PAGE_TITLE in path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _is_copy(path: Path) -> bool:
    """Whether a file lies where a site keeps its copies."""
    folder = path.absolute().parent
    return bool(_ID.fullmatch(folder.name)) and folder.parent.name == DATA and is_site(folder.parent.parent)


def _check_ranked(entry: Entry) -> None:
    """Raises InputError for a row that does not have what its suite ranks by."""
    results, suite = entry.results, SUITES[entry.results.suite]
    if (results.primary, results.higher_is_better) != (suite.primary, suite.higher_is_better):
        raise InputError(f"{entry.path} is not ranked by {suite.primary} as {suite.name} is; `seal submit` says more")
    if results.primary not in results.measures:
        raise InputError(f"{entry.path} has no {results.primary}, by which {suite.name} is ranked; make the row again")
