"""Full finetuning: all weights of a copy are trained, for the paper's rows of many passages in one model.

It makes no adapter: nothing of it can be taken back, stored or shared, so only benchmarks use it. The base model itself
does not change. Sequences are padded to the longest of their pass, since packing is tested for LoRA alone; padding is
neither seen by other tokens nor learnt.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import TrainingError
from seal_agent.lora.routing import routed
from seal_agent.progress import Progress
from seal_agent.training.job_run import JobRun
from seal_agent.training.jobs import TrainJob, check_learnable, check_lengths, decay, trainable_sequences
from seal_agent.training.loss import autograd_loss
from seal_agent.training.loss_scale import loss_scale
from seal_agent.training.memory import available_bytes
from seal_agent.training.packing import Row, lay_out
from seal_agent.training.probes import check_trainable
from seal_agent.types import IGNORE_LABEL, TrainingSequence, TrainingSummary

BYTES_PER_WEIGHT = 16
"""Of the copy, its gradient, and AdamW's state; in bfloat16 2 + 2, and 12 for a float32 copy and both moments."""

TOKENS_PER_PASS = {"cpu": 640, "cuda": 2048}  # whose logits are held at once; not tuned


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A copy of the base model with other weights, and a summary of its training."""

    base: BaseModel
    summary: TrainingSummary


def train_full(
    base: BaseModel, sequences: Sequence[TrainingSequence], config: InnerLoopConfig, progress: Progress | None = None
) -> TrainedModel:
    """Train all weights of a copy on the sequences; batches, order, schedule and losses are those of a LoRA job.

    Raises TrainingError where the memory does not suffice, a sequence exceeds the window or a loss is not finite,
    ModelError where the weights take no gradient, NothingToLearnError where there is nothing to learn.
    """
    _check_memory(base)
    check_trainable(base)
    check_lengths(base, sequences)
    job = TrainJob(tuple(sequences), config)
    check_learnable(base, job)
    run = JobRun(job, (), trainable_sequences(sequences), shares_prefixes=False)
    trained = replace(
        base, module=copy.deepcopy(base.module), identity=f"{base.identity} finetuned", memo={}, source=""
    )
    weights = _Weights(trained, config)
    done = False
    while not done:
        batch = run.next_batch()
        loss = _backward(trained, batch)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss became {loss} at step {run.step + 1} of {run.total_steps}; "
                f"try a smaller learning_rate than {config.learning_rate:g}"
            )
        weights.step(config.learning_rate * decay(config.schedule, run.step, run.total_steps))
        done = run.finish_step(loss, sum(len(sequence.input_ids) for sequence in batch))
        if progress:
            progress(run.step, run.total_steps)
    trained.module.requires_grad_(False)
    return TrainedModel(trained, run.summary())


def _check_memory(base: BaseModel) -> None:
    needed = BYTES_PER_WEIGHT * sum(weight.numel() for weight in base.module.parameters())
    free = available_bytes(base.device)
    if needed > free:
        raise TrainingError(
            f"full finetuning of {base.name!r} takes {needed / 1e9:.1f} GB besides the model itself, and "
            f"{base.device} has {free / 1e9:.1f} GB free; use a GPU with more memory, a smaller model, or full=false"
        )


def _backward(base: BaseModel, batch: Sequence[TrainingSequence]) -> float:
    """Add the gradient of a step's loss, pass by pass; returns the loss."""
    labels = sum(label != IGNORE_LABEL for sequence in batch for label in sequence.labels[1:])
    rows = [Row(0, sequence, sequence.weight / labels) for sequence in batch]
    loss = 0.0
    for part in _passes(rows, TOKENS_PER_PASS.get(base.device.type, TOKENS_PER_PASS["cpu"])):
        laid_out = lay_out(part, False, base.pad_id, base.device)
        with routed(None):
            nll_M = autograd_loss(base, laid_out)
        loss += float((nll_M * laid_out.weights_M).sum())
    return loss


def _passes(rows: Sequence[Row], budget: int) -> list[list[Row]]:
    """Rows of similar length together, at most `budget` tokens with padding; a longer row has a pass of its own."""
    passes: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: len(row.sequence.input_ids)):
        if not passes or (len(passes[-1]) + 1) * len(row.sequence.input_ids) > budget:
            passes.append([])
        passes[-1].append(row)
    return passes


class _Weights:
    """The weights of a copy and their optimiser. Below float32 a float32 copy is stepped, and rounded after each step.

    Each weight has an AdamW of its own, so that only one gradient at a time is held in float32.
    """

    def __init__(self, base: BaseModel, config: InnerLoopConfig) -> None:
        base.module.requires_grad_(True)
        self.parameters = [weight for weight in base.module.parameters() if weight.is_floating_point()]
        self.masters = [
            weight if weight.dtype == torch.float32 else torch.nn.Parameter(weight.detach().float())
            for weight in self.parameters
        ]
        self.optimizers = [
            torch.optim.AdamW([master], lr=config.learning_rate, weight_decay=config.weight_decay)
            for master in self.masters
        ]
        self.max_norm, self.loss_scale = config.max_grad_norm, loss_scale(base.dtype)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Clip the gradients by their norm over all weights, update at this rate, and drop them."""
        scale = self._clip_factor()
        for weight, master, optimizer in zip(self.parameters, self.masters, self.optimizers, strict=True):
            if weight.grad is None:  # a part that text does not reach
                continue
            master.grad = weight.grad.float().mul_(scale)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.step()
            if master is not weight:
                weight.copy_(master)
            master.grad = weight.grad = None

    def _clip_factor(self) -> Tensor:
        """What gradients are multiplied by: no more than what takes the scale of the loss off them."""
        norms = [weight.grad.float().norm() for weight in self.parameters if weight.grad is not None]
        norm = torch.stack([value.to(norms[0].device) for value in norms]).norm() / self.loss_scale
        factor: Tensor = (self.max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_
        return factor / self.loss_scale
