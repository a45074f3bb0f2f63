"""LoRA finetuning: jobs in, adapters out, many of them in every pass.

K adapters are resident in a bank. A pass takes waiting sequences from as many slots as its token budget holds; a slot
whose step is complete is updated, one whose steps are done makes room for the next job of the queue. What a job is
trained on, and in which order, depends on that job alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

from seal_agent.base_model.model import BaseModel
from seal_agent.config import BankConfig
from seal_agent.errors import TrainingError
from seal_agent.lora.routing import make_routable
from seal_agent.progress import Progress
from seal_agent.training.bank.attention import use_segment_attention
from seal_agent.training.bank.storage import bytes_per_slot, parameters_of
from seal_agent.training.checkpointing import make_checkpointable
from seal_agent.training.job_run import JobRun
from seal_agent.training.jobs import BankReport, TrainedAdapter, TrainJob, learnable, targets_of
from seal_agent.training.memory import available_bytes, is_out_of_memory
from seal_agent.training.pool import Pool
from seal_agent.training.probes import supports_packing, supports_shared_prefixes


def train(
    base: BaseModel, jobs: Sequence[TrainJob], progress: Progress | None = None, bank: BankConfig | None = None
) -> list[TrainedAdapter]:
    """Train one adapter per job on the frozen base and return them in the jobs' order.

    Raises TrainingError if a loss is not finite, InputError for a job without a token to learn.
    """
    results, _ = train_each(base, jobs, progress, bank)
    for result in results:
        if isinstance(result, TrainingError):
            raise result
    return [result for result in results if isinstance(result, TrainedAdapter)]


def train_each(
    base: BaseModel, jobs: Sequence[TrainJob], progress: Progress | None = None, bank: BankConfig | None = None
) -> tuple[list[TrainedAdapter | TrainingError], BankReport]:
    """As `train`, but a job that fails yields its error in its place and leaves the others alone."""
    config, report = bank or BankConfig(), BankReport()
    use_segment_attention(base)
    shares = supports_packing(base) and supports_shared_prefixes(base)
    runs = [JobRun(job, targets_of(base, job), learnable(job.sequences), shares) for job in jobs]
    total = sum(run.total for run in runs)

    def tell() -> None:
        if progress:
            progress(sum(run.step for run in runs), total)

    for targets in dict.fromkeys(run.targets for run in runs):
        _train_alike(base, [run for run in runs if run.targets == targets], config, report, tell)
    return [run.result() for run in runs], report


# ---------------------------------------------------------------- one job on its way


# ---------------------------------------------------------------- the queue


def _train_alike(
    base: BaseModel, runs: Sequence[JobRun], config: BankConfig, report: BankReport, tell: Callable[[], None]
) -> None:
    """Train runs that touch the same layers, in one bank; with half of it whenever memory runs out."""
    make_routable(base.module, runs[0].targets)
    budget = config.tokens_per_pass or _default_budget(base)
    slots = min(config.max_adapters or _resident(base, runs, budget), len(runs))
    checkpointing = config.checkpointing and make_checkpointable(base.module) > 0
    while waiting := [run for run in runs if run.outcome is None]:
        try:
            Pool(base, waiting, slots, budget, checkpointing, report, tell).run()
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            if slots == 1 and budget == 1:
                raise TrainingError(
                    "memory ran out with a single adapter and a single sequence in it; train on shorter texts, "
                    "with a lower rank, or with BankConfig(checkpointing=True)"
                ) from err
        else:
            return
        slots, budget = max(1, slots // 2), max(1, budget // 2) if slots > 1 else 1
        report.halvings += 1
        for run in waiting:
            if run.outcome is None:
                run.restart()


TOKENS_PER_PASS = {"cpu": 640, "cuda": 16_384}  # measured on 2 cores; on a GPU our choice, see benchmarks/inner_loop.py


def _default_budget(base: BaseModel) -> int:
    return TOKENS_PER_PASS.get(base.device.type, TOKENS_PER_PASS["cpu"])


def _resident(base: BaseModel, runs: Iterable[JobRun], budget: int) -> int:
    """As many adapters as fill a pass, and as fit into half of the free memory."""
    runs = list(runs)
    own = [len(s.input_ids) - run.prefix_of(s) for run in runs for s in run.sequences]
    mean = sum(own) / len(own)
    rank = max(run.rank for run in runs)
    each = bytes_per_slot(parameters_of(base.module, runs[0].targets, rank), base.dtype)
    fitting = available_bytes(base.device) // 2 // each
    return max(1, min(math.ceil(budget / mean), fitting))
