"""LoRA finetuning: jobs in, adapters out, many of them per pass.

K adapters are resident in a bank. A pass takes pending sequences from as many slots as fit its token budget. A slot
whose step is complete is updated; a slot whose last step is done takes the next job of the queue. What a job is trained
on, and in which order, depends on that job alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from seal_agent.base_model.heap import give_back
from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import FIRST_ID
from seal_agent.config import BankConfig
from seal_agent.errors import TrainingError
from seal_agent.generation.pictures import pictures_of
from seal_agent.lora.coverage import say_what_is_left_out
from seal_agent.lora.routing import make_routable
from seal_agent.progress import Progress
from seal_agent.training.activations import activation_bytes
from seal_agent.training.bank.attention import use_segment_attention
from seal_agent.training.bank.storage import bytes_per_slot, parameters_of
from seal_agent.training.checkpointing import make_checkpointable
from seal_agent.training.job_run import JobRun
from seal_agent.training.jobs import (
    BankReport,
    TrainedAdapter,
    TrainJob,
    check_learnable,
    check_lengths,
    check_makes_adapter,
    target_names,
    trainable_sequences,
)
from seal_agent.training.memory import available_bytes, is_out_of_memory
from seal_agent.training.pool import Pool
from seal_agent.training.probes import check_trainable, supports_packing, supports_shared_prefixes
from seal_agent.training.stacked.pool import StackedPool, is_stackable

TOKENS_PER_PASS = {"cpu": 640, "cuda": 16_384}  # measured on 2 cores; not tuned on a GPU, see benchmarks/inner_loop.py

ACTIVATION_SHARE = 0.4  # of the free memory that activations may take; slots may take half. Not tuned


def train(
    base: BaseModel, jobs: Sequence[TrainJob], progress: Progress | None = None, bank: BankConfig | None = None
) -> list[TrainedAdapter]:
    """Train one adapter per job on the frozen base; returned in the jobs' order.

    Raises TrainingError for a job that fails: its loss is not finite, its sequences exceed the window or the memory, or
    they have no token to learn (NothingToLearnError).

    Args:
        base: The model, whose weights do not change.
        jobs: What to train each adapter on, and how.
        progress: Called with the optimiser steps done, over all jobs.
        bank: How many adapters and tokens a pass holds; defaults fit the device.
    """
    results, _ = train_each(base, jobs, progress, bank)
    for result in results:
        if isinstance(result, TrainingError):
            raise result
    return [result for result in results if isinstance(result, TrainedAdapter)]


def train_each(
    base: BaseModel, jobs: Sequence[TrainJob], progress: Progress | None = None, bank: BankConfig | None = None
) -> tuple[list[TrainedAdapter | TrainingError], BankReport]:
    """Like `train`, but a job that fails yields its error in its place and does not affect the others.

    A job without a token to learn, or with a sequence beyond the model's window, fails before anything is trained; one
    that does not fit into memory fails when its turn comes.
    """
    config, report = bank or BankConfig(), BankReport()
    for job in jobs:
        check_makes_adapter(job.config)
    check_trainable(base)
    say_what_is_left_out(base.name, base.module)
    use_segment_attention(base)
    shares_prefixes = supports_packing(base) and supports_shared_prefixes(base)
    runs = [JobRun(job, target_names(base, job), trainable_sequences(job.sequences), shares_prefixes) for job in jobs]
    for run in runs:
        try:
            check_learnable(base, run.job)
            check_lengths(base, run.sequences)
        except TrainingError as err:
            run.outcome = err
    total = sum(run.total_steps for run in runs if run.outcome is None)
    pictures = [pictures_of(base, s.input_ids) for run in runs for s in run.sequences]  # held until all is trained

    def report_progress() -> None:
        if progress:
            progress(sum(run.step for run in runs), total)

    for targets in dict.fromkeys(run.targets for run in runs if run.outcome is None):
        pending = [run for run in runs if run.targets == targets and run.outcome is None]
        _train_in_bank(base, pending, config, report, report_progress)
    del pictures
    give_back()
    return [run.result() for run in runs], report


def _train_in_bank(
    base: BaseModel,
    runs: Sequence[JobRun],
    config: BankConfig,
    report: BankReport,
    report_progress: Callable[[], None],
) -> None:
    """Train runs with the same targets in one bank.

    Whenever memory runs out, the bank is halved. Where one adapter and one sequence are too much, activations are
    recomputed; a run for which that is too much as well fails, and the others go on as before.
    """
    make_routable(base.module, runs[0].targets)
    budget = config.tokens_per_pass or _default_budget(base)
    slots = min(config.max_adapters or _default_slots(base, runs, budget), len(runs))
    checkpointable = make_checkpointable(base.module) > 0
    size = largest = _BankSize(slots, budget, config.checkpointing and checkpointable)
    in_view = any(max(s.input_ids) >= FIRST_ID for run in runs for s in run.sequences)
    make_pool = Pool if in_view else _pool_maker(base, runs[0].targets, config)
    while pending := [run for run in runs if run.outcome is None]:
        if size.is_smallest:
            pending = pending[:1]  # alone, so that no other's rank takes memory
        try:
            make_pool(base, pending, size.slots, size.budget, size.checkpointing, report, report_progress).run()
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            report.halvings += 1
            for run in pending:
                if run.outcome is None:
                    run.restart()
            smaller = size.halved(checkpointable)
            if smaller is None:
                pending[0].outcome = _too_large(pending[0])
            size = smaller or largest


@dataclass(frozen=True, slots=True)
class _BankSize:
    """What a bank holds at once."""

    slots: int
    budget: int
    """Tokens of a pass, if it has several rows."""
    checkpointing: bool

    @property
    def is_smallest(self) -> bool:
        """Whether there is one adapter, and one sequence in a pass."""
        return self.slots == 1 and self.budget == 1

    def halved(self, checkpointable: bool) -> _BankSize | None:
        """The next smaller one; None where there is none."""
        if not self.is_smallest:
            budget = max(1, self.budget // 2) if self.slots > 1 else 1
            return _BankSize(max(1, self.slots // 2), budget, self.checkpointing)
        return replace(self, checkpointing=True) if checkpointable and not self.checkpointing else None


def _too_large(run: JobRun) -> TrainingError:
    longest = max(len(sequence.input_ids) for sequence in run.sequences)
    return TrainingError(
        f"memory ran out with one adapter of rank {run.rank} and one sequence at a time, the longest of {longest} "
        "tokens; train on shorter texts, with a lower rank or fewer targets"
    )


def _pool_maker(base: BaseModel, targets: Sequence[str], config: BankConfig) -> Callable[..., Pool]:
    """The pool of the processor, or that of a GPU."""
    stacked = base.device.type == "cuda" if config.stacked is None else config.stacked
    if not stacked or not is_stackable(base, targets):
        return Pool
    return partial(StackedPool, graphs=config.graphs)


def _default_budget(base: BaseModel) -> int:
    """Tokens of a pass: the device's default, or on a GPU what the activations of a large model leave room for."""
    default = TOKENS_PER_PASS.get(base.device.type, TOKENS_PER_PASS["cpu"])
    each = activation_bytes(base)
    if base.device.type != "cuda" or each is None:
        return default
    return max(1, min(default, int(ACTIVATION_SHARE * available_bytes(base.device) / each)))


def _default_slots(base: BaseModel, runs: Iterable[JobRun], budget: int) -> int:
    """As many adapters as fill a pass and fit into half of the free memory."""
    runs = list(runs)
    lengths = [len(s.input_ids) - run.prefix_length(s) for run in runs for s in run.sequences]
    mean_length = sum(lengths) / len(lengths)
    rank = max(run.rank for run in runs)
    slot_bytes = bytes_per_slot(parameters_of(base.module, runs[0].targets, rank), base.dtype)
    fitting = available_bytes(base.device) // 2 // slot_bytes
    return max(1, min(math.ceil(budget / mean_length), fitting))
