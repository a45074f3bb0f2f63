"""Thirty passages in a row into one adapter: what is known of each after every step, with the gate and without?

    python benchmarks/in_a_row.py --passages 3                           # to try it
    python benchmarks/in_a_row.py                                        # 30 of seal_novel, with the gate
    python benchmarks/in_a_row.py --no-gate                              # the same without it
    python benchmarks/in_a_row.py --plot                                 # matrix and curves of both, as a picture

Every passage goes through `SelfAdaptingModel.adapt` without its questions, so that the gate judges by the self-test.
Then the questions of all passages so far are asked, and once those of the base model. `--every 5` asks all of them
after every fifth step only, the new one after each. The store is kept in `--work`, one for each recipe and gate: a run
that was stopped goes on where it was, with more passages too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from parts import results_file

from seal_agent.adaptation.judging import DEFAULT_GATE
from seal_agent.answering.questions import answer_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import Recipe, recipe_named, recorded_settings
from seal_agent.data import bundled
from seal_agent.errors import TrainingError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Context, content_hash

ADAPTER = "row"
NO_GATE = "_no_gate"


def main() -> None:
    options = _options()
    if options.plot:
        plot([options.out, options.out.with_stem(options.out.stem + NO_GATE)], options.out.with_suffix(".png"))
        return
    out = options.out.with_stem(options.out.stem + NO_GATE) if options.no_gate else options.out
    gate, recipe = None if options.no_gate else DEFAULT_GATE, recipe_named(options.recipe)
    config = {
        "model": options.model,
        "seed": options.seed,
        "every": options.every,
        "gate": asdict(gate) if gate else None,
        "recipe": recorded_settings(asdict(replace(recipe, summary=""))),
    }
    passages = bundled.novel()[: options.passages]
    run, rows = results_file.describe_run(), results_file.load(out, config)
    home = options.work / f"{out.stem}-{content_hash(config)[:8]}"
    model = SelfAdaptingModel(load_model(options.model), home=home, seed=options.seed)
    base = _of_base(model, passages, out if rows else None)
    for number in range(len(rows), len(passages)):
        rows.append(_step(model, passages, number, recipe, gate is not None, options.every))
        results_file.save(out, config, run, rows, base=base, summary=summarise(rows, base))
        row = rows[-1]
        known = [value for value in row["right"] if value is not None]
        print(
            f"{number + 1:2d} {row['state']:9s} {row['seconds']:6.1f} s  {_mean(known):.0%} of {len(known)} passages",
            flush=True,
        )
    print(json.dumps(summarise(rows, base)))


def _of_base(model: SelfAdaptingModel, passages: Sequence[Context], earlier: Path | None) -> list[float]:
    """The base model's accuracy on each passage; those that an earlier run asked are not asked again."""
    known: list[float] = results_file.read(earlier).get("base", []) if earlier else []
    left = passages[len(known) :]
    return [*known, *(_accuracies(model, left, None) if left else [])]


def _step(
    model: SelfAdaptingModel, passages: Sequence[Context], number: int, recipe: Recipe, gated: bool, every: int
) -> dict[str, Any]:
    """Learn one more passage, and ask about those so far."""
    context = replace(passages[number], questions=())
    ask_all = number + 1 == len(passages) or (number + 1) % every == 0
    facts: dict[str, Any] = {"state": "failed", "share": 0.0, "checks": [], "seconds": 0.0, "gate_seconds": 0.0}
    try:
        revision = model.adapt(
            context,
            adapter=ADAPTER,
            self_edit=recipe.self_edit,
            inner_loop=replace(recipe.inner_loop, seed=model.seed),
            gate=DEFAULT_GATE if gated else None,
        )
        # Stages, not the clock: a passage that was learnt before a kill is not learnt again.
        seconds = {stage.name: stage.seconds for stage in revision.stages}
        facts = {
            "state": revision.status,
            "share": revision.share,
            "checks": [asdict(check) for check in revision.checks],
            "seconds": round(sum(seconds.values()), 1),
            "gate_seconds": round(sum(s for name, s in seconds.items() if name.startswith("gate")), 1),
        }
        reason = revision.reason
    except TrainingError as err:
        reason = str(err)
    known = passages[: number + 1] if ask_all else passages[number : number + 1]
    right = _accuracies(model, known, model.adapter(ADAPTER) if ADAPTER in model.adapters() else None)
    return {
        "step": number,
        "title": context.title,
        "reason": reason,
        **facts,
        "right": right if ask_all else [*[None] * number, *right],
    }


def _accuracies(model: SelfAdaptingModel, passages: Sequence[Context], adapter: LoraAdapter | None) -> list[float]:
    answers = answer_questions(model.engine, model.base, passages, model.grader, adapters=[adapter] * len(passages))
    return [results_file.accuracy([results_file.answer_row(answer) for answer in each]) for each in answers]


def summarise(rows: Sequence[dict[str, Any]], base: Sequence[float]) -> dict[str, Any]:
    """What is left at the end of what was known just after each, and the worst step against the base model."""
    just_after, end = [row["right"][-1] for row in rows], rows[-1]["right"]
    whole = None not in end
    full = [row["right"] for row in rows if None not in row["right"]]
    ratio = results_file.ratio_of_means(end, just_after) if whole else None
    gate, seconds = (sum(row[name] for row in rows) for name in ("gate_seconds", "seconds"))
    return {
        "steps": len(rows),
        "accepted": sum(row["state"] == "active" for row in rows),
        "just_after": _mean(just_after),
        "just_after_interval": results_file.interval(just_after),
        "at_the_end": _mean(end) if whole else None,
        "at_the_end_interval": results_file.interval(end) if whole else None,
        "kept": ratio[0] if ratio else None,
        "kept_interval": ratio[1] if ratio else None,
        "worst_step_over_base": min((_mean(right) - _mean(base[: len(right)]) for right in full), default=None),
        "gate_cost": gate / max(1.0, seconds - gate),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def plot(files: Sequence[Path], picture: Path) -> None:
    """A matrix (passage by step) and the mean of all passages so far, for each results file that there is."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    runs = [(path.stem, results_file.read(path)) for path in files if path.is_file()]
    if not runs:
        raise SystemExit(f"there are no results in {', '.join(map(str, files))}; run without --plot first")
    figure, axes = pyplot.subplots(1, len(runs) + 1, figsize=(5 * (len(runs) + 1), 4.5), squeeze=False)
    curves = axes[0][-1]
    for axis, (name, body) in zip(axes[0], runs, strict=False):
        rows, base = body["rows"], body["base"]
        cells = [[row["right"][p] if p < len(row["right"]) else None for row in rows] for p in range(len(rows))]
        shown = [[float("nan") if cell is None else cell for cell in line] for line in cells]
        image = axis.imshow(shown, vmin=0, vmax=1, cmap="cividis", aspect="auto")
        axis.set(title=name, xlabel="step", ylabel="passage")
        figure.colorbar(image, ax=axis, label="share of its questions that is right")
        full = [(row["step"] + 1, _mean(row["right"])) for row in rows if None not in row["right"]]
        curves.plot(*zip(*full, strict=True), marker="o", label=name)
        if name == runs[0][0]:
            steps = range(1, len(rows) + 1)
            curves.plot(steps, [_mean(base[:step]) for step in steps], color="#777777", label="base model")
    curves.set(title="mean of all passages so far", xlabel="step", ylim=(0, 1))
    curves.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(picture, dpi=120)
    print(f"wrote {picture}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=30, help="of seal_novel, at most 40 (default 30)")
    parser.add_argument("--every", type=int, default=1, help="ask all passages so far after every so many steps")
    parser.add_argument("--no-gate", action="store_true", help="keep every change; the file's name ends in _no_gate")
    parser.add_argument("--plot", action="store_true", help="draw the results that there are, and end")
    parser.add_argument("--recipe", default="default", help="a name of `seal recipes`, or a TOML file")
    parser.add_argument("--work", type=Path, default=Path("runs/in_a_row"), help="where the stores are kept")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "in_a_row.json")
    options = parser.parse_args()
    if options.every < 1 or options.passages < 1:
        parser.error("--every and --passages are at least 1")
    return options


if __name__ == "__main__":
    main()
