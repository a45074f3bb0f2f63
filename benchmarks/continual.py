"""Ten passages one after the other into one adapter: what is left of the first, and of everything else?

    python benchmarks/continual.py --squad ../shared/data/squad_val.jsonl
    python benchmarks/continual.py --squad ../shared/data/squad_val.jsonl --replay 0 --anchors 0

Each passage is adapted to by `SelfAdaptingModel.adapt`, in a store of its own that is thrown away, and its questions
are asked before and right after; at the end all questions are asked again. Neutral text, passages about other things,
is scored by the model before and after: its perplexity should not have risen.
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

import results_file

from seal_agent.adaptation.answering import answer_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.data import contexts
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Context

NEUTRAL = 24  # passages, spread over other articles
ADAPTER = "continual"


def main() -> None:
    options = _options()
    self_edit = replace(SelfEditConfig(self_test=0), **_given(options, "formats", "cues"))
    inner_loop = InnerLoopConfig(
        seed=options.seed,
        **_given(
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
    every = contexts.read_contexts(options.squad)
    learnt = chosen(every, options.passages)
    titles = {context.title for context in learnt}
    others = [context for context in every if context.title not in titles]
    neutral = [context.text for context in others[:: max(1, len(others) // NEUTRAL)][:NEUTRAL]]
    run = results_file.describe_run()
    rows, summary = measure(options, self_edit, inner_loop, learnt, neutral)
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
    """One row per passage, and what they come to."""
    with tempfile.TemporaryDirectory(prefix="seal-continual-") as home:
        model = SelfAdaptingModel(load_model(options.model), home=home, seed=options.seed)
        before = perplexity(model.engine, neutral, None)
        rows: list[dict[str, Any]] = []
        for number, context in enumerate(contexts):
            started = time.perf_counter()
            revision = model.adapt(context, adapter=ADAPTER, self_edit=self_edit, inner_loop=inner_loop)
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
            right = results_file.share_right(rows[-1]["right_after"])
            print(
                f"{number + 1:2d} of {len(contexts)}  {seconds:5.1f} s  {right:4.0%} right just after  "
                f"perplexity {rows[-1]['perplexity'] / before - 1:+.1%}",
                flush=True,
            )
        adapters = [model.adapter(ADAPTER)] * len(contexts)
        for row, answers in zip(
            rows, answer_questions(model.engine, contexts, model.grader, adapters=adapters), strict=True
        ):
            row["at_the_end"] = [results_file.answer_row(answer) for answer in answers]
    return rows, summarise(rows, before)


def summarise(rows: Sequence[dict[str, Any]], before: float) -> dict[str, Any]:
    """Means over passages with 95 % bootstrap intervals."""
    summary: dict[str, Any] = {"passages": len(rows)}
    names = ("before", "right_after", "at_the_end")
    shares = {name: [results_file.share_right(row[name]) for row in rows] for name in names}
    for name, of_passages in shares.items():
        summary[name] = sum(of_passages) / len(of_passages)
        summary[f"{name}_interval"] = results_file.interval(of_passages)
    kept, kept_interval = results_file.ratio(shares["at_the_end"], shares["right_after"]) or (
        math.nan,
        [math.nan, math.nan],
    )
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
    return "\n".join(
        [
            "| passages | before | just after each | at the end | kept, % | perplexity of neutral text |",
            "|---|---|---|---|---|---|",
            f"| {summary['passages']} | {_cell(summary, 'before')} | {_cell(summary, 'right_after')} "
            f"| {_cell(summary, 'at_the_end')} | {_cell(summary, 'kept')} | {summary['perplexity_before']:.2f} to "
            f"{summary['perplexity_after']:.2f} ({summary['risen']:+.1%}) |",
        ]
    )


def chosen(contexts: Sequence[Context], count: int) -> list[Context]:
    """Passages of as many different articles as there are, evenly spread."""
    first = list({context.title: context for context in reversed(contexts)}.values())
    return [first[i * len(first) // count] for i in range(min(count, len(first)))]


def perplexity(engine: Engine, texts: Sequence[str], adapter: LoraAdapter | None) -> float:
    """Of all tokens behind the first word of each text, as plain text without a chat around it."""
    heads, tails = zip(*(_cut(text) for text in texts), strict=True)
    scores = engine.score(heads, tails, [adapter] * len(texts))
    tokens = [score for of_text in scores for score in of_text]
    return math.exp(-sum(tokens) / len(tokens))


def _cut(text: str) -> tuple[str, str]:
    head, blank, tail = text.partition(" ")
    return head, blank + tail


def _cell(summary: dict[str, Any], name: str) -> str:
    low, high = summary[f"{name}_interval"]
    return f"{100 * summary[name]:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The options that were typed; the others stay as the code has them."""
    typed = {name: getattr(options, name) for name in names}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in typed.items() if v is not None}


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
