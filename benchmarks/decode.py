"""How fast is text generated at different batch sizes, with and without adapters?

    python benchmarks/decode.py --quick
    .venv-vllm/bin/python benchmarks/decode.py --out benchmarks/results/decode_vllm.json      # vLLM too; see make vllm
    python benchmarks/decode.py --device cuda --dtype bfloat16                   # on a GPU, with vLLM if installed
    python benchmarks/decode.py --device cuda --model random:7b --no-vllm        # weights drawn on the device

The contenders take turns, round by round, on the same prompts: this project's engine without adapters, with one adapter
for all rows, and with 8 and 32 adapters spread over the rows; the same over vLLM where it is installed; and
transformers' `generate`. Each generates the same number of new tokens, and no row stops early. Of vLLM the seconds are
given that an adapter takes from memory until it answers. Launches and the busy share are those of torch's profiler.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from parts import measure, random_models, results_file
from parts.profiled import Profiled, profiled

from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, VLLMConfig
from seal_agent.data import bundled
from seal_agent.generation.engine import Engine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.generation.vllm.requests import Request
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Sampling

PAPER = RECIPES["paper"].inner_loop
ADAPTERS = 8
MOST_ADAPTERS = 32
NO_ADAPTER, MANY_ADAPTERS, TRANSFORMERS = "hf, no adapter", f"hf, {ADAPTERS} adapters", "transformers generate"


class EndlessEngine(HFEngine):
    """Never stops a row, so that every row gets all its tokens."""

    def _stopped(self, row: object) -> bool:
        return False


class EndlessVLLM(VLLMEngine):
    """The same over vLLM."""

    def _request(self, *arguments: Any) -> Request:
        return replace(super()._request(*arguments), stop=(), stop_ids=())


def main() -> None:
    options = _options()
    base = random_models.load(options.model, options.device, options.dtype)
    engine = EndlessEngine(base, max_rows=max(options.batches))
    run, rows = results_file.describe_run(), []
    adapters = [measure.random_adapter(base, PAPER, seed) for seed in range(MOST_ADAPTERS)]
    engines: dict[str, Engine] = {"hf": engine}
    if options.vllm:
        engines["vllm"], loading = _vllm(base, adapters)
        rows.append({"contender": "vllm, an adapter made ready", "seconds": loading})
    for batch in options.batches:
        prompts = example_questions(batch)
        speeds: dict[str, list[float]] = {}
        contenders = [
            (name, work)
            for name, work in _contenders(base, engines, prompts, adapters).items()
            if not options.no_transformers or name != TRANSFORMERS
        ]
        for _, work in contenders:  # warm up
            work(2)
        for round_number in range(options.rounds):
            for name, work in contenders:
                measure.show_progress(f"batch {batch}, round {round_number + 1}/{options.rounds}: {name}")
                seconds = measure.seconds_of(lambda work=work: work(options.tokens), base.device)  # type: ignore[misc]
                speeds.setdefault(name, []).append(batch * options.tokens / seconds)
        profiles = {} if options.no_profile else _profiles(contenders, options.tokens, base)
        rows += [
            {
                "batch": batch,
                "contender": name,
                "tokens_per_second": values,
                "profile": asdict(profiles[name]) if name in profiles else None,
            }
            for name, values in speeds.items()
        ]
    measure.show_progress("")
    result = _result(rows, base)
    config = {"model": options.model, "tokens": options.tokens, "rank": PAPER.rank, "seed": 0}
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=result)
    print(table(rows))
    print(json.dumps(result))


def _profiles(
    contenders: Sequence[tuple[str, Callable[[int], object]]], tokens: int, base: BaseModel
) -> dict[str, Profiled]:
    """Of contenders that run in this process."""
    return {
        name: profiled(lambda work=work: work(tokens), base.device, tokens)  # type: ignore[misc]
        for name, work in contenders
        if not name.startswith("vllm")
    }


def example_questions(count: int) -> list[str]:
    """Questions about the bundled passages, repeated if there are too few."""
    questions = [question.text for context in bundled.novel() for question in context.questions]
    return [questions[i % len(questions)] for i in range(count)]


def _contenders(
    base: BaseModel, engines: Mapping[str, Engine], prompts: Sequence[str], adapters: Sequence[LoraAdapter]
) -> dict[str, Callable[[int], object]]:
    """By name, functions that generate the given number of tokens for every prompt."""

    def with_engine(engine: Engine, row_adapters: Sequence[LoraAdapter | None]) -> Callable[[int], object]:
        return lambda tokens: engine.generate(prompts, Sampling(max_tokens=tokens), row_adapters)

    def with_transformers(tokens: int) -> object:
        tokenizer: Any = base.tokenizer
        tokenizer.padding_side, tokenizer.pad_token = "left", tokenizer.pad_token or tokenizer.eos_token
        inputs = tokenizer(list(prompts), return_tensors="pt", padding=True).to(base.device)
        return base.module.generate(**inputs, min_new_tokens=tokens, max_new_tokens=tokens, do_sample=False)

    contenders: dict[str, Callable[[int], object]] = {}
    for name, engine in engines.items():
        contenders[f"{name}, no adapter"] = with_engine(engine, [None] * len(prompts))
        for count in (1, ADAPTERS, MOST_ADAPTERS):
            if len(prompts) >= count:
                rows = [adapters[i % count] for i in range(len(prompts))]
                contenders[f"{name}, {count} adapter{'s' * (count > 1)}"] = with_engine(engine, rows)
    contenders[TRANSFORMERS] = with_transformers
    return contenders


def _vllm(base: BaseModel, adapters: Sequence[LoraAdapter]) -> tuple[Engine, list[float]]:
    """vLLM, started, and the seconds that each adapter took until it answered its first token."""
    from seal_agent.generation.vllm.local import LocalVLLM

    config = VLLMConfig(max_lora_rank=PAPER.rank, max_loras=MOST_ADAPTERS, max_cpu_loras=MOST_ADAPTERS)
    engine = EndlessVLLM(base, LocalVLLM(base, config))
    engine.generate(["One"], Sampling(max_tokens=1), adapters[:1])  # starts it
    seconds = []
    for adapter in adapters[1:]:
        started = time.perf_counter()
        engine.generate(["One"], Sampling(max_tokens=1), [adapter])
        seconds.append(time.perf_counter() - started)
    return engine, seconds


def _result(rows: Sequence[dict[str, Any]], base: BaseModel) -> dict[str, Any]:
    by_batch = {
        batch: {row["contender"]: row["tokens_per_second"] for row in rows if row.get("batch") == batch}
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
        "dtype": base.dtype_name,
        "threads": measure.threads(),
    }


def _batch_sizes(rows: Sequence[dict[str, Any]]) -> list[int]:
    return list(dict.fromkeys(row["batch"] for row in rows if "batch" in row))


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Median new tokens per second: contenders down, batch sizes across."""
    timed = [row for row in rows if "batch" in row]
    batches, names = _batch_sizes(rows), list(dict.fromkeys(row["contender"] for row in timed))
    cells = {(row["contender"], row["batch"]): f"{statistics.median(row['tokens_per_second']):.0f}" for row in timed}
    header = "| new tokens per second | " + " | ".join(f"batch {b}" for b in batches) + " |"
    lines = [header, "|---" * (len(batches) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(cells.get((name, b), "—") for b in batches) + " |" for name in names]
    lines += [
        f"\n{row['contender']}, batch {row['batch']}: {Profiled(**row['profile']).cells()} launches a token | busy"
        for row in timed
        if row.get("profile")
    ]
    for row in rows:
        if "seconds" in row:
            low, middle, high = (float(v) for v in statistics.quantiles(row["seconds"], n=4))
            lines.append(f"\n{row['contender']}: {middle:.3f} s (quartiles {low:.3f}–{high:.3f})")
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
    parser.add_argument("--no-transformers", action="store_true", help="leave out transformers' generate")
    parser.add_argument("--no-profile", action="store_true", help="leave out launches and busy share")
    parser.add_argument("--vllm", action=argparse.BooleanOptionalAction, default=importlib.util.find_spec("vllm"))
    parser.add_argument("--out", type=Path, help="default: decode.json; with --quick nothing is written")
    options = parser.parse_args()
    options.out = options.out or results_file.place_for("decode", options)
    if options.quick:
        options.rounds, options.batches, options.tokens = 1, [8], 32
    return options


if __name__ == "__main__":
    main()
