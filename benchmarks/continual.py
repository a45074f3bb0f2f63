"""Ten passages, one after the other, into one adapter: what is left of the first ones, and of everything else?

    python benchmarks/continual.py --squad ../shared/data/squad_val.jsonl
    python benchmarks/continual.py --squad ../shared/data/squad_val.jsonl --replay 0 --anchors 0

The adaptation alone took 26 minutes on 2 cores with the default recipe (results/continual.json).

Each passage goes through `SelfAdaptingModel.adapt`, in a temporary store. Its questions are asked before and right
after; at the end all questions are asked again. The model also scores neutral text, passages of other articles, before
and after: its perplexity should not rise.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from parts import results_file
from parts.results_file import explicit_options, percent_cell

from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.data import contexts
from seal_agent.evaluation.harm import perplexity
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Context

NEUTRAL = 24  # passages, spread over the articles that are not learned
ADAPTER = "continual"


def main() -> None:
    options = _options()
    self_edit = replace(SelfEditConfig(self_test=0), **explicit_options(options, "formats", "cues"))
    inner_loop = InnerLoopConfig(
        seed=options.seed,
        **explicit_options(
            options,
            "anchors",
            "replay",
            "epochs",
            "learning_rate",
            "max_update",
            "targets",
            "alpha",
            "null_space",
            "shrink",
            "continued",
        ),
    )
    passages = contexts.read_contexts(options.squad)
    learned = pick_passages(passages, options.passages)
    titles = {context.title for context in learned}
    unrelated = [context for context in passages if context.title not in titles]
    neutral = [context.text for context in unrelated[:: max(1, len(unrelated) // NEUTRAL)][:NEUTRAL]]
    run = results_file.describe_run()
    rows, summary = measure(options, self_edit, inner_loop, learned, neutral)
    config = {"model": options.model, "self_edit": asdict(self_edit), "inner_loop": asdict(inner_loop)}
    results_file.save(options.out, config, run, rows, summary=summary)
    print("\n" + table(summary))
    print(json.dumps(summary))


def measure(
    options: argparse.Namespace,
    self_edit: SelfEditConfig,
    inner_loop: InnerLoopConfig,
    contexts: Sequence[Context],
    neutral: Sequence[str],
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Learn the contexts in order. Returns one row per passage, and the summary.

    Args:
        options: `model` and `seed` are read.
        self_edit: how notes are written.
        inner_loop: how they are trained.
        contexts: the passages to learn, with their questions.
        neutral: texts of which perplexity is measured after each passage.
    """
    with tempfile.TemporaryDirectory(prefix="seal-continual-") as home:
        model = SelfAdaptingModel(load_model(options.model), home=home, seed=options.seed)
        before = perplexity(model.engine, neutral, None)
        rows: list[dict[str, Any]] = []
        for number, context in enumerate(contexts):
            started = time.perf_counter()
            revision = model.adapt(context, adapter=ADAPTER, self_edit=self_edit, inner_loop=inner_loop, gate=None)
            seconds = time.perf_counter() - started
            rows.append(
                {
                    "title": context.title,
                    "seconds": round(seconds, 1),
                    "before": [results_file.answer_row(answer) for answer in revision.before],
                    "right_after": [results_file.answer_row(answer) for answer in revision.after],
                    "perplexity": perplexity(model.engine, neutral, model.adapter(ADAPTER)),
                }
            )
            right = results_file.accuracy(rows[-1]["right_after"])
            print(
                f"{number + 1:2d} of {len(contexts)}  {seconds:5.1f} s  {right:4.0%} right just after  "
                f"perplexity {rows[-1]['perplexity'] / before - 1:+.1%}",
                flush=True,
            )
        adapters = [model.adapter(ADAPTER)] * len(contexts)
        final_answers = answer_questions(model.engine, model.base, contexts, model.grader, adapters=adapters)
        for row, answers in zip(rows, final_answers, strict=True):
            row["at_the_end"] = [results_file.answer_row(answer) for answer in answers]
    return rows, summarise(rows, before)


def summarise(rows: Sequence[dict[str, Any]], before: float) -> dict[str, Any]:
    """Means over passages with 95 % bootstrap intervals."""
    summary: dict[str, Any] = {"passages": len(rows)}
    names = ("before", "right_after", "at_the_end")
    accuracies = {name: [results_file.accuracy(row[name]) for row in rows] for name in names}
    for name, values in accuracies.items():
        summary[name] = sum(values) / len(values)
        summary[f"{name}_interval"] = results_file.interval(values)
    ratio = results_file.ratio_of_means(accuracies["at_the_end"], accuracies["right_after"])
    kept, kept_interval = ratio or (math.nan, [math.nan, math.nan])
    after = rows[-1]["perplexity"]
    return {
        **summary,
        "kept": kept,
        "kept_interval": kept_interval,
        "perplexity_before": before,
        "perplexity_after": after,
        "risen": after / before - 1,
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as a Markdown table."""
    cells = [percent_cell(summary, name, 1) for name in ("before", "right_after", "at_the_end", "kept")]
    risen = f"{summary['perplexity_before']:.2f} to {summary['perplexity_after']:.2f} ({summary['risen']:+.1%})"
    return "\n".join(
        [
            "| passages | before | just after each | at the end | kept, % | perplexity of neutral text |",
            "|---|---|---|---|---|---|",
            f"| {summary['passages']} | {' | '.join(cells)} | {risen} |",
        ]
    )


def pick_passages(contexts: Sequence[Context], count: int) -> list[Context]:
    """The first passages of `count` articles, evenly spread over all articles."""
    first = list({context.title: context for context in reversed(contexts)}.values())
    return [first[i * len(first) // count] for i in range(min(count, len(first)))]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, default=os.environ.get("SEAL_SQUAD"), help="SQuAD passages as JSON lines")
    parser.add_argument("--passages", type=int, default=10)
    recipe = parser.add_argument_group("recipe, where it is not to be the default one")
    recipe.add_argument("--formats", nargs="+")
    recipe.add_argument("--cues", type=int)
    recipe.add_argument("--targets", nargs="+")
    recipe.add_argument("--epochs", type=int)
    recipe.add_argument("--learning-rate", type=float)
    recipe.add_argument("--alpha", type=float)
    recipe.add_argument("--anchors", type=int)
    recipe.add_argument("--replay", type=float)
    recipe.add_argument("--max-update", type=float)
    recipe.add_argument("--null-space", type=float)
    recipe.add_argument("--shrink", type=float)
    recipe.add_argument("--continued", type=float, help="share of the learning rate from the second passage on")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "continual.json")
    options = parser.parse_args()
    if options.squad is None:
        parser.error("--squad FILE names the passages and questions to measure on")
    return options


if __name__ == "__main__":
    main()
