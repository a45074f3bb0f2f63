"""How fast are K adapters trained together, against PEFT one at a time and against the published protocol?

    python benchmarks/inner_loop.py --quick            # about 3 minutes on 2 cores
    python benchmarks/inner_loop.py --self-edits ../shared/data/self_edits_7b.jsonl
    python benchmarks/inner_loop.py --device cuda --model random:7b --targets all --contenders bank     # on a GPU

Three contenders train the same jobs in one process, taking turns round by round:

  reference   transformers' Trainer with PEFT, batch 1, every sequence padded to 2048 tokens and trained on the padding,
              as the published inner-loop server does. A few steps are timed; a job's time is its number of steps times
              the mean step.
  plain PEFT  one adapter at a time, batch 1, no padding, torch's AdamW: in the bank's precision, and in float32.
  bank        this project's, with K adapters at once.

Only real tokens count, padding never. Adapters per hour refer to the mean of all jobs, for every contender, even if it
trained only some of them. A LoRA step on a frozen base of N parameters counts as 4·N floating-point operations per
token: 2·N forward and 2·N for the gradient with respect to the activations. There is no gradient for the base's
weights, and the adapters' own operations are left out.

Launches and the busy share are those of torch's profiler over a bank of its own (launches of kernels, graphs and
copies on a GPU, operators of torch on a CPU). `--model random:7b` and `random:135m` draw weights on the device.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from parts import measure, random_models, results_file
from parts.inner_loop_peft import REFERENCE_LENGTH, load_plain_module, train_as_published, train_with_peft
from parts.profiled import Profiled, profiled

from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, BankConfig, InnerLoopConfig
from seal_agent.data import bundled
from seal_agent.lora.targets import find_targets
from seal_agent.self_edits.parsing import notes_of
from seal_agent.training.bank.storage import bytes_per_slot, parameters_of
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode
from seal_agent.training.train import train_each
from seal_agent.types import Context, Note, SelfEdit

SEQUENCES = (8, 14)  # per job, least and most
LENGTHS = (20, 200)  # tokens per sequence, least and most
PAPER = RECIPES["paper"].inner_loop
KS = (1, 2, 4, 8, 16, 32)
PEFT_SAME, PEFT_FLOAT32, REFERENCE = "peft, same precision", "peft, float32", "reference"
BANK, PEFT = "bank", "peft"  # with REFERENCE, the names of --contenders


def bank_name(k: int) -> str:
    return f"bank, K={k}"


@dataclass
class Figures:
    """Measurements of one contender, one value per round; `padding` and `peak_bytes` are those of the last round."""

    tokens_per_second: list[float] = field(default_factory=list)
    adapters_per_hour: list[float] = field(default_factory=list)
    padding: float = 0.0
    peak_bytes: int | None = None
    passes: int = 0
    profile: Profiled | None = None


Contender = tuple[str, Callable[[Figures], None]]
"""A name, and a function that runs one round and adds its figures."""


def main() -> None:
    options = _options()
    base = random_models.load(options.model, options.device, options.dtype)
    jobs = _jobs(base, options)
    run = results_file.describe_run()
    peak = measure.matmul_peak(base.dtype, base.device)
    figures: dict[str, Figures] = {}
    contenders = _contenders(base, jobs, options)
    measure.show_progress("memory per adapter")
    adapter_bytes = None if options.no_memory else bytes_per_further_adapter(base, jobs)  # also warms up
    for round_number in range(options.rounds):
        for name, run_round in contenders:
            measure.show_progress(f"round {round_number + 1}/{options.rounds}: {name}")
            run_round(figures.setdefault(name, Figures()))
    for k in options.ks if BANK in options.contenders else ():
        measure.show_progress(f"profile of K={k}")
        figures[bank_name(k)].profile = _profile(k, base, jobs)
    measure.show_progress("")
    result = _result(base, jobs, figures, peak, options)
    result["bytes_per_further_adapter"] = adapter_bytes
    config = {"model": options.model, "seed": 0, "jobs": len(jobs), "inner_loop": asdict(jobs[0].config)}
    rows = [{"contender": name, **asdict(measured)} for name, measured in figures.items()]
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=result)
    if options.out and not options.no_plot:
        _plot(figures, options.out.with_suffix(".png"))
    print(table(figures, peak, base))
    print(json.dumps(result))


# ---------------------------------------------------------------- the jobs


def _jobs(base: BaseModel, options: argparse.Namespace) -> list[TrainJob]:
    config = replace(PAPER, epochs=1, targets=tuple(options.targets))
    count = 8 if options.quick else max(options.ks)
    if random_models.is_random(options.model):
        return random_models.random_jobs(base, count, config, SEQUENCES, tuple(options.lengths))
    return typical_jobs(base, options.self_edits, count, config)


def typical_jobs(base: BaseModel, path: Path | None, count: int, config: InnerLoopConfig) -> list[TrainJob]:
    """`count` jobs of 8 to 14 sequences of 20 to 200 tokens, repeated if there are too few sources.

    The sources are the self-edits in the file `path`, or without one the bundled passages cut into sentences.
    """
    if path and path.is_file():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        sources = [(Context(row["context"], row["title"]), _notes(row)) for row in rows]
    else:
        sources = [(c, tuple(Note(s.strip()) for s in c.text.split(". "))) for c in bundled.novel()]
    jobs: list[TrainJob] = []
    for context, notes in sources:
        encoded = encode(base, context.title, notes, [context.text])
        sequences = tuple(s for s in encoded if LENGTHS[0] <= len(s.input_ids) <= LENGTHS[1])[: SEQUENCES[1]]
        if len(sequences) >= SEQUENCES[0]:
            jobs.append(TrainJob(sequences, replace(config, seed=len(jobs))))
    if not jobs:
        raise SystemExit(f"no self-edit in {path} has {SEQUENCES[0]} sequences of {LENGTHS[0]} to {LENGTHS[1]} tokens")
    return [jobs[i % len(jobs)] for i in range(count)]


def _notes(row: dict[str, Any]) -> tuple[Note, ...]:
    return notes_of([SelfEdit(row["format"], completion=row["completion"])], row["title"])


# ---------------------------------------------------------------- the contenders


def _contenders(base: BaseModel, jobs: Sequence[TrainJob], options: argparse.Namespace) -> list[Contender]:
    contenders = []
    if PEFT in options.contenders:
        contenders.append(_peft(PEFT_SAME, base, jobs, base.dtype, options))
        if base.dtype != torch.float32:
            contenders.append(_peft(PEFT_FLOAT32, base, jobs, torch.float32, options))
    if BANK in options.contenders:
        contenders += [_bank(k, base, jobs, options) for k in options.ks]
    return [*contenders, *([_reference(base, jobs, options)] if REFERENCE in options.contenders else [])]


def _bank(k: int, base: BaseModel, jobs: Sequence[TrainJob], options: argparse.Namespace) -> Contender:
    bank_jobs = jobs[: max(k, options.plain_jobs)] if not options.quick else jobs

    def run_round(figures: Figures) -> None:
        with measure.PeakMemory(base.device) as memory:
            started = time.perf_counter()
            results, report = train_each(base, bank_jobs, bank=BankConfig(max_adapters=k))
            seconds = time.perf_counter() - started
        _record(figures, _tokens_in(bank_jobs) / seconds, jobs, memory)
        assert not any(isinstance(result, Exception) for result in results), results
        figures.padding, figures.passes = report.padding, report.passes

    return bank_name(k), run_round


def _profile(k: int, base: BaseModel, jobs: Sequence[TrainJob]) -> Profiled:
    """Of a bank that trains each of K jobs on the same few sequences, so that most passes are alike."""
    bank_jobs = [replace(job, sequences=job.sequences[:2], config=replace(job.config, epochs=4)) for job in jobs[:k]]
    bank = BankConfig(max_adapters=k)
    _, report = train_each(base, bank_jobs, bank=bank)
    return profiled(lambda: train_each(base, bank_jobs, bank=bank), base.device, report.passes)


def _peft(
    name: str, base: BaseModel, jobs: Sequence[TrainJob], dtype: torch.dtype, options: argparse.Namespace
) -> Contender:
    peft_jobs = jobs[: options.plain_jobs]

    def run_round(figures: Figures) -> None:
        module = _plain_module(base, dtype, options)
        with measure.PeakMemory(base.device) as memory:
            seconds = sum(train_with_peft(module, job, base.device) for job in peft_jobs)
        _record(figures, _tokens_in(peft_jobs) / seconds, jobs, memory)

    return name, run_round


def _reference(base: BaseModel, jobs: Sequence[TrainJob], options: argparse.Namespace) -> Contender:
    steps = options.reference_steps

    def run_round(figures: Figures) -> None:
        with measure.PeakMemory(base.device) as memory:
            per_step = train_as_published(_plain_module(base, base.dtype, options), base, jobs[0], steps) / steps
        hours = statistics.mean(len(job.sequences) for job in jobs) * jobs[0].config.epochs * per_step / 3600
        figures.adapters_per_hour.append(1 / hours)
        tokens = statistics.mean(len(s.input_ids) for job in jobs for s in job.sequences)
        figures.tokens_per_second.append(tokens / per_step)
        figures.padding = 1 - tokens / REFERENCE_LENGTH
        figures.peak_bytes = memory.bytes

    return REFERENCE, run_round


def _plain_module(base: BaseModel, dtype: torch.dtype, options: argparse.Namespace) -> Any:
    name = str(dtype).removeprefix("torch.")
    if random_models.is_random(options.model):
        return _random_module(options.model, str(base.device), name)
    return load_plain_module(options.model, str(base.device), name)


@functools.cache
def _random_module(name: str, device: str, dtype: str) -> Any:
    return random_models.load(name, device, dtype).module


def _tokens_in(jobs: Sequence[TrainJob]) -> int:
    """Real tokens that training the jobs processes, all epochs together."""
    return sum(len(s.input_ids) * job.config.epochs for job in jobs for s in job.sequences)


def _record(figures: Figures, speed: float, jobs: Sequence[TrainJob], memory: measure.PeakMemory) -> None:
    """Add a round's speed in tokens per second; `jobs` are all jobs, of which the mean makes adapters per hour."""
    tokens_per_job = statistics.mean(_tokens_in([job]) for job in jobs)
    figures.tokens_per_second.append(speed)
    figures.adapters_per_hour.append(3600 * speed / tokens_per_job)
    figures.peak_bytes = memory.bytes


# ---------------------------------------------------------------- the figures


def _result(
    base: BaseModel, jobs: Sequence[TrainJob], figures: dict[str, Figures], peak: float, options: argparse.Namespace
) -> dict[str, Any]:
    """The best bank against the other contenders, and what else the results file sums up."""
    parameters = base.module.num_parameters()
    best_k = max((k for k in options.ks if bank_name(k) in figures), key=lambda k: _speed(figures, k), default=None)
    best = figures.get(bank_name(best_k)) if best_k else None
    others = {
        "ratio_vs_peft_same_precision": ("tokens_per_second", figures.get(PEFT_SAME)),
        "ratio_vs_peft_default": ("tokens_per_second", figures.get(PEFT_FLOAT32, figures.get(PEFT_SAME))),
        "ratio_vs_reference": ("adapters_per_hour", figures.get(REFERENCE)),
    }
    ratios = {
        name: measure.summary([a / b for a, b in zip(getattr(best, figure), getattr(other, figure), strict=True)])
        for name, (figure, other) in others.items()
        if best and other
    }
    speed = _speed(figures, best_k) if best_k else None
    adapter = parameters_of(base.module, find_targets(base.module, jobs[0].config.targets), jobs[0].config.rank)
    return {
        **{name: ratios[name]["median"] if name in ratios else None for name in others},
        "fraction_of_peak": speed and speed * 4 * parameters / peak,
        "best_k": best_k,
        "ranges": ratios,
        "tokens_per_second": speed,
        "adapters_per_hour": best and statistics.median(best.adapters_per_hour),
        "dtype": str(base.dtype).split(".")[1],
        "device": results_file.describe_run()["gpu"] if base.device.type == "cuda" else "cpu",
        "threads": measure.threads(),
        "peak_flops": peak,
        "parameters": parameters,
        "adapter_bytes": bytes_per_slot(adapter, base.dtype),
    }


def _speed(figures: dict[str, Figures], k: int) -> float:
    return statistics.median(figures[bank_name(k)].tokens_per_second)


def bytes_per_further_adapter(base: BaseModel, jobs: Sequence[TrainJob]) -> float | None:
    """Growth of peak memory per adapter from 8 resident adapters to 32, one job each and equal tokens in a pass.

    The first run is not measured: what the first pass of a process leaves behind, such as kernels, belongs to no
    adapter. None where peak memory cannot be measured.
    """
    short = [replace(job, sequences=job.sequences[:2]) for job in (list(jobs) * 32)[:32]]
    train_each(base, short, bank=BankConfig(max_adapters=32, tokens_per_pass=LENGTHS[1]))
    peaks = []
    for k in (8, 32):
        with measure.PeakMemory(base.device) as memory:
            train_each(base, short[:k], bank=BankConfig(max_adapters=k, tokens_per_pass=LENGTHS[1]))
        peaks.append(memory.bytes)
    low, high = peaks
    return None if low is None or high is None else (high - low) / (32 - 8)


def table(figures: dict[str, Figures], peak: float, base: BaseModel) -> str:
    """One line per contender, as Markdown."""
    lines = [
        "| contender | real tokens/s | adapters/hour | padding | share of the peak | peak memory "
        "| launches a pass | busy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, measured in figures.items():
        speed = statistics.median(measured.tokens_per_second)
        share = speed * 4 * base.module.num_parameters() / peak
        memory = "—" if measured.peak_bytes is None else f"{measured.peak_bytes / 2**20:.0f} MiB"
        lines.append(
            f"| {name} | {speed:.1f} | {statistics.median(measured.adapters_per_hour):.1f} "
            f"| {measured.padding:.0%} | {share:.0%} | {memory} "
            f"| {measured.profile.cells() if measured.profile else '— | —'} |"
        )
    return "\n".join(lines)


def _plot(figures: dict[str, Figures], path: Path) -> None:
    try:
        from matplotlib import pyplot
    except ImportError:
        print("no plot: pip install matplotlib")
        return
    ks = [k for k in KS if bank_name(k) in figures]
    canvas, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    speeds = [statistics.median(figures[bank_name(k)].tokens_per_second) for k in ks]
    axes.plot(ks, speeds, marker="o", label="bank")
    for name, style in ((PEFT_SAME, "--"), (PEFT_FLOAT32, ":"), (REFERENCE, "-.")):
        if name in figures:
            axes.axhline(statistics.median(figures[name].tokens_per_second), linestyle=style, color="grey", label=name)
    axes.set(xscale="log", xlabel="adapters at once, K", ylabel="real tokens per second", ylim=(0, None))
    axes.set_xticks(ks, [str(k) for k in ks])
    axes.minorticks_off()
    axes.legend()
    canvas.savefig(path, dpi=120)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about 3 minutes on 2 cores: K = 4, 8 and one round")
    parser.add_argument("--self-edits", type=Path, default=os.environ.get("SEAL_SELF_EDITS"), help="JSON lines")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ks", type=int, nargs="+", default=list(KS), metavar="K")
    parser.add_argument("--targets", nargs="+", default=list(PAPER.targets), help="layers: all, default, or names")
    parser.add_argument("--contenders", nargs="+", default=[PEFT, BANK, REFERENCE], choices=[PEFT, BANK, REFERENCE])
    parser.add_argument("--lengths", type=int, nargs=2, default=LENGTHS, help="tokens per sequence of random models")
    parser.add_argument("--no-memory", action="store_true", help="leave out memory per adapter, which needs K = 32")
    parser.add_argument("--no-plot", action="store_true")
    parser.add_argument("--plain-jobs", type=int, default=4, help="jobs that plain PEFT trains each round")
    parser.add_argument("--reference-steps", type=int, default=2, help="steps of the reference timed each round")
    parser.add_argument("--out", type=Path, help="default: inner_loop.json; with --quick nothing is written")
    options = parser.parse_args()
    options.out = options.out or results_file.place_for("inner_loop", options)
    if options.quick:
        options.rounds, options.ks, options.plain_jobs, options.reference_steps = 1, [4, 8], 1, 1
    return options


if __name__ == "__main__":
    main()
