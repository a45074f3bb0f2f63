"""What recipes.py reports: accuracies, paired gains, the choice among the finalists, a table and a plot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from parts import results_file
from parts.recipe_candidates import RECIPES, REFERENCES, Recipe
from parts.recipe_rows import EXPLORED, PLAIN, SHORT, Measurements, Row, Spans, accuracies, directness
from parts.self_test_correlation import correlation
from seal_agent.outer_loop.report.interval import DRAWS

STYLES = {PLAIN: "as the model says it", SHORT: "in a few words"}
"""By the key of a row."""
MEASURES: Mapping[str, Callable[[Sequence[Row]], list[float]]] = {"direct": directness, "conveys": accuracies}


def summarise(measurements: Measurements, finalists: Sequence[Recipe], spans: Spans) -> dict[str, Any]:
    """What the search saw of each recipe, and what the confirmed recipes reach and gain on other passages.

    Args:
        measurements: all rows.
        finalists: the recipes that were confirmed.
        spans: the confirming passages.
    """
    explored = [
        figures
        for recipe in RECIPES
        for domain in measurements.passages
        for figures in _figures(recipe, domain, measurements.rows_of(recipe, domain, 0, EXPLORED))
    ]
    confirmed, gains, tests = [], [], []
    for domain in measurements.passages:
        rows_by_name = {
            recipe.name: measurements.rows_of(recipe, domain, *spans[domain]) for recipe in (*REFERENCES, *finalists)
        }
        confirmed += [
            figures
            for recipe in (*REFERENCES, *finalists)
            for figures in _figures(recipe, domain, rows_by_name[recipe.name])
        ]
        for recipe in finalists:
            if rows := rows_by_name[recipe.name]:
                gains += [
                    _gain(recipe, domain, rows, other, rows_by_name[other.name], measure)
                    for other in REFERENCES
                    for measure in MEASURES
                ]
                tests += _self_tests(recipe, domain, rows, rows_by_name["base"])
    ranking = choice(measurements, finalists, spans)
    return {"explored": explored, "confirmed": confirmed, "gains": gains, "choice": ranking, "self_test": tests}


def choice(measurements: Measurements, finalists: Sequence[Recipe], spans: Spans) -> list[dict[str, Any]]:
    """The finalists on the confirming passages, best first, each with its paired difference from the best.

    A score is the mean of the domains' means of direct answers. The 95 % bootstrap intervals draw passages within each
    domain, seed 0.
    Finalists that have not learned as many passages as the others are left out.
    """
    by_recipe = {
        recipe.name: [
            directness(measurements.rows_of(recipe, domain, *spans[domain])) for domain in measurements.passages
        ]
        for recipe in finalists
    }
    counts = max(([len(domain) for domain in domains] for domains in by_recipe.values()), default=[])
    complete = {
        name: domains
        for name, domains in by_recipe.items()
        if [len(domain) for domain in domains] == counts and all(counts)
    }
    scores = {name: mean_of_means(domains) for name, domains in complete.items()}
    order = sorted(scores, key=lambda name: -scores[name])
    rng = np.random.default_rng(0)
    picks_by_domain = [rng.integers(0, count, (DRAWS, count)) for count in counts]
    ranking = []
    for name in order:
        pairs = zip(complete[name], complete[order[0]], strict=True)
        differences = [np.subtract(recipe, best) for recipe, best in pairs]
        resampled = [d[picks].mean(1) for d, picks in zip(differences, picks_by_domain, strict=True)]
        low, high = np.quantile(np.mean(resampled, axis=0), [0.025, 0.975])
        ranking.append(
            {
                "recipe": name,
                "score": scores[name],
                "difference": scores[name] - scores[order[0]],
                "interval": [float(low), float(high)],
            }
        )
    return ranking


def mean_of_means(domains: Sequence[Sequence[float]]) -> float:
    """Mean over domains, all weighing the same, of the means over their passages."""
    return float(np.mean([np.mean(domain) for domain in domains]))


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
    recipe: Recipe, domain: str, rows: Sequence[Row], reference: Recipe, reference_rows: Sequence[Row], measure: str
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
        "recipe": recipe.name,
        "over": reference.name,
        "measure": measure,
        "domain": domain,
        "passages": len(pairs),
        "difference": float(np.mean(differences)),
        "interval": results_file.interval(differences),
        "ratio": ratio and ratio[0],
        "ratio_interval": ratio and ratio[1],
    }


def _self_tests(recipe: Recipe, domain: str, rows: Sequence[Row], base_rows: Sequence[Row]) -> list[dict[str, Any]]:
    """How the gain on self-tests and the true gain correlate; empty if no passage has a self-test."""
    base_answers = {row["passage"]: row["answers"] for row in base_rows}
    tested = [
        {**row, "before": base_answers[row["passage"]], "after": row["answers"]}
        for row in rows
        if row.get("self_before")
    ]
    if not tested:
        return []
    return [{"recipe": recipe.name, "domain": domain, "passages": len(rows), **correlation(tested)}]


# ---------------------------------------------------------------- table and plot


def table(summary: dict[str, Any]) -> str:
    """Markdown: the search, the confirmation, the paired gains, the choice."""
    lines = []
    for name in ("explored", "confirmed"):
        lines += [
            f"| {name} | answers | domain | passages | direct, % (95 % interval) | conveys, % (95 % interval) | words "
            "| s to write | s to train |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {row['recipe']} | {row['answers']} | {row['domain']} | {row['passages']} "
            f"| {_percent(row['direct'], row['direct_interval'])} "
            f"| {_percent(row['conveys'], row['conveys_interval'])} | {row['words_of_an_answer']:.1f} "
            f"| {row['seconds_to_write']:.1f} | {row['seconds_to_train']:.1f} |"
            for row in summary[name]
        ] + [""]
    lines += [
        "| gain | over | domain | by | points (95 % interval) | ratio (95 % interval) |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['recipe']} | {row['over']} | {row['domain']} | {row['measure']} "
        f"| {_percent(row['difference'], row['interval'])} | {_ratio(row)} |"
        for row in summary["gains"]
    ]
    lines += ["", "| choice | score, % | points over the first (95 % interval) |", "|---|---|---|"]
    lines += [
        f"| {row['recipe']} | {100 * row['score']:.1f} | {_percent(row['difference'], row['interval'])} |"
        for row in summary["choice"]
    ]
    return "\n".join(lines)


def progress_line(rows: Sequence[Row], name: str, domain: str) -> str:
    """One line on a recipe's rows of a domain so far."""
    values, seconds = directness(rows), [row["seconds_to_write"] + row["seconds_to_train"] for row in rows]
    percent, each = 100 * np.mean(values), np.mean(seconds)
    return f"{name:32s} {domain:10s} {len(rows):3d} passages  {percent:5.1f} % direct  {each:5.1f} s each"


def plot(measurements: Measurements, path: Path) -> None:
    """Accuracy against seconds per passage, with the Pareto front of the recipes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    points = sorted(_points(measurements), key=lambda point: -point[1])
    figure, axes = pyplot.subplots(figsize=(11, 5.5))
    for number, (seconds, accuracy, name, count) in enumerate(points, 1):
        axes.scatter(
            seconds, accuracy, s=12 * count, color="tab:blue", alpha=0.6, label=f"{number}  {name} ({count} passages)"
        )
        axes.annotate(str(number), (seconds, accuracy), fontsize=8, ha="center", va="center")
    front = [p for p in sorted(points) if all(q[1] < p[1] or q[0] >= p[0] for q in points if q is not p)]
    axes.plot([p[0] for p in front], [p[1] for p in front], color="tab:orange", linewidth=1, label="Pareto front")
    axes.set(
        xlabel="seconds per passage to write and train",
        ylabel="direct answers without the passage, %, mean of domains",
    )
    axes.set_title("Recipes in the search")
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=8, handlelength=0.5, frameon=False)
    for handle in legend.legend_handles[: len(points)]:
        handle.set_sizes([0])  # the number in the label identifies the point
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _points(measurements: Measurements) -> list[tuple[float, float, str, int]]:
    """Seconds per passage, accuracy in percent, name and number of passages of each recipe in the search."""
    points = []
    for recipe in RECIPES:
        domains = [measurements.rows_of(recipe, domain, 0, EXPLORED) for domain in measurements.passages]
        if all(domains):
            rows = [row for domain_rows in domains for row in domain_rows]
            seconds = np.mean([row["seconds_to_write"] + row["seconds_to_train"] for row in rows])
            accuracy = 100 * mean_of_means([directness(domain_rows) for domain_rows in domains])
            points.append((float(seconds), accuracy, recipe.name, len(rows)))
    return points


def _percent(value: float, interval: Sequence[float]) -> str:
    return f"{100 * value:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _ratio(gain: dict[str, Any]) -> str:
    if gain["ratio"] is None:
        return "—"
    low, high = gain["ratio_interval"]
    return f"{gain['ratio']:.2f} ({low:.2f} to {high:.2f})"
