"""How fast are K adapters trained together, against PEFT one at a time and against the published protocol?

    python benchmarks/inner_loop.py --quick
    python benchmarks/inner_loop.py --self-edits ../shared/data/self_edits_7b.jsonl

Three contenders train the same jobs, in one process, taking turns round by round:

  reference   transformers' Trainer with PEFT, batch 1, every sequence padded to 2048 tokens and trained on the padding,
              as the published inner-loop server does; a few steps are timed, and the time of a job is its steps times
              the mean of these
  plain PEFT  one adapter at a time, batch 1, no padding, torch's AdamW: in the precision of the bank, and in float32
  bank        this project's, with K adapters at once

Tokens are real ones: padding counts for nobody. Adapters per hour are those of the mean job, for every contender, also
where only some of the jobs were trained. A step of LoRA on a frozen base of N parameters is counted as 4·N
floating-point operations per token: 2·N forward, 2·N for the gradient by the activations, none for that by the base's
weights; the adapters' own are left out.
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

import measure
import results_file
import torch

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, BankConfig, InnerLoopConfig
from seal_agent.data import bundled
from seal_agent.lora.targets import find_targets
from seal_agent.self_edits.parsing import notes_of
from seal_agent.training.bank.storage import bytes_per_slot, parameters_of
from seal_agent.training.jobs import TrainJob, decay
from seal_agent.training.sequences import encode
from seal_agent.training.train import train_each
from seal_agent.types import Context, Note, SelfEdit, TrainingSequence

REFERENCE_LENGTH = 2048
SEQUENCES = (8, 14)
LENGTHS = (20, 200)
PAPER = RECIPES["paper"].inner_loop
KS = (1, 2, 4, 8, 16, 32)
PEFT_SAME, PEFT_FLOAT32, REFERENCE = "peft, same precision", "peft, float32", "reference"


def bank_name(k: int) -> str:
    return f"bank, K={k}"


@dataclass
class Figures:
    """What one contender did, round by round."""

    tokens_per_second: list[float] = field(default_factory=list)
    adapters_per_hour: list[float] = field(default_factory=list)
    padding: float = 0.0
    peak_bytes: int | None = None


def main() -> None:
    options = _options()
    base = load_model(options.model, device=options.device, dtype=options.dtype)
    jobs = typical_jobs(base, options.self_edits, 8 if options.quick else max(options.ks), replace(PAPER, epochs=1))
    run = results_file.describe_run()
    peak = measure.matmul_peak(base.dtype, base.device)
    figures: dict[str, Figures] = {}
    contenders = list(_contenders(base, jobs, options))
    _tell("memory per adapter")
    further = bytes_per_further_adapter(base, jobs)  # also warms up
    for number in range(options.rounds):
        for name, contend in contenders:
            _tell(f"round {number + 1}/{options.rounds}: {name}")
            contend(figures.setdefault(name, Figures()))
    _tell("")
    result = _result(base, jobs, figures, peak, options)
    result["bytes_per_further_adapter"] = further
    config = {"model": options.model, "seed": 0, "jobs": len(jobs), "inner_loop": asdict(jobs[0].config)}
    rows = [{"contender": name, **asdict(f)} for name, f in figures.items()]
    results_file.save(options.out, config, run, rows, identity=base.identity, summary=result)
    _plot(figures, options.out.with_suffix(".png"))
    print(table(figures, peak, base))
    print(json.dumps(result))


# ---------------------------------------------------------------- the jobs


def typical_jobs(base: BaseModel, path: Path | None, count: int, config: InnerLoopConfig) -> list[TrainJob]:
    """Self-edits of 8 to 14 sequences of 20 to 200 tokens: real ones from a file, or passages cut into sentences."""
    if path and path.is_file():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        sources = [(Context(r["context"], r["title"]), _notes(r)) for r in rows]
    else:
        sources = [(c, tuple(Note(s.strip()) for s in c.text.split(". "))) for c in bundled.novel()]
    jobs = []
    for context, notes in sources:
        encoded = encode(base, context.title, notes, [context.text])
        kept = tuple(s for s in encoded if LENGTHS[0] <= len(s.input_ids) <= LENGTHS[1])[: SEQUENCES[1]]
        if len(kept) >= SEQUENCES[0]:
            jobs.append(TrainJob(kept, replace(config, seed=len(jobs))))
    if not jobs:
        raise SystemExit(f"no self-edit in {path} has {SEQUENCES[0]} sequences of {LENGTHS[0]} to {LENGTHS[1]} tokens")
    return [jobs[i % len(jobs)] for i in range(count)]


def _notes(row: dict[str, Any]) -> tuple[Note, ...]:
    return notes_of([SelfEdit(row["format"], completion=row["completion"])], row["title"])


# ---------------------------------------------------------------- the contenders


def _contenders(
    base: BaseModel, jobs: Sequence[TrainJob], options: argparse.Namespace
) -> list[tuple[str, Callable[[Figures], None]]]:
    few = jobs[: options.plain_jobs]
    typical = statistics.mean(_tokens_of([job]) for job in jobs)

    def plain(dtype: torch.dtype) -> Any:
        return plain_module(options.model, str(base.device), str(dtype).removeprefix("torch."))

    def bank(k: int) -> Callable[[Figures], None]:
        chosen = jobs[: max(k, options.plain_jobs)] if not options.quick else jobs

        def contend(figures: Figures) -> None:
            with measure.PeakMemory(base.device) as memory:
                started = time.perf_counter()
                results, report = train_each(base, chosen, bank=BankConfig(max_adapters=k))
                seconds = time.perf_counter() - started
            _record(figures, _tokens_of(chosen) / seconds, typical, memory)
            assert not any(isinstance(r, Exception) for r in results), results
            figures.padding = report.padding

        return contend

    def peft(dtype: torch.dtype) -> Callable[[Figures], None]:
        def contend(figures: Figures) -> None:
            module = plain(dtype)
            with measure.PeakMemory(base.device) as memory:
                seconds = sum(train_with_peft(module, job, base.device) for job in few)
            _record(figures, _tokens_of(few) / seconds, typical, memory)

        return contend

    def reference(figures: Figures) -> None:
        steps = options.reference_steps
        with measure.PeakMemory(base.device) as memory:
            per_step = train_as_published(plain(base.dtype), base, jobs[0], steps) / steps
        hours = statistics.mean(len(job.sequences) for job in jobs) * jobs[0].config.epochs * per_step / 3600
        figures.adapters_per_hour.append(1 / hours)
        tokens = statistics.mean(len(s.input_ids) for job in jobs for s in job.sequences)
        figures.tokens_per_second.append(tokens / per_step)
        figures.padding = 1 - tokens / REFERENCE_LENGTH
        figures.peak_bytes = memory.bytes

    contenders: list[tuple[str, Callable[[Figures], None]]] = [(PEFT_SAME, peft(base.dtype))]
    if base.dtype != torch.float32:
        contenders.append((PEFT_FLOAT32, peft(torch.float32)))
    contenders += [(bank_name(k), bank(k)) for k in options.ks]
    return [*contenders, (REFERENCE, reference)]


def _tokens_of(jobs: Sequence[TrainJob]) -> int:
    return sum(len(s.input_ids) * job.config.epochs for job in jobs for s in job.sequences)


def _record(figures: Figures, speed: float, typical: float, memory: measure.PeakMemory) -> None:
    figures.tokens_per_second.append(speed)
    figures.adapters_per_hour.append(3600 * speed / typical)
    figures.peak_bytes = memory.bytes


@functools.cache
def plain_module(name: str, device: str, dtype: str) -> Any:
    """The model as transformers loads it, untouched by what the bank attaches to its own."""
    return load_model(name, device=device, dtype=dtype).module


def _peft(module: Any, job: TrainJob) -> Any:
    from peft import LoraConfig, get_peft_model

    config = job.config
    torch.manual_seed(config.seed)
    return get_peft_model(
        module, LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=0.0, task_type="CAUSAL_LM")
    )


def train_with_peft(module: Any, job: TrainJob, device: torch.device) -> float:
    """Seconds of one adapter, the model's own loss and torch's optimiser."""
    config = job.config
    started = time.perf_counter()
    model = _peft(module, job)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
    total, step = len(job.sequences) * config.epochs, 0
    for _ in range(config.epochs):
        for sequence in job.sequences:
            optimizer.param_groups[0]["lr"] = config.learning_rate * decay(config.schedule, step, total)
            ids = torch.tensor([sequence.input_ids], device=device)
            model(input_ids=ids, labels=torch.tensor([sequence.labels], device=device)).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    seconds = time.perf_counter() - started
    model.unload()
    return seconds


class _Padded(torch.utils.data.Dataset[dict[str, list[int]]]):
    """Every sequence padded to 2048, the padding among the labels."""

    def __init__(self, sequences: Sequence[TrainingSequence], pad_id: int) -> None:
        self.rows = [list(s.input_ids) + [pad_id] * (REFERENCE_LENGTH - len(s.input_ids)) for s in sequences]
        self.real = [len(s.input_ids) for s in sequences]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        mask = [1] * self.real[index] + [0] * (REFERENCE_LENGTH - self.real[index])
        return {"input_ids": self.rows[index], "attention_mask": mask, "labels": self.rows[index]}


def train_as_published(module: Any, base: BaseModel, job: TrainJob, steps: int) -> float:
    """Seconds of some steps of the reference protocol, in the base's precision."""
    import tempfile

    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    times: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            times.append(time.perf_counter())

    model = _peft(module, job)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=1,
            max_steps=steps,
            learning_rate=job.config.learning_rate,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            use_cpu=base.device.type == "cpu",
        )
        trainer = Trainer(model, arguments, train_dataset=_Padded(job.sequences, base.pad_id), callbacks=[Clock()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    seconds = time.perf_counter() - times[0]
    model.unload()
    module.eval()
    return seconds


# ---------------------------------------------------------------- the figures


def _result(
    base: BaseModel, jobs: Sequence[TrainJob], figures: dict[str, Figures], peak: float, options: argparse.Namespace
) -> dict[str, Any]:
    parameters = base.module.num_parameters()
    best_k = max(options.ks, key=lambda k: statistics.median(figures[bank_name(k)].tokens_per_second))
    best = figures[bank_name(best_k)]
    same, usual = figures[PEFT_SAME], figures.get(PEFT_FLOAT32, figures[PEFT_SAME])

    def ratio(of: str, other: Figures) -> dict[str, float]:
        return measure.summary([a / b for a, b in zip(getattr(best, of), getattr(other, of), strict=True)])

    ratios = {
        "ratio_vs_peft_same_precision": ratio("tokens_per_second", same),
        "ratio_vs_peft_default": ratio("tokens_per_second", usual),
        "ratio_vs_reference": ratio("adapters_per_hour", figures[REFERENCE]),
    }
    speed = statistics.median(best.tokens_per_second)
    adapter = parameters_of(base.module, find_targets(base.module, jobs[0].config.targets), jobs[0].config.rank)
    return {
        **{name: value["median"] for name, value in ratios.items()},
        "fraction_of_peak": speed * 4 * parameters / peak,
        "best_k": best_k,
        "ranges": ratios,
        "tokens_per_second": speed,
        "adapters_per_hour": statistics.median(best.adapters_per_hour),
        "dtype": str(base.dtype).split(".")[1],
        "device": results_file.describe_run()["gpu"] if base.device.type == "cuda" else "cpu",
        "threads": measure.threads(),
        "peak_flops": peak,
        "parameters": parameters,
        "adapter_bytes": bytes_per_slot(adapter, base.dtype),
    }


def bytes_per_further_adapter(base: BaseModel, jobs: Sequence[TrainJob]) -> float | None:
    """Growth of the peak memory from 8 resident adapters to 32; as many jobs, and the same tokens in a pass.

    An unmeasured run comes first: what the first pass of a process leaves behind, kernels say, is nobody's adapter.
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
        "| contender | real tokens/s | adapters/hour | padding | share of the peak | peak memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, f in figures.items():
        speed = statistics.median(f.tokens_per_second)
        share = speed * 4 * base.module.num_parameters() / peak
        memory = "—" if f.peak_bytes is None else f"{f.peak_bytes / 2**20:.0f} MiB"
        lines.append(
            f"| {name} | {speed:.1f} | {statistics.median(f.adapters_per_hour):.1f} "
            f"| {f.padding:.0%} | {share:.0%} | {memory} |"
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


def _tell(text: str) -> None:
    print(f"\r\033[K{text}", end="", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about 3 minutes on 2 cores: K = 4, 8 and one round")
    parser.add_argument("--self-edits", type=Path, default=os.environ.get("SEAL_SELF_EDITS"), help="JSON lines")
    parser.add_argument("--model", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ks", type=int, nargs="+", default=list(KS), metavar="K")
    parser.add_argument("--plain-jobs", type=int, default=4, help="jobs that plain PEFT trains each round")
    parser.add_argument("--reference-steps", type=int, default=2, help="steps of the reference timed each round")
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "inner_loop.json")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.ks, options.plain_jobs, options.reference_steps = 1, [4, 8], 1, 1
    return options


if __name__ == "__main__":
    main()
