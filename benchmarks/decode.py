"""How fast is text generated at different batch sizes, with and without adapters?

    python benchmarks/decode.py --quick

The contenders take turns, round by round, on the same prompts: this project's engine without adapters, with one adapter
for all rows, and with 8 adapters spread over the rows; transformers' `generate`; and vLLM where it is installed. Each
generates the same number of new tokens, and no row stops early.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parts import measure, results_file

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES
from seal_agent.data import bundled
from seal_agent.generation.hf import HFEngine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Sampling

PAPER = RECIPES["paper"].inner_loop
ADAPTERS = 8
NO_ADAPTER, MANY_ADAPTERS, TRANSFORMERS = "engine, no adapter", f"engine, {ADAPTERS} adapters", "transformers generate"


class EndlessEngine(HFEngine):
    """Never stops a row, so that every row gets all its tokens."""

    def _stopped(self, row: object) -> bool:
        return False


def main() -> None:
    options = _options()
    base = load_model(options.model, device=options.device, dtype=options.dtype)
    engine = EndlessEngine(base, max_rows=max(options.batches))
    run, rows = results_file.describe_run(), []
    adapters = [measure.random_adapter(base, PAPER, seed) for seed in range(ADAPTERS)]
    for batch in options.batches:
        prompts = example_questions(batch)
        speeds: dict[str, list[float]] = {}
        contenders = list(_contenders(engine, prompts, adapters, options).items())
        for _, work in contenders:  # warm up
            work(2)
        for round_number in range(options.rounds):
            for name, work in contenders:
                measure.show_progress(f"batch {batch}, round {round_number + 1}/{options.rounds}: {name}")
                seconds = measure.seconds_of(lambda work=work: work(options.tokens), base.device)  # type: ignore[misc]
                speeds.setdefault(name, []).append(batch * options.tokens / seconds)
        rows += [{"batch": batch, "contender": name, "tokens_per_second": values} for name, values in speeds.items()]
    measure.show_progress("")
    result = _result(rows, base)
    config = {"model": options.model, "tokens": options.tokens, "rank": PAPER.rank, "seed": 0}
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=result)
    print(table(rows))
    print(json.dumps(result))


def example_questions(count: int) -> list[str]:
    """Questions about the bundled passages, repeated if there are too few."""
    questions = [question.text for context in bundled.novel() for question in context.questions]
    return [questions[i % len(questions)] for i in range(count)]


def _contenders(
    engine: HFEngine, prompts: Sequence[str], adapters: Sequence[LoraAdapter], options: argparse.Namespace
) -> dict[str, Callable[[int], object]]:
    """By name, functions that generate the given number of tokens for every prompt."""
    base = engine.base

    def with_engine(row_adapters: Sequence[LoraAdapter | None]) -> Callable[[int], object]:
        return lambda tokens: engine.generate(prompts, Sampling(max_tokens=tokens), row_adapters)

    def with_transformers(tokens: int) -> object:
        tokenizer: Any = base.tokenizer
        tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.pad_token or tokenizer.eos_token
        inputs = tokenizer(list(prompts), return_tensors="pt", padding=True).to(base.device)
        return base.module.generate(**inputs, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)

    contenders: dict[str, Callable[[int], object]] = {
        NO_ADAPTER: with_engine([None] * len(prompts)),
        "engine, 1 adapter": with_engine([adapters[0]] * len(prompts)),
    }
    if len(prompts) >= len(adapters):
        contenders[MANY_ADAPTERS] = with_engine([adapters[i % ADAPTERS] for i in range(len(prompts))])
    contenders[TRANSFORMERS] = with_transformers
    if options.vllm:
        contenders["vllm, no adapter"] = _with_vllm(options.model, prompts)
    return contenders


def _with_vllm(model: str, prompts: Sequence[str]) -> Callable[[int], object]:
    from vllm import LLM, SamplingParams

    from seal_agent.base_model.loading import resolve

    llm = LLM(resolve(model), enforce_eager=False)
    return lambda tokens: llm.generate(
        list(prompts), SamplingParams(max_tokens=tokens, temperature=0, ignore_eos=True), use_tqdm=False
    )


def _result(rows: Sequence[dict[str, Any]], base: BaseModel) -> dict[str, Any]:
    by_batch = {
        batch: {row["contender"]: row["tokens_per_second"] for row in rows if row["batch"] == batch}
        for batch in _batch_sizes(rows)
    }
    ratios = {
        batch: measure.summary([a / b for a, b in zip(speeds[MANY_ADAPTERS], speeds[NO_ADAPTER], strict=True)])
        for batch, speeds in by_batch.items()
        if MANY_ADAPTERS in speeds
    }
    headline_batch = ADAPTERS if ADAPTERS in ratios else next(iter(ratios), None)
    return {
        "ratio_8_adapters_vs_none": ratios[headline_batch]["median"] if headline_batch is not None else None,
        "batch": headline_batch,
        "by_batch": ratios,
        "dtype": str(base.dtype).removeprefix("torch."),
        "threads": measure.threads(),
    }


def _batch_sizes(rows: Sequence[dict[str, Any]]) -> list[int]:
    return list(dict.fromkeys(row["batch"] for row in rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Median new tokens per second: contenders down, batch sizes across."""
    batches, names = _batch_sizes(rows), list(dict.fromkeys(row["contender"] for row in rows))
    cells = {(row["contender"], row["batch"]): f"{statistics.median(row['tokens_per_second']):.0f}" for row in rows}
    header = "| new tokens per second | " + " | ".join(f"batch {b}" for b in batches) + " |"
    lines = [header, "|---" * (len(batches) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cells.get((name, b), "—") for b in batches) + " |" for name in names]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="batch 8 only, one round")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32], metavar="B")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens per row")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--vllm", action=argparse.BooleanOptionalAction, default=importlib.util.find_spec("vllm"))
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "decode.json")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.batches, options.tokens = 1, [8], 32
    return options


if __name__ == "__main__":
    main()
