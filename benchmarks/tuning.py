"""Does the archive of `seal tune` find better recipes than random search and successive halving, for the same budget?

    python benchmarks/tuning.py                                   # simulated: half a minute of one core
    python benchmarks/tuning.py --seeds 3 --budget 100 800
    python benchmarks/tuning.py --real --data ../shared/data/squad_val.jsonl --run runs/tuning --seeds 1 --budget 400

Simulated, every seed is another imagined model (parts/tuning_landscape.py): a dose, formats and a temperature that suit
it, passages of different difficulty, five questions each. All strategies spend the same number of passages, choose
their winner by the same rule, and are judged by the winner's true accuracy; 0 where it harms more than is allowed. The
archive begins with the named recipes, as far as a quarter of the budget goes; random search and halving begin with the
default alone, and draw the other recipes from the whole ranges, or ("steps") by one random step from the default.

With --real the same strategies tune a real model on real passages, each in a folder of its own that survives a kill.
Their winners and the default are then measured side by side on passages that selected nothing, and are compared passage
by passage; a passage on which a winner harms more than is allowed is lost. 400 passages for each of six strategies take
the bundled model many hours on two cores.
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
from seal_agent.outer_loop.tuning.confirm import CONFIRMING
from seal_agent.outer_loop.tuning.evidence import is_sure
from seal_agent.outer_loop.tuning.run import named_candidates
from seal_agent.outer_loop.tuning.search import Laboratory, best
from seal_agent.outer_loop.tuning.stages import Probe
from seal_agent.types import Context

OURS = next(iter(STRATEGIES))
DEFAULT = "the default recipe"


def main() -> None:
    options = _options()
    run, started = results_file.describe_run(), time.perf_counter()
    rows = [row for seed in range(options.seeds) for row in (real if options.real else simulate)(seed, options)]
    summary = summarise(rows)
    config = {"budget": options.budget, "seeds": options.seeds, "real": options.real, "tune": asdict(TuneConfig())}
    seconds = round(time.perf_counter() - started, 1)
    results_file.save(options.out, config, run, rows, summary=summary, seconds=seconds)
    print(table(summary))
    print(json.dumps(summary))


def simulate(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One imagined model: what each strategy's winner truly reaches, and the default."""
    landscape, config = Landscape(seed), TuneConfig(seed=seed)
    selecting, roots = passages(config.stages[-1]), named_candidates()
    rows = []
    for budget in options.budget:
        for name, strategy in STRATEGIES.items():
            archive = strategy(roots, selecting, config, landscape, budget)
            winner = best(archive, config.percentile)
            reached = _reached(landscape, winner, config)
            rows.append(_row(seed, budget, name, winner, reached) | _size(archive))
        rows.append(_row(seed, budget, DEFAULT, roots[0], _reached(landscape, roots[0], config)))
    print(f"seed {seed}: " + ", ".join(f"{row['strategy']} {row['reached']:.3f}" for row in rows), flush=True)
    return rows


def _reached(landscape: Landscape, candidate: Candidate, config: TuneConfig) -> float:
    harmful = landscape.harm(candidate.recipe) > config.max_harm
    return 0.0 if harmful else landscape.quality(candidate.recipe)


def _row(seed: int, budget: int, strategy: str, winner: Candidate, reached: float | None) -> dict[str, Any]:
    return {"seed": seed, "budget": budget, "strategy": strategy, "reached": reached, "winner": winner.label}


def _size(archive: Archive) -> dict[str, int]:
    return {"recipes": len(archive), "passages": archive.passages_measured()}


def real(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A real model: the winners of all strategies, and the default, on the same confirming passages."""
    from seal_agent.base_model.loading import load_model
    from seal_agent.data.contexts import read_contexts
    from seal_agent.generation.hf import HFEngine
    from seal_agent.grading.graders import default_grader
    from seal_agent.outer_loop.archive.run import Run
    from seal_agent.outer_loop.executors.executor import InlineExecutor
    from seal_agent.outer_loop.tuning.laboratory import RunLaboratory
    from seal_agent.outer_loop.tuning.passages import split_passages
    from seal_agent.outer_loop.tuning.run import settings
    from seal_agent.outer_loop.units import Worker

    base = load_model(options.model)
    worker = Worker(base, HFEngine(base), default_grader())
    config, roots = TuneConfig(seed=seed), named_candidates()
    split = split_passages(read_contexts(options.data), config)

    def laboratory(name: str, rule: TuneConfig) -> RunLaboratory:
        run = Run(options.run / name, settings(base, roots, split, rule, True), {"strategy": name})
        return RunLaboratory(worker, InlineExecutor(worker), run, rule, split.neutral)

    rows = []
    for budget in options.budget:
        winners, sizes = {DEFAULT: roots[0]}, {DEFAULT: dict[str, int]()}
        for number, (name, strategy) in enumerate(STRATEGIES.items()):
            rule = replace(config, parents="dgm") if "DGM" in name else config
            at_work = laboratory(f"{budget}-{seed}-{number}", rule)
            archive = strategy(roots, split.selecting, rule, at_work, budget)
            winners[name], sizes[name] = best(archive, config.percentile), _size(archive)
            sizes[name]["seconds"] = round(sum(at_work.run.seconds().values()))
            at_work.run.close()
        judge = laboratory(f"{budget}-{seed}-confirming", config)
        judged = side_by_side(list(winners.values()), split.confirming, judge, config)
        judge.run.close()
        for name, winner in winners.items():
            scores = judged[winner.id]
            row = _row(seed, budget, name, winner, fmean(scores.values()) if scores else None)
            rows.append(row | sizes[name] | {"scores": scores})
    return rows


def side_by_side(
    candidates: Sequence[Candidate], confirming: Sequence[Context], laboratory: Laboratory, config: TuneConfig
) -> dict[str, dict[str, float]]:
    """The accuracy of each candidate by passage; 0 where it harmed more than is allowed, left out where not graded."""
    probes = [Probe(candidate, tuple(confirming)) for candidate in {c.id: c for c in candidates}.values()]
    measured = laboratory.measure(CONFIRMING, probes)
    return {
        probe.candidate.id: {
            score.passage: score.accuracy if score.harm <= config.max_harm else 0.0
            for score in scores
            if score.accuracy is not None
        }
        for probe, scores in zip(probes, measured, strict=True)
    }


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """For each budget the means, and the differences of the archive from each rival, with 95 % bootstrap intervals.

    They are paired by seed, and of a real model by seed and passage; what one of two lacks counts for neither.
    """
    budgets = list(dict.fromkeys(row["budget"] for row in rows))
    return {
        "seeds": len({row["seed"] for row in rows}),
        "budgets": {str(budget): _compared([row for row in rows if row["budget"] == budget]) for budget in budgets},
    }


def _compared(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    values: dict[str, dict[tuple[int, str], float]] = {}
    for row in rows:
        scores = row.get("scores", {"": row["reached"]})
        values.setdefault(row["strategy"], {}).update(
            {(row["seed"], passage): score for passage, score in scores.items() if score is not None}
        )
    ours = values[OURS]
    ahead = {
        name: _figures([ours[key] - theirs[key] for key in ours if key in theirs])
        for name, theirs in values.items()
        if name != OURS
    }
    return {"reached": {name: _figures(list(own.values())) for name, own in values.items()}, "ahead_of": ahead}


def _figures(values: Sequence[float]) -> dict[str, Any]:
    """The mean, its interval where there are enough values for one, and their number."""
    mean = estimate(values)
    if mean is None:
        return {}
    interval = {"interval": [round(mean.low, 4), round(mean.high, 4)]} if is_sure(mean) else {}
    return {"mean": round(mean.mean, 4), **interval, "values": mean.count}


def table(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| passages | strategy | accuracy of its winner | the archive is ahead by |", "|---|---|---|---|"]
    for budget, compared in summary["budgets"].items():
        for name, figures in compared["reached"].items():
            ahead = compared["ahead_of"].get(name)
            lines.append(f"| {budget} | {name} | {_cell(figures, '')} | {_cell(ahead, '+')} |")
    return "\n".join(lines)


def _cell(figures: dict[str, Any] | None, sign: str) -> str:
    if not figures:
        return "—"
    mean = f"{figures['mean']:{sign}.3f}"
    return (
        f"{mean} ({' to '.join(f'{end:{sign}.3f}' for end in figures['interval'])})" if "interval" in figures else mean
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="imagined models, or runs of the real one")
    parser.add_argument(
        "--budget", type=int, nargs="+", default=[60, 400], help="passages that each strategy may learn, one or more"
    )
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
