"""How well do graders agree with a strong judge?

    python benchmarks/graders.py --answers ../shared/data/graded_answers.jsonl
    python benchmarks/graders.py --answers ../shared/data/graded_answers.jsonl --fit     # prints weights for grading.py
    python benchmarks/graders.py --answers … --model default --sample 400               # and a local model as judge
    python benchmarks/graders.py --answers … --judge http://localhost:8000/v1 gpt-4.1    # and one behind an endpoint

The file has one JSON object a line: question, gold, answer, correct (the judge's verdict). Agreement, Cohen's kappa,
precision and recall of the verdict "correct", with a 95 % bootstrap interval of kappa over questions, since answers to
one question hang together. "cross-validated" is the lexical grader with weights fitted without the question that is
graded: ten folds of whole questions, five times shuffled, median by kappa; this is the figure to expect on answers to
other questions. "as shipped" has the weights in the package, which were fitted to all of this file. A judge that fails
on an answer leaves it out of its own row; how many are left is shown.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import results_file
from logistic import unscaled
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from seal_agent.grading.contradictions import contradicts
from seal_agent.grading.grader import Grader, grade_all
from seal_agent.grading.lexical import LexicalGrader, measures
from seal_agent.text import words as lexical
from seal_agent.types import Verdict

Labels = NDArray[np.bool_]
FOLDS, SHUFFLES = 10, 5


@dataclass(frozen=True)
class Graded:
    """An answer and the judge's verdict on it."""

    question: str
    gold: str
    answer: str
    correct: bool


def main() -> None:
    options = _options()
    rows = [Graded(**json.loads(line)) for line in options.answers.read_text(encoding="utf-8").splitlines()]
    judged = np.array([row.correct for row in rows])
    if options.fit:
        said = _said_something(rows)
        print(_as_code(unscaled(_model().fit(_matrix(rows)[said], judged[said])), list(measures("", "x", "x"))))
        return
    shipped = LexicalGrader()
    verdicts = {
        "containment": _each(rows, _contains),
        "token recall ≥ 0.75": _each(rows, _recalls),
        "lexical, cross-validated": _cross_validated(rows, judged),
        "lexical, as shipped": _each(
            rows, lambda row: shipped.grade(row.question, [row.gold], row.answer) is Verdict.CORRECT
        ),
    }
    figures = [{"grader": name, **_agreement(rows, judged, said)} for name, said in verdicts.items()]
    figures += [_judge_row(name, judge, rows, options.sample) for name, judge in _judges(options)]
    config = {
        "answers": options.answers.name,
        "folds": FOLDS,
        "shuffles": SHUFFLES,
        "sample": options.sample,
        "seed": 0,
    }
    results_file.save(options.out, config, results_file.describe_run(), figures)
    print("| grader | answers | agreement | kappa | precision | recall |\n|---|---|---|---|---|---|")
    for f in figures:
        low, high = f["kappa_interval"]
        print(
            f"| {f['grader']} | {f['answers']} | {f['agreement']:.1%} | {f['kappa']:.3f} ({low:.3f}–{high:.3f}) "
            f"| {f['precision']:.1%} | {f['recall']:.1%} |"
        )
    print(json.dumps({f["grader"]: f["kappa"] for f in figures}, ensure_ascii=False))


# ---------------------------------------------------------------- graders compared with


def _each(rows: Sequence[Graded], judge: Callable[[Graded], bool]) -> Labels:
    return np.array([judge(row) for row in rows])


def _contains(row: Graded) -> bool:
    gold, answer = _plain(row.gold), _plain(row.answer)
    return any(answer[i : i + len(gold)] == gold for i in range(len(answer) - len(gold) + 1))


def _recalls(row: Graded) -> bool:
    gold, answer = _plain(row.gold), set(_plain(row.answer))
    return sum(word in answer for word in gold) >= 0.75 * len(gold)


def _plain(text: str) -> list[str]:
    """SQuAD's normalisation: lower case, no punctuation, no articles."""
    kept = "".join(c for c in text.casefold() if c.isalnum() or c.isspace())
    return [word for word in kept.split() if word not in ("a", "an", "the")]


# ---------------------------------------------------------------- judges


def _judges(options: argparse.Namespace) -> Iterator[tuple[str, Grader]]:
    if options.model:
        from seal_agent.base_model.loading import load_model
        from seal_agent.generation.hf import HFEngine
        from seal_agent.grading.model_judge import ModelJudge

        yield f"{options.model} as judge", ModelJudge(HFEngine(load_model(options.model)))
    if options.judge:
        from seal_agent.grading.judge import JudgeGrader

        url, name = options.judge
        yield f"{name} as judge", JudgeGrader(name, url)


def _judge_row(name: str, judge: Grader, rows: Sequence[Graded], sample: int | None) -> dict[str, Any]:
    picks = np.random.default_rng(0).permutation(len(rows))[:sample]
    asked = [rows[i] for i in sorted(picks)]
    verdicts = grade_all(judge, [(row.question, [row.gold], row.answer) for row in asked])
    graded = [(row, verdict) for row, verdict in zip(asked, verdicts, strict=True) if verdict is not Verdict.UNGRADED]
    if not graded:
        raise SystemExit(f"{name} graded none of {len(asked)} answers; is the endpoint up, and the key set?")
    judged = np.array([row.correct for row, _ in graded])
    said = np.array([verdict is Verdict.CORRECT for _, verdict in graded])
    return {"grader": name, **_agreement([row for row, _ in graded], judged, said)}


# ---------------------------------------------------------------- fitting


def _matrix(rows: Sequence[Graded]) -> NDArray[np.float64]:
    return np.array([list(measures(row.question, row.gold, row.answer).values()) for row in rows])


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))


def _said_something(rows: Sequence[Graded]) -> Labels:
    """Empty answers are wrong without a look at the measures, and no part of the fit."""
    return np.array([bool(lexical.words_of(row.answer)) for row in rows])


def _cross_validated(rows: Sequence[Graded], judged: Labels) -> Labels:
    measured, said = _matrix(rows), _said_something(rows)
    contradicted = _each(rows, lambda row: contradicts(row.question, row.gold, row.answer))
    ids: dict[str, int] = {}
    question = np.array([ids.setdefault(row.question, len(ids)) for row in rows])
    runs: list[Labels] = []
    for seed in range(SHUFFLES):
        groups = np.random.default_rng(seed).permutation(len(ids))[question]
        verdicts = np.zeros(len(rows), bool)
        for train, test in GroupKFold(FOLDS).split(measured, judged, groups):
            fitted = _model().fit(measured[train][said[train]], judged[train][said[train]])
            verdicts[test] = fitted.predict(measured[test]) & said[test] & ~contradicted[test]
        runs.append(verdicts)
    kappas = [cohen_kappa_score(judged, run) for run in runs]
    return runs[kappas.index(statistics.median_low(kappas))]


def _as_code(fit: tuple[float, list[float]], names: Sequence[str]) -> str:
    intercept, weights = fit
    lines = [f'    "{name}": {weight:.2f},' for name, weight in zip(names, weights, strict=True)]
    return "\n".join([f"INTERCEPT = {intercept:.2f}", "WEIGHTS: Mapping[str, float] = {", *lines, "}"])


# ---------------------------------------------------------------- figures


def _agreement(rows: Sequence[Graded], judged: Labels, said: Labels) -> dict[str, Any]:
    by_question: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        by_question.setdefault(row.question, []).append(i)
    groups, draw = list(by_question.values()), np.random.default_rng(0)
    kappas = []
    for _ in range(1000):
        picked = np.concatenate([groups[i] for i in draw.integers(0, len(groups), len(groups))])
        kappas.append(_kappa(judged[picked], said[picked]))
    low, high = np.quantile(kappas, [0.025, 0.975])
    return {
        "answers": len(rows),
        "agreement": float((judged == said).mean()),
        "kappa": _kappa(judged, said),
        "kappa_interval": [float(low), float(high)],
        "precision": float(precision_score(judged, said, zero_division=0)),
        "recall": float(recall_score(judged, said)),
    }


def _kappa(one: Labels, other: Labels) -> float:
    """Cohen's: agreement beyond what the two shares of "correct" alone would give."""
    agree, p, q = (one == other).mean(), one.mean(), other.mean()
    by_chance = p * q + (1 - p) * (1 - q)
    return float((agree - by_chance) / (1 - by_chance))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, required=True, help="JSON lines: question, gold, answer, correct")
    parser.add_argument("--fit", action="store_true", help="print the lexical grader's weights, fitted to all answers")
    parser.add_argument("--model", help="a local model as judge: default, a hub id or a folder")
    parser.add_argument("--judge", nargs=2, metavar=("URL", "NAME"), help="an OpenAI-compatible endpoint as judge")
    parser.add_argument("--sample", type=int, help="answers that judges are asked about, drawn with seed 0")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "graders.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
