"""Does test-time training solve puzzles that the base model cannot, and does it matter which self-edit chooses?

    python benchmarks/arc.py                        # 20 tasks of seal_arc_toy, all ways: about two hours on 2 cores
    python benchmarks/arc.py --ways base fixed      # these two only: a quarter of an hour
    python benchmarks/arc.py --split paper-eval --ids 66e6c45b --ways base fixed
    python benchmarks/arc.py --split paper-eval --model meta-llama/Llama-3.2-1B-Instruct --recipe paper --style lists \\
        --max-sequences 250                         # the paper's ten tasks, on a GPU

The ways to solve a task are `base` (its examples in the prompt), `fixed` (trained with the default self-edit),
`self_edit` (trained with the model's own) and `drawn-1` to `drawn-4` (trained with random ones). A self-edit is a
choice of augmentations and hyper-parameters.

The table's `random` is `drawn-1`. `best of 5` is the best of `fixed` and the four random ones; no more are drawn once
one has solved the task. It looks at the test output, so it is the upper bound that a perfect chooser would reach.
The same command resumes a stopped run.
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
from parts.results_file import explicit_options, percent_cell

from seal_agent.arc.choices import FIXED, GROUPS, Choice, random_choice, read_choice
from seal_agent.arc.data import SPLITS, load_split
from seal_agent.arc.grids import STYLES, ArcTask
from seal_agent.arc.self_edits import write_self_edits
from seal_agent.arc.solve import ArcResult, Trial, solve
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
        **explicit_options(options, "max_sequences", "views", "search", "choice", "style"),
        symmetries=options.symmetries,
    )
    inner_loop = replace(
        ARC_INNER_LOOPS[options.recipe], seed=options.seed, **explicit_options(options, "batch_size", "rank")
    )
    groups: dict[str, Any] = {name: name in options.groups for name in GROUPS}
    fixed = replace(FIXED, **groups, **explicit_options(options, "strategy", "learning_rate", "epochs"))
    base = load_model(options.model)
    settings = {
        "model": options.model,
        "seed": options.seed,
        "arc": asdict(config),
        "inner_loop": asdict(inner_loop),
        "fixed": asdict(fixed),
    }
    run, rows = results_file.describe_run(), results_file.load(options.out, settings)
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
        results_file.save(options.out, settings, run, rows, summary=summarise(rows))
    summary = summarise(rows)
    print("\n" + table(summary))
    print(json.dumps(summary))


def _choice(
    way: str, task: ArcTask, engine: HFEngine, base: BaseModel, config: ArcConfig, fixed: Choice, seed: int
) -> Choice | None:
    """The self-edit to train with; None for `base`, and where the model's own cannot be read."""
    if way == "self_edit":
        ((edit,),) = write_self_edits(engine, base, [task], 1, config, seed=seed)
        return read_choice(edit.completion)
    if way in DRAWN:
        return random_choice(int(content_hash([task.id, seed, way])[:8], 16))
    return fixed if way == "fixed" else None


def _is_solved(rows: Sequence[dict[str, Any]], task: ArcTask) -> bool:
    """Whether `fixed` or a random choice has solved the task, so that further draws cannot improve the best of 5."""
    return any(row["solved"] for row in rows if row["task"] == task.id and row["way"] in ("fixed", *DRAWN))


def _row(
    way: str, task: ArcTask, choice: Choice | None, result: ArcResult, config: ArcConfig, seconds: float
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
    rows_of_way = {
        ("random" if way == DRAWN[0] else way): list(rows_by_task.values()) for way, rows_by_task in by_way.items()
    }
    summary = {way: _summary(rows_of_way[way]) for way in ("base", "random", "self_edit", "fixed") if rows_of_way[way]}
    candidates = [[by_way[way][task] for way in ("fixed", *DRAWN) if task in by_way[way]] for task in by_way["fixed"]]
    best = [
        max(of_task, key=lambda row: (row["solved"], row["cells"]))
        for of_task in candidates
        if len(of_task) == 1 + len(DRAWN) or any(row["solved"] for row in of_task)
    ]
    return {**summary, **({"best of 5": _summary(best)} if best else {})}


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Figures of one way, from its rows of all tasks."""
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
    for way, row in summary.items():
        solved, cells = percent_cell(row, "solved", 0), percent_cell(row, "cells", 0)
        lines.append(
            f"| {way} | {row['tasks']} | {solved} | {cells} | {row['seconds_mean']:.0f} ({row['seconds_most']:.0f}) |"
        )
    return "\n".join(lines)


def _line(row: dict[str, Any]) -> str:
    outcome = "solved" if row["solved"] else row["failure"] or "not solved"
    details = f"cells {row['cells']:.0%}  votes {row['votes']}"
    return f"{row['task']:20s} {row['way']:10s} {row['seconds']:6.1f} s  {outcome}  {details}"


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
