"""Thirty passages in a row into one adapter: what is known of each after every step, with the gate and without?

    python benchmarks/in_a_row.py --passages 3 --every 3                 # to try it
    python benchmarks/in_a_row.py                                        # 30 of seal_novel, with the gate
    python benchmarks/in_a_row.py --no-gate --out benchmarks/results/in_a_row_no_gate.json
    python benchmarks/in_a_row.py --plot                                 # matrix and curves of both, as a picture

Every passage goes through `SelfAdaptingModel.adapt` without its questions, so that the gate judges by the self-test.
Then the questions of all passages so far are asked, and once those of the base model. The store is kept in `--work`: a
run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from parts import results_file

from seal_agent.adaptation.judging import DEFAULT_GATE
from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import InnerLoopConfig
from seal_agent.data import bundled
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Context

ADAPTER = "row"


def main() -> None:
    options = _options()
    if options.plot:
        plot([options.out, options.out.with_name("in_a_row_no_gate.json")], options.out.with_suffix(".png"))
        return
    gate = None if options.no_gate else DEFAULT_GATE
    inner_loop = InnerLoopConfig(seed=options.seed)
    config = {
        "model": options.model,
        "seed": options.seed,
        "every": options.every,
        "gate": asdict(gate) if gate else None,
        "inner_loop": asdict(inner_loop),
    }
    passages = bundled.novel()[: options.passages]
    run, rows = results_file.describe_run(), results_file.load(options.out, config)
    model = SelfAdaptingModel(load_model(options.model), home=options.work / options.out.stem, seed=options.seed)
    base = _accuracies(model, passages, None)
    for number in range(len(rows), len(passages)):
        started = time.perf_counter()
        context = replace(passages[number], questions=())
        revision = model.adapt(context, adapter=ADAPTER, inner_loop=inner_loop, gate=gate)
        seconds = time.perf_counter() - started
        asked = number + 1 == len(passages) or (number + 1) % options.every == 0
        known = passages[: number + 1] if asked else passages[number : number + 1]
        right = _accuracies(model, known, model.adapter(ADAPTER) if ADAPTER in model.adapters() else None)
        gate_seconds = sum(stage.seconds for stage in revision.stages if stage.name.startswith("gate"))
        rows.append(
            {
                "step": number,
                "title": context.title,
                "state": revision.status,
                "reason": revision.reason,
                "share": revision.share,
                "checks": [asdict(check) for check in revision.checks],
                "right": right if asked else [None] * number + right,
                "seconds": round(seconds, 1),
                "gate_seconds": round(gate_seconds, 1),
            }
        )
        results_file.save(options.out, config, run, rows, base=base, summary=summarise(rows, base))
        print(f"{number + 1:2d} {revision.status:9s} {seconds:6.1f} s  mean of known {_mean(right):.0%}", flush=True)
    print(json.dumps(summarise(rows, base)))


def _accuracies(model: SelfAdaptingModel, passages: Sequence[Context], adapter: LoraAdapter | None) -> list[float]:
    answers = answer_questions(model.engine, model.base, passages, model.grader, adapters=[adapter] * len(passages))
    return [results_file.accuracy([results_file.answer_row(answer) for answer in each]) for each in answers]


def summarise(rows: Sequence[dict[str, Any]], base: Sequence[float]) -> dict[str, Any]:
    """What is left at the end of what was known just after each, and the worst step against the base model."""
    just_after, end = [row["right"][-1] for row in rows], rows[-1]["right"]
    full = [row["right"] for row in rows if None not in row["right"]]
    ratio = results_file.ratio_of_means(end, just_after) if None not in end else None
    gate = sum(row["gate_seconds"] for row in rows)
    return {
        "steps": len(rows),
        "accepted": sum(row["state"] == "active" for row in rows),
        "just_after": _mean(just_after),
        "just_after_interval": results_file.interval(just_after),
        "at_the_end": _mean(end) if None not in end else None,
        "kept": ratio[0] if ratio else None,
        "kept_interval": ratio[1] if ratio else None,
        "worst_step_over_base": min((_mean(right) - _mean(base[: len(right)]) for right in full), default=None),
        "gate_cost": gate / max(1.0, sum(row["seconds"] for row in rows) - gate),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def plot(files: Sequence[Path], picture: Path) -> None:
    """A matrix (passage by step) and the mean of all passages so far, for each results file that there is."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = [(path.stem, json.loads(path.read_text(encoding="utf-8"))["rows"]) for path in files if path.is_file()]
    figure, axes = pyplot.subplots(1, len(runs) + 1, figsize=(5 * (len(runs) + 1), 4.5), squeeze=False)
    for axis, (name, rows) in zip(axes[0], runs, strict=False):
        size = len(rows)
        matrix = [[row["right"][p] if p < len(row["right"]) else None for row in rows] for p in range(size)]
        shown = [[float("nan") if cell is None else cell for cell in line] for line in matrix]
        axis.imshow(shown, vmin=0, vmax=1, cmap="viridis", aspect="auto")
        axis.set(title=name, xlabel="step", ylabel="passage")
        full = [(row["step"] + 1, _mean(row["right"])) for row in rows if None not in row["right"]]
        axes[0][-1].plot(*zip(*full, strict=True), marker="o", label=name)
    axes[0][-1].set(title="mean of all passages so far", xlabel="step", ylim=(0, 1))
    axes[0][-1].legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=120)
    print(f"wrote {picture}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=30)
    parser.add_argument("--every", type=int, default=1, help="ask all passages so far after every so many steps")
    parser.add_argument("--no-gate", action="store_true")
    parser.add_argument("--plot", action="store_true", help="draw the results that there are, and end")
    parser.add_argument("--work", type=Path, default=Path("runs/in_a_row"), help="where the stores are kept")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "in_a_row.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
