"""Accuracy against how much was written: rows of one recipe that differ only in the number of self-edits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.evaluation.results import Measure, Results

AMOUNT = "per_format"
"""What `--notes` sets, as a row names it."""
TOKENS = "note_tokens"


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One row: self-edits per format, mean tokens of the notes of a passage, and the primary measure."""

    notes: int
    tokens: float
    measure: Measure


@dataclass(frozen=True, slots=True)
class NoteCurve:
    """The rows of one model and recipe by what was written; there are two points at least."""

    model: str
    recipe: str
    primary: str
    points: tuple[CurvePoint, ...]


def note_curves(rows: Sequence[Results]) -> list[NoteCurve]:
    """The curves that rows about the same questions make, of all models and recipes with several amounts."""
    curves: dict[tuple[str, str, tuple[int, ...]], list[Results]] = {}
    for row in rows:
        if TOKENS in row.figures and row.primary in row.measures:
            curves.setdefault((row.model.identity, _label(row), tuple(row.seeds)), []).append(row)
    return [
        NoteCurve(of[0].model.name, _label(of[0]), of[0].primary, points)
        for of in curves.values()
        if len(points := _points(of)) > 1
    ]


def _points(rows: Sequence[Results]) -> tuple[CurvePoint, ...]:
    points = {
        amount_of(row): CurvePoint(amount_of(row), row.figures[TOKENS], row.measures[row.primary]) for row in rows
    }
    return tuple(sorted(points.values(), key=lambda point: point.tokens))


def amount_of(row: Results) -> int:
    """Self-edits per format that a row was made with."""
    return int(row.recipe.settings.get("self_edit", {}).get(AMOUNT, 1))


def _label(row: Results) -> str:
    """The recipe with what was changed in it, but for the amount."""
    changes = ", ".join(f"{name}={value}" for name, value in row.recipe.changed.items() if name != AMOUNT)
    return f"{row.recipe.name} ({changes})" if changes else row.recipe.name
