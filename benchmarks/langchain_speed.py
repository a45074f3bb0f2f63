"""Through LangChain, how much does an adapter delay the first token, and what does switching adapters cost?

    python benchmarks/langchain_speed.py --quick

Each round streams the same prompt three times, in a new order: with the base model, with the adapter of the call
before, and with that adapter after another one. An unmeasured call before each measured one sets which adapter was used
last. Within a round, the second time over the first is the cost of an adapter, and the third less the second is the
cost of a switch.

The adapters have the default recipe's shape and random weights. They lie in a store, and each call chooses its adapter
by LangChain's config.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import HumanMessage, SystemMessage
from parts import measure, results_file

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES
from seal_agent.data import bundled
from seal_agent.integrations.langchain import ChatSeal
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import files
from seal_agent.types import Context, Revision, TrainingSummary

BASE, SAME, CHANGED = "base model", "same adapter again", "adapter after another"
NAMES = ("first", "second")
BAR_RATIO, BAR_CHANGE_MS = 1.25, 10.0
DRAWS = 10_000
MAX_TOKENS = 4  # more than one, to be sure that the first chunk is not the whole answer


def main() -> None:
    options = _options()
    base = load_model(options.model, device=options.device, dtype=options.dtype)
    inner_loop = RECIPES["default"].inner_loop
    run, rows = results_file.describe_run(), []
    with tempfile.TemporaryDirectory() as home:
        seal = SelfAdaptingModel(base, home=home)
        revisions = {
            name: store_adapter(seal, name, measure.random_adapter(base, inner_loop, seed))
            for seed, name in enumerate(NAMES)
        }
        llm = ChatSeal(backend=seal, max_tokens=MAX_TOKENS)
        for length in options.prompts:
            rows += _measure_rounds(llm, example_prompt(base, length), options)
        first_use = _first_use_ms(home, base)
    summary: dict[str, Any] = {
        "by_prompt": {
            str(length): _summary([row for row in rows if row["prompt_tokens"] == length])
            for length in dict.fromkeys(row["prompt_tokens"] for row in rows)
        },
        "first_use_ms": first_use,
        "dtype": base.dtype_name,
        "threads": measure.threads(),
    }
    config = {"model": options.model, "rounds": options.rounds, "revisions": revisions, "seed": options.seed}
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=summary)
    print(table(summary["by_prompt"]))
    print(json.dumps(summary))


def _measure_rounds(llm: ChatSeal, prompt: list[Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per round: milliseconds to the first token of each contender."""
    rng, rows = random.Random(options.seed), []
    tokens = llm.get_num_tokens_from_messages(prompt)
    contenders = {BASE: (None, None), SAME: (NAMES[0], NAMES[0]), CHANGED: (NAMES[1], NAMES[0])}
    for round_number in range(-1, options.rounds):  # round -1 warms up
        measure.show_progress(f"{tokens} tokens, round {round_number + 1}/{options.rounds}")
        times = {}
        for name in rng.sample(sorted(contenders), len(contenders)):
            previous, measured = contenders[name]
            first_token_ms(llm, prompt, previous)
            times[name] = first_token_ms(llm, prompt, measured)
        if round_number >= 0:
            rows.append({"prompt_tokens": tokens, "round": round_number, "ms": times})
    measure.show_progress("")
    return rows


def first_token_ms(llm: ChatSeal, prompt: list[Any], adapter: str | None) -> float:
    """Milliseconds from the call to the first chunk of text."""
    started = time.perf_counter()
    stream = llm.stream(prompt, {"configurable": {"adapter": adapter}})
    next(stream)
    elapsed = time.perf_counter() - started
    for _ in stream:
        pass
    return 1000 * elapsed


def example_prompt(base: BaseModel, tokens: int) -> list[Any]:
    """A system message from the bundled passages and a question, together about `tokens` tokens."""
    text = " ".join(context.text for context in bundled.novel())
    cut = base.tokenizer.decode(base.tokens(text)[: max(tokens - 24, 1)])
    return [SystemMessage(cut), HumanMessage(bundled.novel()[0].questions[0].text)]


def store_adapter(seal: SelfAdaptingModel, name: str, weights: LoraAdapter) -> str:
    """Put an adapter into the store as if it had been trained. Returns its revision's id."""
    folder = files.save(weights, seal.base.name, seal.base.identity, seal.home / "adapters")
    context, training = Context(f"Nothing; the weights of {name} are random."), TrainingSummary(0, 0, 0, ())
    created, reason = "2026-01-01T00:00:00+00:00", "for a benchmark"
    revision = Revision(name, name, None, created, seal.base.identity, context, (), (), (), (), training, True, reason)
    seal.ledger.record(revision, proposal=name, folder=folder)
    return revision.id


def _first_use_ms(home: str, base: BaseModel) -> float:
    """Extra milliseconds of a process's first call of an adapter, which loads it from disk."""
    llm = ChatSeal(backend=SelfAdaptingModel(base, home=home), max_tokens=MAX_TOKENS)
    prompt = example_prompt(base, 64)
    first = first_token_ms(llm, prompt, NAMES[0])
    return first - statistics.median(first_token_ms(llm, prompt, NAMES[0]) for _ in range(5))


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one prompt, from its rounds."""
    ratios = [row["ms"][SAME] / row["ms"][BASE] for row in rows]
    changes = [row["ms"][CHANGED] - row["ms"][SAME] for row in rows]
    ratio, change = median(ratios), median(changes)
    return {
        "first_token_ms": {name: statistics.median(row["ms"][name] for row in rows) for name in (BASE, SAME, CHANGED)},
        "ratio_adapter_vs_base": ratio,
        "change_ms": change,
        "within_bars": ratio["median"] <= BAR_RATIO and change["median"] <= BAR_CHANGE_MS,
        "rounds": len(rows),
    }


def median(values: Sequence[float], seed: int = 0) -> dict[str, float]:
    """The median over rounds and its 95 % bootstrap interval."""
    sample = np.asarray(values)
    picks = np.random.default_rng(seed).integers(0, len(sample), (DRAWS, len(sample)))
    low, high = np.quantile(np.median(sample[picks], axis=1), [0.025, 0.975])
    return {"median": float(np.median(sample)), "low": float(low), "high": float(high)}


def table(by_prompt: dict[str, dict[str, Any]]) -> str:
    """One line per prompt, as Markdown: medians, intervals, and the bars (the limits that both should stay under)."""
    lines = [
        f"| prompt tokens | first token, {BASE} | {SAME} | ratio, bar {BAR_RATIO} | change, bar {BAR_CHANGE_MS:g} ms |",
        "|---|---|---|---|---|",
    ]
    for length, row in by_prompt.items():
        times, ratio, change = row["first_token_ms"], row["ratio_adapter_vs_base"], row["change_ms"]
        lines.append(
            f"| {length} | {times[BASE]:.0f} ms | {times[SAME]:.0f} ms "
            f"| {ratio['median']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}] "
            f"| {change['median']:+.1f} ms [{change['low']:+.1f}, {change['high']:+.1f}] |"
        )
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the short prompt only, three rounds")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--prompts", type=int, nargs="+", default=[64, 512], metavar="TOKENS")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="default: langchain_speed.json; with --quick nothing is written")
    options = parser.parse_args()
    options.out = options.out or results_file.place_for("langchain_speed", options)
    if options.quick:
        options.rounds, options.prompts = 3, options.prompts[:1]
    return options


if __name__ == "__main__":
    main()
