"""How long does it take to learn one passage: the first time on this machine, and later?

    python benchmarks/adapt_latency.py
    python benchmarks/adapt_latency.py --device cuda --rounds 4

Every round adapts a new adapter to the same bundled passage. The first round begins with an empty cache folder, so that
it also finds what a new model needs once: directions of reference text, the reader. The store is a temporary folder.
`--model random:135m` draws weights on the device, to time a machine that has no model; what it learns means nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from parts import measure, random_models, results_file

from seal_agent.config import recipe_named
from seal_agent.data import bundled
from seal_agent.model import SelfAdaptingModel


def main() -> None:
    options = _options()
    run, rows = results_file.describe_run(), []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEAL_CACHE"] = str(Path(folder, "cache"))
        started = time.perf_counter()
        base = random_models.load(options.model, options.device, options.dtype)
        loading = time.perf_counter() - started
        model = SelfAdaptingModel(base, home=Path(folder, "store"))
        for number in range(options.rounds):
            measure.show_progress(f"round {number + 1}/{options.rounds}")
            rows.append(_round(model, options, number))
    measure.show_progress("")
    later = [row["seconds"] for row in rows[1:]]
    result = {
        "first": rows[0]["seconds"],
        "later": measure.summary(later) if later else None,
        "loading": loading,
        "dtype": base.dtype_name,
        "device": run["gpu"] if base.device.type == "cuda" else "cpu",
        "threads": measure.threads(),
    }
    config = {"model": options.model, "recipe": options.recipe, "passage": bundled.novel()[0].title, "seed": 0}
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=result)
    print(table(rows))
    print(json.dumps(result))


def _round(model: SelfAdaptingModel, options: argparse.Namespace, number: int) -> dict[str, Any]:
    recipe, context = recipe_named(options.recipe), bundled.novel()[0]
    peak = measure.PeakMemory(model.base.device)
    with peak:
        started = time.perf_counter()
        revision = model.adapt(
            context,
            adapter=f"round-{number}",
            questions=context.questions[: options.questions],
            self_edit=recipe.self_edit,
            inner_loop=recipe.inner_loop,
        )
        if model.base.device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - started
    return {
        "round": number,
        "seconds": seconds,
        "stages": {stage.name: stage.seconds for stage in revision.stages},
        "tokens": revision.training.tokens,
        "steps": revision.training.steps,
        "peak_bytes": peak.bytes,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Seconds in all and by stage; the later rounds as their median."""
    stages = list(dict.fromkeys(stage for row in rows for stage in row["stages"]))
    lines = [f"| seconds | all | {' | '.join(stages)} | tokens |", "|---" * (len(stages) + 3) + "|"]
    for name, group in (("first", rows[:1]), ("later", rows[1:])):
        if group:
            cells = [statistics.median(row["stages"].get(stage, 0.0) for row in group) for stage in stages]
            seconds = statistics.median(row["seconds"] for row in group)
            lines.append(f"| {name} | {seconds:.1f} | {' | '.join(f'{c:.1f}' for c in cells)} | {group[0]['tokens']} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default", help="as everywhere, or random:135m, random:7b")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--rounds", type=int, default=3, help="the first is reported by itself")
    parser.add_argument("--questions", type=int, default=3, help="asked before and after")
    parser.add_argument("--out", type=Path, help="default: adapt_latency.json; a model or a GPU has a file of its own")
    options = parser.parse_args()
    options.out = options.out or results_file.place_for("adapt_latency", options)
    return options


if __name__ == "__main__":
    main()
