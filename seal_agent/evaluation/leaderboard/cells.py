"""What the leaderboard shows of a row: cells with a text, a value to sort by, and a longer explanation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from seal_agent.evaluation.leaderboard.elsewhere import KEPT, PERPLEXITY, Elsewhere, measured_elsewhere, usual_size
from seal_agent.evaluation.leaderboard.marks import Mark, marks_of
from seal_agent.evaluation.leaderboard.standings import Share, Standing, Standings
from seal_agent.evaluation.ranking import Entry
from seal_agent.evaluation.results import Measure, Results
from seal_agent.evaluation.suites import SUITES

PERCENT = 100.0
SHARES = (
    "contains", "direct", "is_answer", "exact_match", "cell_acc", "final", "base", "just_after", "kept",
    "smallest_lead", "changed_answers", "guard_before", "guard_after", "portability",
)  # fmt: skip
LESS_IS_BETTER = ("perplexity_ratio", "changed_answers")
NOTHING = "–"
LAST = 1e9
"""What a cell without a value sorts by; the page keeps it last in both directions."""


Weight = Literal["", "primary", "aside"]


@dataclass(frozen=True, slots=True)
class Cell:
    """`sort` is what a click on the column sorts by; numbers sort as numbers.

    `bar` are the lower end, the value and the upper end of a share, in per cent, where the page draws them.
    """

    text: str
    sort: float | str
    hint: str = ""
    bar: tuple[float, float, float] | None = None

    @property
    def parts(self) -> tuple[str, str]:
        """The value and its interval, "" without one."""
        value, bracket, interval = self.text.partition(" (")
        return value, f"({interval}" if bracket else ""

    @property
    def key(self) -> str:
        """`sort` as the page's script reads it: no exponents."""
        return self.sort if isinstance(self.sort, str) else f"{self.sort:.6f}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, what the heading means, whether its values are numbers, and its weight on the page.

    "primary" ranks, "aside" is for those who look closer. Where `high_first` is set, the first sorting by the column
    begins with the highest value.
    """

    name: str
    meaning: str
    numeric: bool = True
    weight: Weight = ""
    high_first: bool = False


@dataclass(frozen=True, slots=True)
class Files:
    """The copies that a site has of a row: its results, and its answers, "" where none were kept."""

    results: str
    answers: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a table, with the files behind it."""

    cells: tuple[Cell, ...]
    model: str
    recipe: str
    files: Files
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A ranking as a table. Columns that no row has are left out, but for the rank."""

    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def table_of(board: Standings, files: Mapping[str, Files], others: Sequence[Entry]) -> Table:
    """A ranking's table.

    Args:
        files: By the row's id, the copies that the site has of it.
        others: All rows of all suites, for what another suite says of the same model and recipe.
    """
    makers = _makers(board, others)
    cells = [[make(row) for _, make in makers] for row in board.rows]
    for place, of_row in enumerate(cells):  # rows of one rank stay in the order of their means
        of_row[0] = replace(of_row[0], sort=float(of_row[0].sort) + place / 1000)
    kept = [i for i in range(len(makers)) if i == 0 or any(row[i].text != NOTHING for row in cells)]
    lines = [
        Line(
            tuple(of_row[i] for i in kept),
            row.results.model.name,
            row.results.recipe.label,
            files[row.results.id],
            marks_of(row),
        )
        for row, of_row in zip(board.rows, cells, strict=True)
    ]
    return Table(tuple(makers[i][0] for i in kept), tuple(lines))


Maker = Callable[[Standing], Cell]


def _makers(board: Standings, others: Sequence[Entry]) -> list[tuple[Column, Maker]]:
    """Every column that a table may have, and what fills it."""
    primary = board.rows[0].results.primary
    return [
        (Column("Rank", "1 + the number of rows that are statistically better"), _rank),
        (Column("Model", "The base model", False), _model),
        (Column("Recipe", "How it learns, or what its prompt holds", False), lambda r: _text(r.results.recipe.label)),
        _of_measure(primary, "primary"),
        *(_of_measure(name) for name in _also(primary)),
        *_comparisons(others),
        (Column("Words", "Mean words of an answer", weight="aside"), lambda r: _plain(r.results, "words", 1)),
        _of_figure("s per passage", "Seconds to write about and train on one passage", "seconds_per_passage", 1),
        _of_figure("s per answer", "Seconds to answer one question, in batches", "seconds_per_answer", 2),
        _of_figure("Prompt tokens", "Mean tokens of a question's prompt", "prompt_tokens_per_answer", 0),
        _of_figure("Adapters per hour", "Passages learnt in an hour", "adapters_per_hour", 0, high_first=True),
        (Column("Hardware", "Where the row was made", False, "aside"), lambda r: _text(_hardware(r.results))),
        (Column("Date", "When the run began", False, "aside"), lambda r: _text(r.results.run.date[:10])),
        (Column("Versions", "Commit, seeds and packages", False, "aside"), _versions),
    ]


def _comparisons(others: Sequence[Entry]) -> list[tuple[Column, Maker]]:
    """Columns that set a row against others."""
    gain = "Paired difference from the base model, in points, with its 95 % interval"
    kept = f"Share of the accuracy kept after the last of {usual_size(KEPT)} edits; from squad_continual"
    return [
        (Column("Gain over base", gain, high_first=True), _gain),
        (
            Column("Of in-context", "Share of what the model reaches with the passage in its prompt", high_first=True),
            lambda r: _share(r.of_in_context),
        ),
        (
            Column("Of retrieval", "Share of what it reaches with passages that BM25 finds", high_first=True),
            lambda r: _share(r.of_retrieval),
        ),
        (Column("Kept", kept, high_first=True), lambda r: _elsewhere(r, others, KEPT)),
        (
            Column("Perplexity", "Of other texts after one passage, over that before; from harm"),
            lambda r: _elsewhere(r, others, PERPLEXITY),
        ),
    ]


def _of_measure(name: str, weight: Weight = "") -> tuple[Column, Maker]:
    column = Column(_heading(name), _meaning(name), weight=weight, high_first=name not in LESS_IS_BETTER)
    return column, lambda r: _measure(r.results, name, drawn=weight == "primary")


def _of_figure(heading: str, meaning: str, figure: str, digits: int, high_first: bool = False) -> tuple[Column, Maker]:
    column = Column(heading, meaning, weight="aside", high_first=high_first)
    return column, lambda r: _figure(r.results, figure, digits)


def _also(primary: str) -> tuple[str, ...]:
    """Measures that stand beside the one that ranks."""
    return {
        "contains": ("is_answer",),
        "exact_match": ("cell_acc",),
        "final": ("base", "just_after", "smallest_lead"),
        "perplexity_ratio": ("contains", "changed_answers", "guard_before", "guard_after", "portability"),
    }.get(primary, ())


_MEANINGS = {
    "contains": ("Contains the answer, %", "Answers that convey a gold answer: mean of per-passage means"),
    "is_answer": ("Is the answer, %", "Answers that single out a gold one and are at most twice as long"),
    "exact_match": ("Solved, %", "Tasks of which one of two attempts is the output"),
    "cell_acc": ("Cells, %", "Share of cells that is right in the better attempt"),
    "final": ("After the last edit, %", "Mean over all passages of a sequence, after its last edit"),
    "base": ("Unedited, %", "The base model on the same passages"),
    "just_after": ("Just after, %", "Mean over passages, each right after its own edit"),
    "smallest_lead": ("Smallest lead, %", "Smallest lead over the unedited model after any edit, in points"),
    "perplexity_ratio": ("Perplexity", "Of other texts, with the adapter over without: 1 is no change"),
    "changed_answers": ("Changed, %", "Answers to unrelated questions that are not what they were"),
    "guard_before": ("Guard before, %", "General questions answered right by the base model"),
    "guard_after": ("Guard after, %", "The same after the passage was learnt"),
    "portability": ("Used elsewhere, %", "Questions that use a fact of the passage, answered right"),
    "inner_loops_per_hour": ("Inner loops per hour", "Passages written about and trained on in an hour"),
}


def _heading(measure: str) -> str:
    return _MEANINGS.get(measure, (measure.replace("_", " "), ""))[0]


def _meaning(measure: str) -> str:
    return _MEANINGS.get(measure, ("", measure))[1]


def percent(measure: Measure) -> str:
    """A share with its interval, in per cent."""
    if measure.low is None or measure.high is None:
        return f"{PERCENT * measure.value:.1f}"
    return f"{PERCENT * measure.value:.1f} ({PERCENT * measure.low:.1f}–{PERCENT * measure.high:.1f})"


def _measure(results: Results, name: str, drawn: bool = False) -> Cell:
    measure = results.measures.get(name)
    if measure is None:
        return Cell(NOTHING, LAST)
    hint = f"{measure.count} units" + (f", standard error {measure.stderr:.3g}" if measure.stderr is not None else "")
    if name in SHARES:
        return Cell(percent(measure), measure.value, hint, _bar(measure) if drawn else None)
    interval = f" ({measure.low:.3f}–{measure.high:.3f})" if measure.low is not None else ""
    return Cell(f"{measure.value:.3f}{interval}", measure.value, hint)


def _bar(measure: Measure) -> tuple[float, float, float]:
    ends = (measure.low, measure.value, measure.high)
    low, value, high = (PERCENT * min(1.0, max(0.0, measure.value if end is None else end)) for end in ends)
    return low, value, high


def _rank(row: Standing) -> Cell:
    if row.rank is not None:
        return Cell(str(row.rank), row.rank)
    if not row.complete:
        return Cell(
            NOTHING, LAST, f"Not ranked: {row.measured} of {row.asked} {SUITES[row.results.suite].unit} measured"
        )
    return Cell(NOTHING, LAST, "Not ranked: too few units are shared with other rows to tell which is better")


def _model(row: Standing) -> Cell:
    """Without the owner's name, which the hint has."""
    name = row.results.model.name
    return replace(_text(name.rpartition("/")[2]), hint=name)


def _plain(results: Results, name: str, digits: int) -> Cell:
    measure = results.measures.get(name)
    return Cell(f"{measure.value:.{digits}f}", measure.value) if measure else Cell(NOTHING, LAST)


def _figure(results: Results, name: str, digits: int) -> Cell:
    value = results.figures.get(name)
    return Cell(NOTHING, LAST) if value is None else Cell(f"{value:,.{digits}f}", value)


def _gain(row: Standing) -> Cell:
    if row.ranked.gain is None:
        return Cell(NOTHING, LAST)
    gain, scale = row.ranked.gain.difference, PERCENT if row.results.primary in SHARES else 1.0
    text = f"{scale * gain.mean:+.1f} ({scale * gain.low:+.1f} to {scale * gain.high:+.1f})"
    return Cell(text, gain.mean, f"{gain.count} units that both have")


def _share(share: Share | None) -> Cell:
    if share is None:
        return Cell(NOTHING, LAST)
    return Cell(f"{PERCENT * share.value:.0f} %", share.value, f"{share.units} units that both have")


def _elsewhere(row: Standing, others: Sequence[Entry], what: Elsewhere) -> Cell:
    found = measured_elsewhere(row.results, others, what)
    return Cell(f"{found.value:.3f}", found.value, found.source) if found else Cell(NOTHING, LAST)


def _text(text: str) -> Cell:
    return Cell(text, text.casefold())


def _hardware(results: Results) -> str:
    run = results.run
    return ", ".join(run.gpu) if run.gpu else f"{run.processor}, {run.cores} cores"


def _versions(row: Standing) -> Cell:
    run = row.results.run
    packages = ", ".join(f"{name} {number}" for name, number in sorted(run.packages.items()))
    seeds = ", ".join(map(str, row.results.seeds))
    dtype = row.results.model.dtype or "precision not recorded"
    hint = f"{dtype}, Python {run.python}, {packages}"
    return Cell(f"{run.commit or 'wheel'}, seed {seeds}", run.commit or "", hint)
