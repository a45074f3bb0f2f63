"""Does the self-test tell what was learnt? Gain on the model's own questions against gain on those of a person.

    python benchmarks/self_test.py --squad ../shared/data/squad_val.jsonl
    python benchmarks/self_test.py --squad ../shared/data/squad_val.jsonl --passages 12

Every passage is written about, trained on and asked about once, with the questions of the data set and with the
model's own, before and after. Reported: Spearman's rank correlation of the two gains over passages with a 95 %
bootstrap interval, how many passages got a self-test, and how many questions it has. A stopped run goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import results_file
from numpy.typing import NDArray
from scipy.stats import spearmanr

from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.engine.hf import HFEngine
from seal_agent.inner_loop.train import TrainJob, train
from seal_agent.knowledge import data
from seal_agent.knowledge.answering import answer_questions
from seal_agent.knowledge.grading import default_grader
from seal_agent.knowledge.lessons import Lesson, sequences_of
from seal_agent.knowledge.self_edits import check_self_edits_of, write_self_edits_for
from seal_agent.knowledge.self_test import write_self_tests
from seal_agent.models import load_model
from seal_agent.types import Context

AT_ONCE = 6  # passages written about, trained on and asked about together
DRAWS = 1_000


class Bench:
    """The model under test and its settings."""

    def __init__(self, model: str, self_edit: SelfEditConfig, inner_loop: InnerLoopConfig) -> None:
        self.base = load_model(model)
        self.engine = HFEngine(self.base)
        self.self_edit, self.inner_loop = self_edit, inner_loop

    def measure(self, contexts: Sequence[Context]) -> list[dict[str, Any]]:
        """One row per passage: right answers before and after, on both sets of questions."""
        sources = [(context.title, [context.text]) for context in contexts]
        seed = self.inner_loop.seed
        tests = write_self_tests(self.engine, sources, self.self_edit.self_test, seed=seed)
        edits = write_self_edits_for(self.engine, sources, self.self_edit, seed=seed)
        edits = check_self_edits_of(self.engine, sources, edits, self.self_edit.verify)
        lessons = [
            Lesson(context.title, (context.text,), written, test)
            for context, written, test in zip(contexts, edits, tests, strict=True)
        ]
        jobs = [
            TrainJob(sequences_of(self.engine, self.base, lesson, self.inner_loop), self.inner_loop)
            for lesson in lessons
        ]
        adapters = [trained.adapter for trained in train(self.base, jobs)]
        tested = [replace(context, questions=test) for context, test in zip(contexts, tests, strict=True)]
        answered = [
            answer_questions(self.engine, asked, default_grader(), adapters=used)
            for asked in (contexts, tested)
            for used in ([None] * len(contexts), adapters)
        ]
        names = ("before", "after", "self_before", "self_after")
        return [
            {
                "title": context.title,
                **{
                    name: [results_file.answer_row(a) for a in answers]
                    for name, answers in zip(names, of_context, strict=True)
                },
            }
            for context, *of_context in zip(contexts, *answered, strict=True)
        ]


def main() -> None:
    options = _options()
    self_edit, inner_loop = SelfEditConfig(), replace(InnerLoopConfig(), seed=options.seed)
    config = json.loads(
        json.dumps({"model": options.model, "self_edit": asdict(self_edit), "inner_loop": asdict(inner_loop)})
    )
    contexts = data.read_contexts(options.squad)[: options.passages]
    run, rows = results_file.describe_run(), results_file.load(options.out, config)
    bench = Bench(options.model, self_edit, inner_loop)
    for start in range(len(rows), len(contexts), AT_ONCE):
        print(f"\rpassages {start + 1} to {start + AT_ONCE} of {len(contexts)} ", end="", flush=True)
        rows += bench.measure(contexts[start : min(start + AT_ONCE, len(contexts))])
        results_file.save(options.out, config, run, rows, identity=bench.base.identity, summary=summarise(rows))
    summary = summarise(rows)
    print("\n" + table(summary))
    print(json.dumps(summary))


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Correlation over the passages that have a self-test, and the means of both gains."""
    tested = [row for row in rows if row["self_before"]]
    true, own = (np.array([_gain(row, prefix) for row in tested]) for prefix in ("", "self_"))
    low, high = _interval(true, own)
    return {
        "passages": len(rows),
        "with_self_test": len(tested),
        "self_test_questions": sum(len(row["self_before"]) for row in tested),
        "spearman": _spearman(true, own),
        "interval": [low, high],
        "true_gain": float(true.mean()) if len(tested) else None,
        "self_test_gain": float(own.mean()) if len(tested) else None,
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as a Markdown table."""
    low, high = summary["interval"]
    return "\n".join(
        [
            "| passages | with a self-test | its questions | true gain | self-test gain | Spearman (95 %) |",
            "|---|---|---|---|---|---|",
            f"| {summary['passages']} | {summary['with_self_test']} | {summary['self_test_questions']} "
            f"| {summary['true_gain']:+.1%} | {summary['self_test_gain']:+.1%} "
            f"| {summary['spearman']:.2f} ({low:.2f} to {high:.2f}) |",
        ]
    )


def _gain(row: dict[str, Any], prefix: str) -> float:
    return results_file.share_right(row[f"{prefix}after"]) - results_file.share_right(row[f"{prefix}before"])


def _spearman(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """0 where one of the two does not vary."""
    if len(left) < 2 or left.std() == 0 or right.std() == 0:
        return 0.0
    return float(spearmanr(left, right).statistic)


def _interval(left: NDArray[np.float64], right: NDArray[np.float64]) -> tuple[float, float]:
    if len(left) < 2:
        return -1.0, 1.0
    picks = np.random.default_rng(0).integers(0, len(left), (DRAWS, len(left)))
    low, high = np.quantile([_spearman(left[p], right[p]) for p in picks], [0.025, 0.975])
    return float(low), float(high)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, default=os.environ.get("SEAL_SQUAD"), help="passages with questions")
    parser.add_argument("--passages", type=int, default=60)
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "self_test.json")
    options = parser.parse_args()
    if options.squad is None:
        parser.error("--squad FILE names the passages and questions to measure on")
    return options


if __name__ == "__main__":
    main()
