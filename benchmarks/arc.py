"""Does test-time training solve puzzles that the base model cannot, and does it matter which self-edit chooses?

    python benchmarks/arc.py                        # 20 tasks of seal_arc_toy, every way, some two hours on 2 cores
    python benchmarks/arc.py --ways base fixed      # these two only, a quarter of an hour; the same command goes on
    python benchmarks/arc.py --split paper-eval --ids 66e6c45b --ways base fixed
    python benchmarks/arc.py --split paper-eval --model meta-llama/Llama-3.2-1B-Instruct --recipe paper --style lists \\
        --max-sequences 250                         # the paper's ten tasks, on a GPU

Ways: `base` (the examples in the prompt), `fixed` (the default choice of how to train), `self_edit` (chosen by the
model itself) and `drawn-1` to `drawn-4` (chosen at random). The table's `random` is `drawn-1`; `best of 5` takes of the
fixed and the four drawn ones the one that solves the task, and stops drawing where one has. It looks at the test
output, so it says what a perfect chooser would reach.
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

import results_file

from seal_agent.arc.choices import FIXED, GROUPS, Choice, random_choice, read_choice
from seal_agent.arc.data import SPLITS, load_split
from seal_agent.arc.grids import STYLES, ArcTask
from seal_agent.arc.self_edits import write_self_edits
from seal_agent.arc.solve import Attempted, Trial, solve
from seal_agent.arc.toy import toy_tasks
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ARC_INNER_LOOPS, ArcConfig
from seal_agent.generation.hf import HFEngine
from seal_agent.types import content_hash

DRAWN = tuple(f"drawn-{number}" for number in range(1, 5))
WAYS = ("base", "fixed", *DRAWN, "self_edit")


def main() -> None:
    options = _options()
    config = ArcConfig(
        **_given(options, "max_sequences", "views", "search", "choice", "style"), symmetries=options.symmetries
    )
    inner_loop = replace(ARC_INNER_LOOPS[options.recipe], seed=options.seed, **_given(options, "batch_size", "rank"))
    groups = {name: name in options.groups for name in GROUPS}
    fixed = replace(FIXED, **groups, **_given(options, "strategy", "learning_rate", "epochs"))
    base = load_model(options.model)
    described = {
        "model": options.model,
        "seed": options.seed,
        "arc": asdict(config),
        "inner_loop": asdict(inner_loop),
        "fixed": asdict(fixed),
    }
    run, rows = results_file.describe_run(), results_file.load(options.out, described)
    done = {(row["task"], row["way"]) for row in rows}
    engine = HFEngine(base)
    tasks = toy_tasks(options.tasks, options.seed) if options.split == "toy" else load_split(options.split)
    tasks = tuple(task for task in tasks if not options.ids or task.id in options.ids)[: options.tasks]
    for way, task in ((way, task) for way in options.ways for task in tasks):
        if (task.id, way) in done or (way in DRAWN[1:] and _is_solved(rows, task)):
            continue
        started = time.perf_counter()
        choice = _choice(way, task, engine, base, config, fixed, options.seed)
        (result,) = solve(engine, base, [Trial(task, choice, options.seed)], config, inner_loop)
        rows.append(_row(way, task, choice, result, config, time.perf_counter() - started))
        print(_line(rows[-1]), flush=True)
        results_file.save(options.out, described, run, rows, summary=summarise(rows))
    summary = summarise(rows)
    print("\n" + table(summary))
    print(json.dumps(summary))


def _choice(
    way: str, task: ArcTask, engine: HFEngine, base: BaseModel, config: ArcConfig, fixed: Choice, seed: int
) -> Choice | None:
    if way == "self_edit":
        ((edit,),) = write_self_edits(engine, base, [task], 1, config, seed=seed)
        return read_choice(edit.completion)
    if way in DRAWN:
        return random_choice(int(content_hash([task.id, seed, way])[:8], 16))
    return fixed if way == "fixed" else None


def _is_solved(rows: Sequence[dict[str, Any]], task: ArcTask) -> bool:
    """Whether one of the five has solved it, so that no further draw can make the best of them better."""
    return any(row["solved"] for row in rows if row["task"] == task.id and row["way"] in ("fixed", *DRAWN))


def _row(
    way: str, task: ArcTask, choice: Choice | None, result: Attempted, config: ArcConfig, seconds: float
) -> dict[str, Any]:
    return {
        "task": task.id,
        "way": way,
        "solved": result.solved(config.attempts),
        "cells": round(result.cell_accuracy(config.attempts), 4),
        "failure": result.failure,
        "choice": asdict(choice) if choice else None,
        "votes": [candidate.votes for candidate in (result.candidates[0] if result.candidates else ())][:4],
        "seconds": round(seconds, 1),
    }


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Shares with 95 % bootstrap intervals over tasks, and seconds per task; failures are counted, not averaged."""
    by_way = {way: {row["task"]: row for row in rows if row["way"] == way} for way in WAYS}
    of_way = {("random" if way == DRAWN[0] else way): list(own.values()) for way, own in by_way.items()}
    summary = {way: _summary(of_way[way]) for way in ("base", "random", "self_edit", "fixed") if of_way[way]}
    five = [[by_way[way][task] for way in ("fixed", *DRAWN) if task in by_way[way]] for task in by_way["fixed"]]
    best = [
        max(own, key=lambda row: (row["solved"], row["cells"]))
        for own in five
        if len(own) == 1 + len(DRAWN) or any(row["solved"] for row in own)
    ]
    return {**summary, **({"best of 5": _summary(best)} if best else {})}


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of one way: a row for each task."""
    graded = [row for row in rows if not row["failure"]]
    solved, cells = [float(row["solved"]) for row in graded], [row["cells"] for row in graded]
    seconds = [row["seconds"] for row in rows]
    return {
        "tasks": len(graded),
        "failed": len(rows) - len(graded),
        "solved": fmean(solved) if solved else 0.0,
        "solved_interval": results_file.interval(solved or [0.0]),
        "cells": fmean(cells) if cells else 0.0,
        "cells_interval": results_file.interval(cells or [0.0]),
        "seconds_mean": round(fmean(seconds), 1),
        "seconds_most": max(seconds),
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as a Markdown table."""
    lines = ["| way | tasks | solved, % | cells, % | seconds per task, mean (most) |", "|---|---|---|---|---|"]
    for way, one in summary.items():
        solved, cells = _cell(one, "solved"), _cell(one, "cells")
        lines.append(
            f"| {way} | {one['tasks']} | {solved} | {cells} | {one['seconds_mean']:.0f} ({one['seconds_most']:.0f}) |"
        )
    return "\n".join(lines)


def _cell(one: dict[str, Any], name: str) -> str:
    low, high = one[f"{name}_interval"]
    return f"{100 * one[name]:.0f} ({100 * low:.0f}–{100 * high:.0f})"


def _line(row: dict[str, Any]) -> str:
    mark = "solved" if row["solved"] else row["failure"] or "not solved"
    facts = f"cells {row['cells']:.0%}  votes {row['votes']}"
    return f"{row['task']:20s} {row['way']:10s} {row['seconds']:6.1f} s  {mark}  {facts}"


def _given(options: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=tuple(SPLITS), default="toy")
    parser.add_argument("--tasks", type=int, default=20, help="at most so many, from the beginning of the split")
    parser.add_argument("--ids", nargs="+", help="only these")
    parser.add_argument("--recipe", choices=tuple(ARC_INNER_LOOPS), default="default")
    parser.add_argument("--style", choices=STYLES)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--max-sequences", type=int)
    parser.add_argument("--views", type=int)
    parser.add_argument("--search", choices=("greedy", "dfs"))
    parser.add_argument("--choice", choices=("vote", "likelihood"))
    parser.add_argument("--symmetries", action="store_true", help="views are turned and mirrored too")
    parser.add_argument(
        "--groups", nargs="*", choices=GROUPS, default=[name for name in GROUPS if getattr(FIXED, name)]
    )
    parser.add_argument("--strategy", choices=("output_tokens", "all_tokens"))
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--rank", type=int)
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="[default: benchmarks/results/arc_SPLIT.json]")
    options = parser.parse_args()
    options.out = options.out or results_file.RESULTS / f"arc_{options.split.replace('-', '_')}.json"
    return options


if __name__ == "__main__":
    main()
