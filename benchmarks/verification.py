"""How many false lines of self-edits does verification remove, and how many true ones does it keep?

    python benchmarks/verification.py --data ../shared/data
    python benchmarks/verification.py --data ../shared/data --fit     # prints weights for verification.py

The folder has self_edits_7b.jsonl (JSON lines: title, context, format, completion) and squad_val.jsonl. Lines come from
there and from the bundled model, which writes greedily about 41 passages. Only lines with a label count: labels were
given by hand and are kept by hash in tests/self_edits/labelled_lines.json. "cross-validated" has weights fitted without
the passages that are judged: eight folds of whole passages, five times shuffled. "as shipped" has the weights in the
package, which were fitted to all these lines. "held out" are other lines, labelled when those weights stood:
labelled_lines_held_out.json, beside the first.
Expect their figures. Intervals are bootstrapped over passages, seed 0.
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
import results_file
from logistic import unscaled
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from seal_agent.base_model.loading import load_model
from seal_agent.config import SelfEditConfig, Strictness
from seal_agent.data import bundled, contexts
from seal_agent.generation.hf import HFEngine
from seal_agent.self_edits.parsing import parse
from seal_agent.self_edits.verification import (
    LEAST_SUPPORTED,
    flaw,
    likelihoods,
    measures,
    probability,
    split_notes,
    verify,
)
from seal_agent.self_edits.writing import write_self_edits_for
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
        """What stands for it in the file of labels."""
        return hashlib.sha256(f"{self.title}\n{self.note.text}\n{self.note.answer or ''}".encode()).hexdigest()[:16]


def main() -> None:
    options = _options()
    labels = json.loads(LABELS.read_text(encoding="utf-8"))
    every = labelled(options.data, LABELS, HELD_OUT)
    lines, held_out = ([line for line in every if (line.key in labels) == fitted] for fitted in (True, False))
    print(f"{len(lines)} of {len(labels)} labelled lines found, {sum(line.true for line in lines)} of them true")
    engine = HFEngine(load_model())
    open_ones = np.array([not flaw(line.title, line.passage, line.note) for line in lines])
    likely = likelihoods(engine, [(line.title, line.passage, line.note) for line in lines])
    rows = [
        measures(line.title, line.passage, line.note, given, alone)
        for line, (given, alone) in zip(lines, likely, strict=True)
    ]
    true, measured = np.array([line.true for line in lines]), np.array([list(row.values()) for row in rows])
    if options.fit:
        print(_as_code(unscaled(_model().fit(measured[open_ones], true[open_ones])), list(rows[0])))
        return
    shares = {
        "strict, cross-validated": _cross_validated(lines, measured, true, open_ones),
        "strict, as shipped": open_ones * np.array([probability(row) > LEAST_SUPPORTED for row in rows], float),
        "lenient": _kept(engine, lines, "lenient"),
    }
    figures = [{"verify": name, **_figures(lines, kept)} for name, kept in shares.items()]
    both: tuple[Strictness, ...] = ("strict", "lenient")
    figures += [{"verify": f"{one}, held out", **_figures(held_out, _kept(engine, held_out, one))} for one in both]
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
    """The lines that have labels in these files, each once; a few may be missing where the model writes otherwise."""
    labels: dict[str, bool] = {}
    for file in files or (LABELS,):
        labels |= json.loads(file.read_text(encoding="utf-8"))
    found: dict[str, Line] = {}
    for source in (of_the_large_model(folder), of_the_bundled_model(folder)):
        for line in source:
            if line.key in labels:
                found.setdefault(line.key, Line(line.title, line.passage, line.note, labels[line.key]))
    return list(found.values())


def of_the_large_model(folder: Path) -> Iterator[Line]:
    for text in (folder / "self_edits_7b.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        for note in split_notes(parse(SelfEdit(row["format"], completion=row["completion"]), row["title"])):
            yield Line(row["title"], row["context"], note)


def of_the_bundled_model(folder: Path) -> Iterator[Line]:
    """Greedy and in float32, so that every machine writes the same ones, all but a few."""
    novel, squad = bundled.novel(), contexts.read_contexts(folder / "squad_val.jsonl")
    config = SelfEditConfig(formats=("implications", "rewrite"), temperature=0.0, max_tokens=160)
    engine = HFEngine(load_model(dtype="float32"))
    for batch in (
        [*novel[:8], bundled.demo(), *squad[:8]],
        [*novel[8:14], *squad[8:14]],
        [*novel[14:20], *squad[14:20]],
    ):
        edits = write_self_edits_for(engine, [(c.title, [c.text]) for c in batch], config)
        for context, of_context in zip(batch, edits, strict=True):
            yield from _lines(context, of_context)


def _lines(context: Context, edits: Sequence[SelfEdit]) -> Iterator[Line]:
    for edit in edits:
        for note in split_notes(parse(edit, context.title)):
            yield Line(context.title, context.text, note)


# ---------------------------------------------------------------- fitting


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))


def _cross_validated(
    lines: Sequence[Line], measured: NDArray[np.float64], true: Labels, open_ones: Labels
) -> NDArray[np.float64]:
    """In how many of the shuffles each line is kept, as a share."""
    ids: dict[str, int] = {}
    passage = np.array([ids.setdefault(line.passage, len(ids)) for line in lines])
    kept = np.zeros(len(lines))
    for seed in range(SHUFFLES):
        groups = np.random.default_rng(seed).permutation(len(ids))[passage]
        for train, test in GroupKFold(FOLDS).split(measured, true, groups):
            learnt = train[open_ones[train]]
            fitted = _model().fit(measured[learnt], true[learnt])
            kept[test] += (fitted.predict_proba(measured[test])[:, 1] > LEAST_SUPPORTED) & open_ones[test]
    return kept / SHUFFLES


def _as_code(fit: tuple[float, list[float]], names: Sequence[str]) -> str:
    intercept, weights = fit
    pairs = ", ".join(f'"{name}": {weight:.2f}' for name, weight in zip(names, weights, strict=True))
    return f"INTERCEPT = {intercept:.2f}\nWEIGHTS: Mapping[str, float] = {{{pairs}}}"


# ---------------------------------------------------------------- figures


def _figures(lines: Sequence[Line], kept: NDArray[np.float64]) -> dict[str, Any]:
    true = np.array([line.true for line in lines])
    by_passage: dict[str, list[int]] = {}
    for i, line in enumerate(lines):
        by_passage.setdefault(line.passage, []).append(i)
    groups, draw = list(by_passage.values()), np.random.default_rng(0)
    picks = [np.concatenate([groups[i] for i in draw.integers(0, len(groups), len(groups))]) for _ in range(1000)]
    shares = {
        "true_kept": (true, lambda at: float(kept[at[true[at]]].mean())),
        "false_removed": (~true, lambda at: float(1 - kept[at[~true[at]]].mean())),
    }
    figures: dict[str, Any] = {"lines": len(lines)}
    for name, (of, share) in shares.items():
        sampled = [share(at) for at in picks if of[at].any()]
        figures |= {name: share(np.arange(len(lines))), f"{name}_of": int(of.sum())}
        figures[f"{name}_interval"] = [float(q) for q in np.quantile(sampled, [0.025, 0.975])]
    return figures


def _kept(engine: HFEngine, lines: Sequence[Line], strictness: Strictness) -> NDArray[np.float64]:
    """1 for each line that is kept, judged by itself, else 0."""
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
