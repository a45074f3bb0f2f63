"""How many false lines of self-edits does verification remove, and how many true ones does it keep?

    python benchmarks/verification.py --data ../shared/data
    python benchmarks/verification.py --data ../shared/data --fit     # prints weights for verification.py

The folder has self_edits_7b.jsonl (JSON lines: title, context, format, completion) and squad_val.jsonl. The lines come
from the former and from the bundled model, which writes greedily about 41 passages. Only labelled lines count: labels
were given by hand and are stored by hash in tests/self_edits/labelled_lines.json.

The table has three kinds of rows. "cross-validated" has weights fitted without the passages that are judged: eight
folds of whole passages, shuffled five times. "as shipped" has the weights in the package, which were fitted to all
these lines. "held out" has other lines, labelled after those weights were fixed: labelled_lines_held_out.json, beside
the first. Expect the held-out figures. Intervals are bootstrapped over passages, seed 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from parts import results_file
from parts.logistic import shuffled_folds, unscaled_weights
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from seal_agent.base_model.loading import load_model
from seal_agent.config import SelfEditConfig, Strictness
from seal_agent.data import bundled, contexts
from seal_agent.generation.hf import HFEngine
from seal_agent.self_edits.parsing import parse
from seal_agent.self_edits.verification import (
    SUPPORT_THRESHOLD,
    flaw,
    likelihoods,
    probability,
    split_notes,
    support_features,
    verify,
)
from seal_agent.self_edits.writing import write_self_edits_batch
from seal_agent.types import Context, Note, SelfEdit

Labels = NDArray[np.bool_]
LABELS = Path(__file__).parents[1] / "tests" / "self_edits" / "labelled_lines.json"
HELD_OUT = LABELS.with_name("labelled_lines_held_out.json")
FOLDS, SHUFFLES = 8, 5


@dataclass(frozen=True)
class Line:
    """A line of a self-edit, and whether the passage says so."""

    title: str
    passage: str
    note: Note
    true: bool = False

    @property
    def key(self) -> str:
        """Hash under which the line's label is stored."""
        return hashlib.sha256(f"{self.title}\n{self.note.text}\n{self.note.answer or ''}".encode()).hexdigest()[:16]


def main() -> None:
    options = _options()
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    all_lines = labelled(options.data, LABELS, HELD_OUT)
    lines, held_out = ([line for line in all_lines if (line.key in labels) == fitted] for fitted in (True, False))
    print(f"{len(lines)} of {len(labels)} labelled lines found, {sum(line.true for line in lines)} of them true")
    engine = HFEngine(load_model())
    flawless = np.array([not flaw(line.title, line.passage, line.note) for line in lines])
    feature_rows = _features(engine, lines)
    true, features = np.array([line.true for line in lines]), np.array([list(row.values()) for row in feature_rows])
    if options.fit:
        fitted = _model().fit(features[flawless], true[flawless])
        print(_as_code(unscaled_weights(fitted), list(feature_rows[0])))
        return
    supported = np.array([probability(row) > SUPPORT_THRESHOLD for row in feature_rows], float)
    kept_shares = {
        "strict, cross-validated": _cross_validated(lines, features, true, flawless),
        "strict, as shipped": flawless * supported,
        "lenient": _kept(engine, lines, "lenient"),
    }
    figures = [{"verify": name, **_figures(lines, kept)} for name, kept in kept_shares.items()]
    modes: tuple[Strictness, ...] = ("strict", "lenient")
    figures += [{"verify": f"{mode}, held out", **_figures(held_out, _kept(engine, held_out, mode))} for mode in modes]
    config = {
        "labels": len(labels),
        "found": len(lines),
        "held_out": len(held_out),
        "folds": FOLDS,
        "shuffles": SHUFFLES,
        "seed": 0,
    }
    results_file.save(options.out, config, results_file.describe_run(), figures)
    print("| verify | true lines kept | false lines removed |\n|---|---|---|")
    for row in figures:
        print(f"| {row['verify']} | {_percent(row, 'true_kept')} | {_percent(row, 'false_removed')} |")


# ---------------------------------------------------------------- lines


def labelled(folder: Path, *files: Path) -> list[Line]:
    """The lines that have labels in these files, each once. A few may be missing, where the model writes otherwise."""
    labels: dict[str, bool] = {}
    for file in files or (LABELS,):
        labels |= json.loads(file.read_text(encoding="utf-8"))
    lines: dict[str, Line] = {}
    for source in (_lines_of_7b_model(folder), _lines_of_bundled_model(folder)):
        for line in source:
            if line.key in labels:
                lines.setdefault(line.key, Line(line.title, line.passage, line.note, labels[line.key]))
    return list(lines.values())


def _lines_of_7b_model(folder: Path) -> Iterator[Line]:
    for text in (folder / "self_edits_7b.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        for note in split_notes(parse(SelfEdit(row["format"], completion=row["completion"]), row["title"])):
            yield Line(row["title"], row["context"], note)


def _lines_of_bundled_model(folder: Path) -> Iterator[Line]:
    """Written greedily and in float32, so that every machine writes nearly the same lines."""
    novel, squad = bundled.novel(), contexts.read_contexts(folder / "squad_val.jsonl")
    config = SelfEditConfig(formats=("implications", "rewrite"), temperature=0.0, max_tokens=160)
    engine = HFEngine(load_model(dtype="float32"))
    for batch in (
        [*novel[:8], bundled.demo(), *squad[:8]],
        [*novel[8:14], *squad[8:14]],
        [*novel[14:20], *squad[14:20]],
    ):
        edits_per_context = write_self_edits_batch(engine, [(c.title, [c.text]) for c in batch], config)
        for context, edits in zip(batch, edits_per_context, strict=True):
            yield from _lines(context, edits)


def _lines(context: Context, edits: Sequence[SelfEdit]) -> Iterator[Line]:
    for edit in edits:
        for note in split_notes(parse(edit, context.title)):
            yield Line(context.title, context.text, note)


# ---------------------------------------------------------------- fitting


def _features(engine: HFEngine, lines: Sequence[Line]) -> list[dict[str, float]]:
    likely = likelihoods(engine, [(line.title, line.passage, line.note) for line in lines])
    return [
        support_features(line.title, line.passage, line.note, with_passage, without)
        for line, (with_passage, without) in zip(lines, likely, strict=True)
    ]


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))


def _cross_validated(
    lines: Sequence[Line], features: NDArray[np.float64], true: Labels, flawless: Labels
) -> NDArray[np.float64]:
    """The share of the shuffles in which each line is kept."""
    kept = np.zeros(len(lines))
    for folds in shuffled_folds([line.passage for line in lines], FOLDS, SHUFFLES):
        for train, test in folds:
            fittable = train[flawless[train]]
            fitted = _model().fit(features[fittable], true[fittable])
            kept[test] += (fitted.predict_proba(features[test])[:, 1] > SUPPORT_THRESHOLD) & flawless[test]
    return kept / SHUFFLES


def _as_code(fit: tuple[float, list[float]], names: Sequence[str]) -> str:
    intercept, weights = fit
    pairs = ", ".join(f'"{name}": {weight:.2f}' for name, weight in zip(names, weights, strict=True))
    return f"INTERCEPT = {intercept:.2f}\nWEIGHTS: Mapping[str, float] = {{{pairs}}}"


# ---------------------------------------------------------------- figures


def _figures(lines: Sequence[Line], kept: NDArray[np.float64]) -> dict[str, Any]:
    """Shares of the true lines kept and of the false ones removed, from each line's share of being kept."""
    true = np.array([line.true for line in lines])
    resamples = list(results_file.group_resamples([line.passage for line in lines]))
    measured = {
        "true_kept": (true, lambda rows: float(kept[rows[true[rows]]].mean())),
        "false_removed": (~true, lambda rows: float(1 - kept[rows[~true[rows]]].mean())),
    }
    figures: dict[str, Any] = {"lines": len(lines)}
    for name, (counted, share) in measured.items():
        shares = [share(rows) for rows in resamples if counted[rows].any()]
        figures |= {name: share(np.arange(len(lines))), f"{name}_of": int(counted.sum())}
        figures[f"{name}_interval"] = [float(q) for q in np.quantile(shares, [0.025, 0.975])]
    return figures


def _kept(engine: HFEngine, lines: Sequence[Line], strictness: Strictness) -> NDArray[np.float64]:
    """1 for each line that is kept, 0 otherwise. Each line is judged by itself, so that repeats do not count."""
    written = [(line.title, line.passage, [line.note]) for line in lines]
    return np.array([checked.kept for (checked,) in verify(engine, written, strictness)], float)


def _percent(row: dict[str, Any], name: str) -> str:
    low, high = row[f"{name}_interval"]
    return f"{row[name]:.1%} of {row[f'{name}_of']} ({low:.1%}–{high:.1%})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of self_edits_7b.jsonl and squad_val.jsonl")
    parser.add_argument("--fit", action="store_true", help="print the weights, fitted to all lines")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "verification.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
