"""What answers.py reports: accuracies, paired gains and a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parts import results_file
from parts.answer_recipes import DEFAULT, REFERENCES, Recipe
from parts.answer_rows import PLAIN, SHORT, Measurements, Row, Spans, accuracies, directness

STYLES = {PLAIN: "as the model says it", SHORT: "in a few words"}
"""By the key of a row."""
MEASURES: Mapping[str, Callable[[Sequence[Row]], list[float]]] = {"direct": directness, "conveys": accuracies}


def summarise(measurements: Measurements, spans: Spans) -> dict[str, Any]:
    """What the default recipe and the references reach, and what the default gains over them.

    Args:
        measurements: all rows.
        spans: the passages that count.
    """
    confirmed, gains = [], []
    for domain in measurements.passages:
        rows = {recipe.name: measurements.rows_of(recipe, domain, *spans[domain]) for recipe in (*REFERENCES, DEFAULT)}
        confirmed += [
            figures for recipe in (*REFERENCES, DEFAULT) for figures in _figures(recipe, domain, rows[recipe.name])
        ]
        compared = [other for other in REFERENCES if rows[other.name] and rows[DEFAULT.name]]
        gains += [
            _gain(domain, rows[DEFAULT.name], other, rows[other.name], measure)
            for other in compared
            for measure in MEASURES
        ]
    return {"confirmed": confirmed, "gains": gains}


def _figures(recipe: Recipe, domain: str, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What the rows reach in each style of answers that all of them have; none without rows."""
    return [_figures_of(recipe, domain, rows, style) for style in STYLES if rows and all(style in row for row in rows)]


def _figures_of(recipe: Recipe, domain: str, rows: Sequence[Row], style: str) -> dict[str, Any]:
    conveys, direct = accuracies(rows, style), accuracies(rows, style, "direct")
    words = [len(answer["answer"].split()) for row in rows for answer in row[style]]
    return {
        "recipe": recipe.name,
        "answers": STYLES[style],
        "domain": domain,
        "passages": len(rows),
        "questions": len(words),
        "conveys": float(np.mean(conveys)),
        "conveys_interval": results_file.interval(conveys),
        "direct": float(np.mean(direct)),
        "direct_interval": results_file.interval(direct),
        "words_of_an_answer": float(np.mean(words)),
        "seconds_to_write": float(np.mean([row["seconds_to_write"] for row in rows])),
        "seconds_to_train": float(np.mean([row["seconds_to_train"] for row in rows])),
    }


def _gain(
    domain: str, rows: Sequence[Row], reference: Recipe, reference_rows: Sequence[Row], measure: str
) -> dict[str, Any]:
    """Difference and ratio of the means over the passages that both have, with bootstrap intervals over passages."""
    values = MEASURES[measure]
    by_passage = dict(zip((row["passage"] for row in reference_rows), values(reference_rows), strict=True))
    pairs = [
        (accuracy, by_passage[row["passage"]])
        for row, accuracy in zip(rows, values(rows), strict=True)
        if row["passage"] in by_passage
    ]
    differences = [accuracy - reference_accuracy for accuracy, reference_accuracy in pairs]
    ratio = results_file.ratio_of_means([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {
        "recipe": DEFAULT.name,
        "over": reference.name,
        "measure": measure,
        "domain": domain,
        "passages": len(pairs),
        "difference": float(np.mean(differences)),
        "interval": results_file.interval(differences),
        "ratio": ratio and ratio[0],
        "ratio_interval": ratio and ratio[1],
    }


# ---------------------------------------------------------------- table and plot


def table(summary: dict[str, Any]) -> str:
    """Markdown: what each recipe reaches, and the paired gains."""
    lines = [
        "| recipe | answers | domain | passages | direct, % (95 % interval) | conveys, % (95 % interval) | words "
        "| s to write | s to train |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['recipe']} | {row['answers']} | {row['domain']} | {row['passages']} "
        f"| {_percent(row['direct'], row['direct_interval'])} "
        f"| {_percent(row['conveys'], row['conveys_interval'])} | {row['words_of_an_answer']:.1f} "
        f"| {row['seconds_to_write']:.1f} | {row['seconds_to_train']:.1f} |"
        for row in summary["confirmed"]
    ]
    lines += [
        "",
        "| gain over | domain | by | points (95 % interval) | ratio (95 % interval) |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['over']} | {row['domain']} | {row['measure']} | {_percent(row['difference'], row['interval'])} "
        f"| {_ratio(row)} |"
        for row in summary["gains"]
    ]
    return "\n".join(lines)


def _percent(value: float, interval: Sequence[float]) -> str:
    return f"{100 * value:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _ratio(gain: dict[str, Any]) -> str:
    if gain["ratio"] is None:
        return "—"
    low, high = gain["ratio_interval"]
    return f"{gain['ratio']:.2f} ({low:.2f} to {high:.2f})"
