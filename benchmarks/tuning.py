"""Does the archive of `seal tune` find better recipes than random search and successive halving, for the same budget?

    python benchmarks/tuning.py                                   # simulated: half a minute of one core
    python benchmarks/tuning.py --seeds 3 --budget 800
    python benchmarks/tuning.py --real --data ../shared/data/squad_val.jsonl --run runs/tuning --seeds 1

Simulated, every seed is another imagined model (parts/tuning_landscape.py): a dose, formats and a temperature that suit
it, passages of different difficulty, five questions each. All strategies begin with the same named recipes, spend the
same number of passages, choose their winner by the same rule, and are judged by the winner's true accuracy; 0 where it
harms more than is allowed. Random search and halving draw the other recipes from the whole ranges, or ("steps") by one
random step from a named recipe.

With --real the same strategies tune a real model on real passages, each in a folder of its own that survives a kill;
their winners are compared on passages that selected nothing, paired. 400 passages for each of six strategies take the
bundled model many hours on two cores.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from parts import results_file
from parts.tuning_landscape import Landscape, passages
from parts.tuning_rivals import STRATEGIES

from seal_agent.config import TuneConfig
from seal_agent.outer_loop.report.interval import estimate
from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.outer_loop.tuning.run import named_candidates
from seal_agent.outer_loop.tuning.search import best

OURS = next(iter(STRATEGIES))


def main() -> None:
    options = _options()
    run, started = results_file.describe_run(), time.perf_counter()
    rows = [row for seed in range(options.seeds) for row in (_real if options.real else simulate)(seed, options)]
    summary = summarise(rows)
    config = {"budget": options.budget, "seeds": options.seeds, "real": options.real, "tune": asdict(TuneConfig())}
    seconds = round(time.perf_counter() - started, 1)
    results_file.save(options.out, config, run, rows, summary=summary, seconds=seconds)
    print(table(summary))
    print(json.dumps(summary))


def simulate(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One imagined model: what each strategy's winner truly reaches."""
    landscape, config = Landscape(seed), TuneConfig(seed=seed)
    selecting, roots = passages(config.stages[-1]), named_candidates()
    rows = []
    for name, strategy in STRATEGIES.items():
        archive = strategy(roots, selecting, config, landscape, options.budget)
        winner = best(archive, config.percentile)
        reached = _reached(landscape, winner, config)
        rows.append(_row(seed, name, archive, winner, reached) | {"default": _reached(landscape, roots[0], config)})
    print(f"seed {seed}: " + ", ".join(f"{row['strategy']} {row['reached']:.3f}" for row in rows), flush=True)
    return rows


def _reached(landscape: Landscape, candidate: Candidate, config: TuneConfig) -> float:
    harmful = landscape.harm(candidate.recipe) > config.max_harm
    return 0.0 if harmful else landscape.quality(candidate.recipe)


def _row(seed: int, name: str, archive: Archive, winner: Candidate, reached: float | None) -> dict[str, Any]:
    return {
        "seed": seed,
        "strategy": name,
        "reached": reached,
        "winner": winner.label,
        "recipes": len(archive),
        "passages": archive.passages_measured(),
    }


def _real(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A real model: the winners of all strategies, and the default, on the same confirming passages."""
    from seal_agent.base_model.loading import load_model
    from seal_agent.data.contexts import read_contexts
    from seal_agent.generation.hf import HFEngine
    from seal_agent.grading.graders import default_grader
    from seal_agent.outer_loop.archive.run import Run
    from seal_agent.outer_loop.executors.executor import InlineExecutor
    from seal_agent.outer_loop.tuning.confirm import CONFIRMING
    from seal_agent.outer_loop.tuning.laboratory import RunLaboratory
    from seal_agent.outer_loop.tuning.passages import split_passages
    from seal_agent.outer_loop.tuning.run import settings
    from seal_agent.outer_loop.tuning.stages import Probe
    from seal_agent.outer_loop.units import Worker

    base = load_model(options.model)
    worker = Worker(base, HFEngine(base), default_grader())
    config, roots = TuneConfig(seed=seed), named_candidates()
    split = split_passages(read_contexts(options.data), config)
    rows = []
    for number, (name, strategy) in enumerate(STRATEGIES.items()):
        rule = replace(config, parents="dgm") if "DGM" in name else config
        run = Run(options.run / f"{seed}-{number}", settings(base, roots, split, rule, True), {"strategy": name})
        laboratory = RunLaboratory(worker, InlineExecutor(worker), run, rule, split.neutral)
        archive = strategy(roots, split.selecting, rule, laboratory, options.budget)
        winner = best(archive, config.percentile)
        (scores,) = laboratory.measure(CONFIRMING, [Probe(winner, split.confirming)])
        accuracies = [score.accuracy for score in scores if score.accuracy is not None]
        reached = fmean(accuracies) if accuracies else None
        rows.append(_row(seed, name, archive, winner, reached) | {"seconds": round(sum(run.seconds().values()))})
        run.close()
    return rows


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and the paired differences of the archive from each rival, with 95 % bootstrap intervals."""
    by_strategy = {
        name: [row["reached"] for row in rows if row["strategy"] == name and row["reached"] is not None]
        for name in STRATEGIES
    }
    summary: dict[str, Any] = {"seeds": len(by_strategy[OURS])}
    summary["reached"] = {name: _figures(values) for name, values in by_strategy.items()}
    if defaults := [row["default"] for row in rows if row["strategy"] == OURS and "default" in row]:
        summary["reached"]["the default recipe"] = _figures(defaults)
    summary["ahead_of"] = {
        name: _figures([a - b for a, b in zip(by_strategy[OURS], by_strategy[name], strict=False)])
        for name in by_strategy
        if name != OURS
    }
    summary["first_three_seeds"] = {name: values[:3] for name, values in by_strategy.items()}
    return summary


def _figures(values: Sequence[float]) -> dict[str, Any]:
    mean = estimate(values)
    return {"mean": round(mean.mean, 4), "interval": [round(mean.low, 4), round(mean.high, 4)]} if mean else {}


def table(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| strategy | accuracy of its winner | the archive is ahead by |", "|---|---|---|"]
    for name, figures in summary["reached"].items():
        ahead = summary["ahead_of"].get(name)
        lines.append(f"| {name} | {_cell(figures, '')} | {_cell(ahead, '+') if ahead else '—'} |")
    return "\n".join(lines)


def _cell(figures: dict[str, Any], sign: str) -> str:
    low, high = figures["interval"]
    return f"{figures['mean']:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="imagined models, or runs of the real one")
    parser.add_argument("--budget", type=int, default=400, help="passages that each strategy may learn")
    parser.add_argument("--real", action="store_true", help="tune a real model instead")
    parser.add_argument("--model", default="default")
    parser.add_argument("--data", type=Path, help="of --real: passages with questions")
    parser.add_argument("--run", type=Path, help="of --real: the folder of its runs")
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    if options.real and (options.data is None or options.run is None):
        parser.error("--real needs --data and --run")
    options.out = options.out or results_file.RESULTS / ("tuning_real.json" if options.real else "tuning.json")
    return options


if __name__ == "__main__":
    main()
