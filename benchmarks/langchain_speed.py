"""Through LangChain, how much later does the first token come with an adapter, and what does changing adapters cost?

    python benchmarks/langchain_speed.py --quick

In every round the same prompt is streamed three times, in a new order: by the base model, by the adapter that the call
before used, and by that adapter after another one. Each measured call comes after one that is not measured and whose
adapter it says, so that rounds are pairs: the ratio of the second to the first, and the third less the second. Adapters
have the default recipe's shape and random weights; they lie in a store, and every call chooses its own by the config.
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

import measure
import numpy as np
import results_file
import torch
from langchain_core.messages import HumanMessage, SystemMessage

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES
from seal_agent.data import bundled
from seal_agent.integrations.langchain import ChatSeal
from seal_agent.lora.adapter import LoraAdapter, LoraPair, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.model import SelfAdaptingModel
from seal_agent.store import files as files
from seal_agent.types import Context, Revision, TrainingSummary

BASE, SAME, CHANGED = "base model", "same adapter again", "adapter after another"
NAMES = ("first", "second")
BAR_RATIO, BAR_CHANGE_MS = 1.25, 10.0
DRAWS = 10_000
MORE_TOKENS = 4  # a stream is read a little further, so that it is certain that it goes on


def main() -> None:
    options = _options()
    base = load_model(options.model, device=options.device, dtype=options.dtype)
    run, rows = results_file.describe_run(), []
    with tempfile.TemporaryDirectory() as home:
        seal = SelfAdaptingModel(base, home=home)
        cold = {name: stored(seal, name, random_adapter(base, seed)) for seed, name in enumerate(NAMES)}
        llm = ChatSeal(backend=seal, max_tokens=MORE_TOKENS)
        for length in options.prompts:
            rows += _rounds(llm, prompt_of(base, length), options)
        first_use = _first_use_ms(home, base)
    summary = {"by_prompt": {str(n): _summary([r for r in rows if r["prompt_tokens"] == n]) for n in _lengths(rows)}}
    summary |= {
        "first_use_ms": first_use,
        "dtype": str(base.dtype).removeprefix("torch."),
        "threads": measure.threads(),
    }
    config = {"model": options.model, "rounds": options.rounds, "revisions": cold, "seed": options.seed}
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=summary)
    print(table(summary["by_prompt"]))
    print(json.dumps(summary))


def _rounds(llm: ChatSeal, prompt: list[Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Milliseconds to the first token, of each contender in each round."""
    shuffle, rows = random.Random(options.seed), []
    tokens = llm.get_num_tokens_from_messages(prompt)
    contenders = {BASE: (None, None), SAME: (NAMES[0], NAMES[0]), CHANGED: (NAMES[1], NAMES[0])}
    for number in range(-1, options.rounds):  # the first one warms up
        print(f"\r\033[K{tokens} tokens, round {number + 1}/{options.rounds}", end="", flush=True)
        times = {}
        for name in shuffle.sample(sorted(contenders), len(contenders)):
            before, measured = contenders[name]
            first_token_ms(llm, prompt, before)
            times[name] = first_token_ms(llm, prompt, measured)
        if number >= 0:
            rows.append({"prompt_tokens": tokens, "round": number, "ms": times})
    print("\r\033[K", end="")
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


def prompt_of(base: BaseModel, tokens: int) -> list[Any]:
    """A system message of about that many tokens, from the bundled passages, and a question."""
    text = " ".join(context.text for context in bundled.novel())
    cut = base.tokenizer.decode(base.tokens(text)[: max(tokens - 24, 1)])
    return [SystemMessage(cut), HumanMessage(bundled.novel()[0].questions[0].text)]


def random_adapter(base: BaseModel, seed: int) -> LoraAdapter:
    """An adapter of the default recipe's shape and small random factors."""
    config, draw = RECIPES["default"].inner_loop, torch.Generator().manual_seed(seed)
    fresh = new_adapter(base.module, find_targets(base.module, config.targets), config.rank, config.alpha, seed)
    pairs = {n: LoraPair(p.a_DR, torch.randn(p.b_RO.shape, generator=draw) * 1e-3) for n, p in fresh.pairs.items()}
    return LoraAdapter(fresh.rank, fresh.alpha, pairs, fresh.transposed)


def stored(seal: SelfAdaptingModel, name: str, weights: LoraAdapter) -> str:
    """Put an adapter into the store as if it had been learnt; returns its revision's id."""
    folder = files.save(weights, seal.base.name, seal.base.identity, seal.home / "adapters")
    context, none = Context(f"Nothing; the weights of {name} are random."), TrainingSummary(0, 0, 0, ())
    when = "2026-01-01T00:00:00+00:00"
    made = Revision(name, name, None, when, seal.base.identity, context, (), (), (), (), none, True, "for a benchmark")
    seal.ledger.record(made, proposal=name, folder=folder)
    return made.id


def _first_use_ms(home: str, base: BaseModel) -> float:
    """What it costs more, once for a process, to call an adapter that still lies on disk."""
    llm = ChatSeal(backend=SelfAdaptingModel(base, home=home), max_tokens=MORE_TOKENS)
    prompt = prompt_of(base, 64)
    first = first_token_ms(llm, prompt, NAMES[0])
    return first - statistics.median(first_token_ms(llm, prompt, NAMES[0]) for _ in range(5))


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
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
    """The median and its 95 % bootstrap interval; rounds are drawn again with replacement."""
    found = np.asarray(values)
    picks = np.random.default_rng(seed).integers(0, len(found), (DRAWS, len(found)))
    low, high = np.quantile(np.median(found[picks], axis=1), [0.025, 0.975])
    return {"median": float(np.median(found)), "low": float(low), "high": float(high)}


def _lengths(rows: Sequence[dict[str, Any]]) -> list[int]:
    return list(dict.fromkeys(row["prompt_tokens"] for row in rows))


def table(by_prompt: dict[str, dict[str, Any]]) -> str:
    """A line per prompt: medians, intervals, and the bars."""
    lines = [
        f"| prompt tokens | first token, {BASE} | {SAME} | ratio, bar {BAR_RATIO} | change, bar {BAR_CHANGE_MS:g} ms |",
        "|---|---|---|---|---|",
    ]
    for length, found in by_prompt.items():
        times, ratio, change = found["first_token_ms"], found["ratio_adapter_vs_base"], found["change_ms"]
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
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "langchain_speed.json")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.prompts = 3, options.prompts[:1]
    return options


if __name__ == "__main__":
    main()
