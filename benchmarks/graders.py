"""How well do graders agree with a strong judge?

    python benchmarks/graders.py --answers ../shared/data/graded_answers.jsonl
    python benchmarks/graders.py --answers ../shared/data/graded_answers.jsonl --fit     # prints weights for lexical.py
    python benchmarks/graders.py --answers … --model default --sample 400               # adds a local model as judge
    python benchmarks/graders.py --answers … --quoted ../shared/data/quoted_answers.jsonl     # direct answers, by hand
    python benchmarks/graders.py --answers … --judge http://localhost:8000/v1 gpt-4.1    # adds one behind an endpoint

The file has one JSON object a line: question, gold, answer, correct (the judge's verdict). For each grader the table
has agreement, Cohen's kappa, and precision and recall of the verdict "correct". Kappa's 95 % bootstrap interval is
over questions, since answers to one question are not independent.

"cross-validated" is the lexical grader with weights fitted without the question that is graded: ten folds of whole
questions, shuffled five times, median by kappa. Expect this figure on answers to other questions. "as shipped" has
the weights in the package, which were fitted to all of this file. A judge that fails on an answer leaves it out of
its own row; the table shows how many are left. The rules for direct answers were chosen on the file of `--quoted`.
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
from numpy.typing import NDArray
from parts import results_file
from parts.logistic import shuffled_folds, unscaled_weights
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from seal_agent.grading.contradictions import contradicts
from seal_agent.grading.grader import Grader, grade_all
from seal_agent.grading.lexical import LexicalGrader, overlap_features
from seal_agent.text import words as lexical
from seal_agent.types import Verdict

Labels = NDArray[np.bool_]
FOLDS, SHUFFLES = 10, 5


@dataclass(frozen=True)
class GradedAnswer:
    """An answer and the strong judge's verdict on it."""

    question: str
    gold: str
    answer: str
    correct: bool


def main() -> None:
    options = _options()
    answers = [GradedAnswer(**json.loads(line)) for line in options.answers.read_text(encoding="utf-8").splitlines()]
    labels = np.array([answer.correct for answer in answers])
    if options.fit:
        fittable = _has_words(answers)
        fitted = _model().fit(_features(answers)[fittable], labels[fittable])
        print(_as_code(unscaled_weights(fitted), list(overlap_features("", "x", "x"))))
        return
    shipped = LexicalGrader()
    predictions = {
        "containment": _predict(answers, _contains_gold),
        "token recall ≥ 0.75": _predict(answers, _recalls_gold),
        "lexical, cross-validated": _cross_validated(answers, labels),
        "lexical, as shipped": _predict(
            answers, lambda answer: shipped.grade(answer.question, [answer.gold], answer.answer) is Verdict.CORRECT
        ),
    }
    figures = [{"grader": name, **_agreement(answers, labels, predicted)} for name, predicted in predictions.items()]
    figures += [_judge_figures(name, judge, answers, options.sample) for name, judge in _judges(options)]
    config = {
        "answers": options.answers.name,
        "folds": FOLDS,
        "shuffles": SHUFFLES,
        "sample": options.sample,
        "seed": 0,
    }
    if options.quoted:
        figures += _quoted_figures(shipped, options.quoted)
        config["quoted"] = options.quoted.name
    results_file.save(options.out, config, results_file.describe_run(), figures)
    print(table(figures))
    print(json.dumps({row["grader"]: row["kappa"] for row in figures}, ensure_ascii=False))


# ---------------------------------------------------------------- simple graders to compare with


def _predict(answers: Sequence[GradedAnswer], is_correct: Callable[[GradedAnswer], bool]) -> Labels:
    return np.array([is_correct(answer) for answer in answers])


def _contains_gold(graded: GradedAnswer) -> bool:
    gold, answer = _normalized(graded.gold), _normalized(graded.answer)
    return any(answer[i : i + len(gold)] == gold for i in range(len(answer) - len(gold) + 1))


def _recalls_gold(graded: GradedAnswer) -> bool:
    gold, answer = _normalized(graded.gold), set(_normalized(graded.answer))
    return sum(word in answer for word in gold) >= 0.75 * len(gold)


def _normalized(text: str) -> list[str]:
    """Words after SQuAD's normalization: lower case, no punctuation, no articles."""
    cleaned = "".join(c for c in text.casefold() if c.isalnum() or c.isspace())
    return [word for word in cleaned.split() if word not in ("a", "an", "the")]


# ---------------------------------------------------------------- directness


def _quoted_figures(grader: LexicalGrader, path: Path) -> list[dict[str, Any]]:
    """Agreement with verdicts by hand: conveys the gold answer; is direct too. The last row is what no rule gives."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    answers = [GradedAnswer(row["question"], row["gold"][0], row["answer"], row["direct"]) for row in rows]
    graded = {
        verdict: np.array([judge(row["question"], row["gold"], row["answer"]) is Verdict.CORRECT for row in rows])
        for verdict, judge in (("conveys", grader.grade), ("direct", grader.direct))
    }
    by_hand = {verdict: np.array([row[verdict] for row in rows]) for verdict in graded}
    return [
        {"grader": f"lexical, {name}", **_agreement(answers, by_hand[verdict], graded[said])}
        for name, verdict, said in (
            ("conveys (by hand)", "conveys", "conveys"),
            ("direct (by hand)", "direct", "direct"),
            ("conveys, taken for direct (by hand)", "direct", "conveys"),
        )
    ]


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


def _judge_figures(name: str, judge: Grader, answers: Sequence[GradedAnswer], sample: int | None) -> dict[str, Any]:
    """Figures of a judge on a sample of the answers, without those that it could not grade."""
    picks = np.random.default_rng(0).permutation(len(answers))[:sample]
    sampled = [answers[i] for i in sorted(picks)]
    verdicts = grade_all(judge, [(answer.question, [answer.gold], answer.answer) for answer in sampled])
    judged = [pair for pair in zip(sampled, verdicts, strict=True) if pair[1] is not Verdict.UNGRADED]
    if not judged:
        raise SystemExit(f"{name} graded none of {len(sampled)} answers; is the endpoint up, and the key set?")
    labels = np.array([answer.correct for answer, _ in judged])
    predicted = np.array([verdict is Verdict.CORRECT for _, verdict in judged])
    return {"grader": name, **_agreement([answer for answer, _ in judged], labels, predicted)}


# ---------------------------------------------------------------- fitting


def _features(answers: Sequence[GradedAnswer]) -> NDArray[np.float64]:
    features = [overlap_features(answer.question, answer.gold, answer.answer) for answer in answers]
    return np.array([list(row.values()) for row in features])


def _model() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=3000))


def _has_words(answers: Sequence[GradedAnswer]) -> Labels:
    """Which answers the fit uses: the grader calls empty answers wrong without looking at the features."""
    return np.array([bool(lexical.words_of(answer.answer)) for answer in answers])


def _cross_validated(answers: Sequence[GradedAnswer], labels: Labels) -> Labels:
    """Predictions of the lexical grader for held-out questions, from the shuffle with the median kappa."""
    features, has_words = _features(answers), _has_words(answers)
    contradicted = _predict(answers, lambda answer: contradicts(answer.question, answer.gold, answer.answer))
    runs: list[Labels] = []
    for folds in shuffled_folds([answer.question for answer in answers], FOLDS, SHUFFLES):
        predicted = np.zeros(len(answers), bool)
        for train, test in folds:
            fitted = _model().fit(features[train][has_words[train]], labels[train][has_words[train]])
            predicted[test] = fitted.predict(features[test]) & has_words[test] & ~contradicted[test]
        runs.append(predicted)
    kappas = [cohen_kappa_score(labels, run) for run in runs]
    return runs[kappas.index(statistics.median_low(kappas))]


def _as_code(fit: tuple[float, list[float]], names: Sequence[str]) -> str:
    intercept, weights = fit
    lines = [f'    "{name}": {weight:.2f},' for name, weight in zip(names, weights, strict=True)]
    return "\n".join([f"INTERCEPT = {intercept:.2f}", "WEIGHTS: Mapping[str, float] = {", *lines, "}"])


# ---------------------------------------------------------------- figures


def _agreement(answers: Sequence[GradedAnswer], labels: Labels, predicted: Labels) -> dict[str, Any]:
    kappas = [
        _kappa(labels[rows], predicted[rows])
        for rows in results_file.group_resamples([answer.question for answer in answers])
    ]
    low, high = np.quantile(kappas, [0.025, 0.975])
    return {
        "answers": len(answers),
        "agreement": float((labels == predicted).mean()),
        "kappa": _kappa(labels, predicted),
        "kappa_interval": [float(low), float(high)],
        "precision": float(precision_score(labels, predicted, zero_division=0)),
        "recall": float(recall_score(labels, predicted)),
    }


def _kappa(labels: Labels, predicted: Labels) -> float:
    """Cohen's kappa: agreement beyond what the two shares of "correct" give by chance."""
    agreement, p, q = (labels == predicted).mean(), labels.mean(), predicted.mean()
    by_chance = p * q + (1 - p) * (1 - q)
    return float((agreement - by_chance) / (1 - by_chance))


def table(figures: Sequence[dict[str, Any]]) -> str:
    """One line per grader, as Markdown."""
    lines = ["| grader | answers | agreement | kappa | precision | recall |\n|---|---|---|---|---|---|"]
    for row in figures:
        low, high = row["kappa_interval"]
        lines.append(
            f"| {row['grader']} | {row['answers']} | {row['agreement']:.1%} "
            f"| {row['kappa']:.3f} ({low:.3f}–{high:.3f}) | {row['precision']:.1%} | {row['recall']:.1%} |"
        )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, required=True, help="JSON lines: question, gold, answer, correct")
    parser.add_argument("--fit", action="store_true", help="print the lexical grader's weights, fitted to all answers")
    parser.add_argument("--model", help="a local model as judge: default, a hub id or a folder")
    parser.add_argument("--judge", nargs=2, metavar=("URL", "NAME"), help="an OpenAI-compatible endpoint as judge")
    parser.add_argument("--quoted", type=Path, help="JSON lines: question, gold, answer, conveys, direct (by hand)")
    parser.add_argument("--sample", type=int, help="answers that judges are asked about, drawn with seed 0")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "graders.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
