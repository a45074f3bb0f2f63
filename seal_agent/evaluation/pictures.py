"""Pictures of a run: its units against the base model, its forgetting matrix, its costs. Colour-blind safe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

from seal_agent.errors import MissingDependency
from seal_agent.evaluation.leaderboard.axes import Frame, shortened, ticks
from seal_agent.evaluation.note_curve import note_curves
from seal_agent.evaluation.results import Results, read_results, results_in

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"  # Okabe and Ito's palette
TITLE_WIDTH = 100  # letters of size 10 across a picture
COSTS = ("seconds_to_write", "seconds_to_train", "seconds_per_answer")


def draw_run(path: Path) -> list[Path]:
    """Draw what a results file has, as SVG and PNG beside it. Raises MissingDependency without matplotlib.

    The base model's row, where the folder has one about the same questions, stands beside each unit.
    """
    pyplot = _pyplot()
    results = read_results(path)
    written: list[Path] = []
    for name, draw in _PICTURES.items():
        figure, axes = pyplot.subplots(figsize=(8, 4.5))
        if draw(axes, results, path):
            _entitle(figure, results, results.recipe.label)
            for suffix in ("svg", "png"):
                written.append(path.with_name(f"{path.stem}-{name}.{suffix}"))
                figure.savefig(written[-1], dpi=120)
        pyplot.close(figure)
    return written


def draw_note_curve(paths: Sequence[Path]) -> list[Path]:
    """Draw accuracy against note tokens over several amounts of notes, as SVG and PNG beside the first file.

    Returns no paths where the rows do not say how much was written. Raises MissingDependency without matplotlib.
    """
    rows = [read_results(path) for path in paths]
    (curve,) = note_curves(rows) or (None,)
    if curve is None:
        return []
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    tokens = [point.tokens for point in curve.points]
    values = [point.measure.value for point in curve.points]
    axes.plot(tokens, values, "o-", color=BLUE, label=shortened(curve.recipe))
    if all(point.measure.low is not None for point in curve.points):
        lows, highs = ([getattr(point.measure, side) for point in curve.points] for side in ("low", "high"))
        axes.fill_between(tokens, lows, highs, color=BLUE, alpha=0.15, label="95 % interval")
    for point in curve.points:
        axes.annotate(f"{point.notes}", (point.tokens, point.measure.value), xytext=(4, 6), textcoords="offset points")
    axes.set(xscale="log", xlabel="tokens of notes per passage (labels: self-edits per format)", ylabel=curve.primary)
    frame = Frame(1.2 * max(tokens), 100.0, 0.8 * min(tokens))
    axes.minorticks_off()
    axes.set_xticks(ticks(frame), [f"{tick:,.10g}" for tick in ticks(frame)])
    axes.set_xlim(frame.least, frame.most)
    axes.legend(frameon=False)
    _entitle(figure, rows[0], curve.recipe)
    stem = paths[0].stem.replace(f"-per_format-{curve.points[0].notes}", "")
    written = [paths[0].with_name(f"{stem}-notes.{suffix}") for suffix in ("svg", "png")]
    for path in written:
        figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return written


def check_pictures() -> None:
    """Raises MissingDependency without matplotlib."""
    _pyplot()


def _pyplot() -> Any:
    try:
        import matplotlib
    except ImportError as err:
        raise MissingDependency("pictures need matplotlib: pip install 'seal-agent[bench]'") from err
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _entitle(figure: Any, results: Results, recipe: str) -> None:
    """The title, in as many lines as it needs, and the layout around it."""
    title = f"{results.suite} · {results.model.name} · {recipe}"
    figure.suptitle("\n".join(wrap(title, TITLE_WIDTH)), fontsize=10)
    figure.tight_layout()


def _units(axes: Any, results: Results, path: Path) -> bool:
    """The primary measure of every unit, sorted, beside the base model's."""
    units = sorted((u for u in results.units if results.primary in u.scores), key=lambda u: u.scores[results.primary])
    if len(units) < 2:
        return False
    base = _base_of(results, path)
    places = range(len(units))
    axes.plot(
        places, [u.scores[results.primary] for u in units], "o", color=BLUE, label=shortened(results.recipe.label)
    )
    if base:
        axes.plot(places, [base.get(u.id, float("nan")) for u in units], "x", color=ORANGE, label="base")
    axes.axhline(results.measures[results.primary].value, color=GREY, linewidth=1, linestyle="--", label="mean")
    axes.set(xlabel=f"units, sorted by {results.primary}", ylabel=results.primary)
    axes.legend(frameon=False)
    return True


def _base_of(results: Results, path: Path) -> dict[str, float]:
    """The same base model's scores by unit, from another file of the folder; empty if there is none."""
    for _, other in results_in(path.parent):
        same = (other.model.identity, other.ranking_key) == (results.model.identity, results.ranking_key)
        if other.recipe.mode == "base" and same:
            return {unit.id: unit.scores[other.primary] for unit in other.units if other.primary in unit.scores}
    return {}


def _forgetting(axes: Any, results: Results, path: Path) -> bool:
    """The accuracy on passage j after edit i."""
    matrix = results.curves.get("accuracy")
    if not matrix:
        return False
    cells = [[float("nan") if value is None else value for value in row] for row in matrix]
    image = axes.imshow(cells, vmin=0, vmax=1, cmap="cividis", origin="upper")
    axes.figure.colorbar(image, ax=axes, label="accuracy")
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if value is not None:
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="w" if value < 0.6 else "k", fontsize=8)
    axes.set(xlabel="passage", ylabel="after edit", xticks=range(len(matrix)), yticks=range(len(matrix)))
    return True


def _costs(axes: Any, results: Results, path: Path) -> bool:
    """Seconds of each stage."""
    known = {name: results.figures[name] for name in COSTS if results.figures.get(name)}
    if not known:
        return False
    axes.barh([name.replace("_", " ") for name in known], list(known.values()), color=BLUE)
    axes.set(xlabel="seconds")
    for place, value in enumerate(known.values()):
        axes.text(value, place, f" {value:.1f}", va="center")
    axes.margins(x=0.15)
    return True


_PICTURES: dict[str, Callable[[Any, Results, Path], bool]] = {
    "units": _units,
    "forgetting": _forgetting,
    "cost": _costs,
}
