"""How fast is text written, with and without adapters, against the batch?

    python benchmarks/decode.py --quick

Contenders take turns, round by round, on the same prompts and with the same number of new tokens each: this project's
engine without adapters, with one adapter for all rows, with K adapters dealt out among the rows; transformers'
`generate`; and vLLM where it is installed. No row may stop early.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import measure
import results_file
import torch

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES
from seal_agent.data import bundled
from seal_agent.generation.hf import HFEngine
from seal_agent.lora.adapter import LoraAdapter, LoraPair, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.types import Sampling

NONE, PLAIN_LORA = "engine, no adapter", "transformers generate"
MANY = 8


class Endless(HFEngine):
    """No token ends the text, so that every row writes all its tokens."""

    def _stopped(self, row: object) -> bool:
        return False


def main() -> None:
    options = _options()
    base = load_model(options.model, device=options.device, dtype=options.dtype)
    engine = Endless(base, max_rows=max(options.batches))
    run, rows = results_file.describe_run(), []
    adapters = [random_adapter(base, seed) for seed in range(MANY)]
    for batch in options.batches:
        prompts = prompts_of(batch)
        speeds: dict[str, list[float]] = {}
        contenders = list(_contenders(engine, prompts, adapters, options).items())
        for _, work in contenders:  # warm up
            work(2)
        for number in range(options.rounds):
            for name, work in contenders:
                _tell(f"batch {batch}, round {number + 1}/{options.rounds}: {name}")
                seconds = measure.seconds_of(lambda work=work: work(options.tokens), base.device)  # type: ignore[misc]
                speeds.setdefault(name, []).append(batch * options.tokens / seconds)
        rows += [{"batch": batch, "contender": name, "tokens_per_second": s} for name, s in speeds.items()]
    _tell("")
    result = _result(rows, base)
    config = {"model": options.model, "tokens": options.tokens, "rank": RECIPES["paper"].inner_loop.rank, "seed": 0}
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=result)
    print(table(rows))
    print(json.dumps(result))


def prompts_of(count: int) -> list[str]:
    """Questions of the bundled passages."""
    questions = [q.text for c in bundled.novel() for q in c.questions]
    return [questions[i % len(questions)] for i in range(count)]


def random_adapter(base: BaseModel, seed: int) -> LoraAdapter:
    """An adapter of the paper's shape and small random factors."""
    config, draw = RECIPES["paper"].inner_loop, torch.Generator().manual_seed(seed)
    fresh = new_adapter(base.module, find_targets(base.module, config.targets), config.rank, config.alpha, seed)
    pairs = {n: LoraPair(p.a_DR, torch.randn(p.b_RO.shape, generator=draw) * 1e-3) for n, p in fresh.pairs.items()}
    return replace(fresh, pairs=pairs)


def _contenders(
    engine: HFEngine, prompts: Sequence[str], adapters: Sequence[LoraAdapter], options: argparse.Namespace
) -> dict[str, Callable[[int], object]]:
    base = engine.base

    def ours(chosen: Sequence[LoraAdapter | None]) -> Callable[[int], object]:
        return lambda tokens: engine.generate(prompts, Sampling(max_tokens=tokens), chosen)

    def plain(tokens: int) -> object:
        tokenizer: Any = base.tokenizer
        tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.pad_token or tokenizer.eos_token
        inputs = tokenizer(list(prompts), return_tensors="pt", padding=True).to(base.device)
        return base.module.generate(**inputs, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)

    contenders: dict[str, Callable[[int], object]] = {
        NONE: ours([None] * len(prompts)),
        "engine, 1 adapter": ours([adapters[0]] * len(prompts)),
    }
    if len(prompts) >= len(adapters):
        contenders[f"engine, {MANY} adapters"] = ours([adapters[i % MANY] for i in range(len(prompts))])
    contenders[PLAIN_LORA] = plain
    if options.vllm:
        contenders["vllm, no adapter"] = _vllm(options.model, prompts)
    return contenders


def _vllm(model: str, prompts: Sequence[str]) -> Callable[[int], object]:
    from vllm import LLM, SamplingParams

    from seal_agent.base_model.loading import resolve

    llm = LLM(resolve(model), enforce_eager=False)
    return lambda n: llm.generate(
        list(prompts), SamplingParams(max_tokens=n, temperature=0, ignore_eos=True), use_tqdm=False
    )


def _result(rows: Sequence[dict[str, Any]], base: BaseModel) -> dict[str, Any]:
    by_batch = {
        batch: {r["contender"]: r["tokens_per_second"] for r in rows if r["batch"] == batch} for batch in _of(rows)
    }
    many = f"engine, {MANY} adapters"
    ratios = {
        batch: measure.summary([a / b for a, b in zip(speeds[many], speeds[NONE], strict=True)])
        for batch, speeds in by_batch.items()
        if many in speeds
    }
    at = MANY if MANY in ratios else next(iter(ratios), None)
    return {
        "ratio_8_adapters_vs_none": ratios[at]["median"] if at is not None else None,
        "batch": at,
        "by_batch": ratios,
        "dtype": str(base.dtype).removeprefix("torch."),
        "threads": measure.threads(),
    }


def _of(rows: Sequence[dict[str, Any]]) -> list[int]:
    return list(dict.fromkeys(row["batch"] for row in rows))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Median new tokens per second: contenders down, batch sizes across."""
    batches, names = _of(rows), list(dict.fromkeys(row["contender"] for row in rows))
    cells = {(r["contender"], r["batch"]): f"{statistics.median(r['tokens_per_second']):.0f}" for r in rows}
    head = "| new tokens per second | " + " | ".join(f"batch {b}" for b in batches) + " |"
    lines = [head, "|---" * (len(batches) + 1) + "|"]
    return "\n".join(
        [*lines, *(f"| {n} | " + " | ".join(cells.get((n, b), "—") for b in batches) + " |" for n in names)]
    )


def _tell(text: str) -> None:
    print(f"\r\033[K{text}", end="", flush=True)


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
