"""LoRA finetuning: jobs in, adapters out."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.inner_loop.lora_bank import (
    LoraAdapter,
    LoraPair,
    Route,
    StackedPair,
    find_targets,
    make_routable,
    new_adapter,
    routed,
)
from seal_agent.models import BaseModel
from seal_agent.types import IGNORE_LABEL, TrainingSequence, TrainingSummary

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""


@dataclass(frozen=True, slots=True)
class TrainJob:
    """One adapter to train: its sequences, its settings, and the adapter it continues from, if any."""

    sequences: tuple[TrainingSequence, ...]
    config: InnerLoopConfig
    start: LoraAdapter | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter as it left the inner loop, and what was done to get there."""

    adapter: LoraAdapter
    summary: TrainingSummary


def train(base: BaseModel, jobs: Sequence[TrainJob], progress: Progress | None = None) -> list[Trained]:
    """Train one adapter per job, on the frozen base. Raises TrainingError on a loss that is not finite."""
    total = sum(steps_of(job) for job in jobs)
    done, trained = 0, []
    for job in jobs:

        def step(_: int, __: int) -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, total)

        trained.append(_train_one(base, job, step))
    return trained


def steps_of(job: TrainJob) -> int:
    """Optimiser steps of a job."""
    return math.ceil(len(_learnable(job.sequences)) / job.config.batch_size) * job.config.epochs


def _learnable(sequences: Sequence[TrainingSequence]) -> list[TrainingSequence]:
    """Those with a token to learn: a text of a single token has none, since nothing predicts the first."""
    return [s for s in sequences if any(label != IGNORE_LABEL for label in s.labels[1:])]


def _train_one(base: BaseModel, job: TrainJob, progress: Progress) -> Trained:
    config, total, sequences = job.config, steps_of(job), _learnable(job.sequences)
    if not sequences:
        raise InputError("there is nothing to train on: no sequence has a token to learn")
    start = job.start or _fresh(base, config)
    make_routable(base.module, tuple(start.pairs))
    pairs = _trainable(start, base.device)
    weights = [w for pair in pairs.values() for w in (pair.a_KDR, pair.b_KRO)]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
    generator = torch.Generator(base.device).manual_seed(config.seed)
    order, losses, step, tokens = random.Random(config.seed), [], 0, 0
    for _ in range(config.epochs):
        epoch = []
        for batch in _batches(sequences, config.batch_size, order):
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * decay(config.schedule, step, total)
            loss = _loss(base, batch, Route(_scaled(pairs, start.scale), None, config.dropout, generator))
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss.item()} at step {step + 1} of {total}; nothing was saved: "
                    f"try a smaller learning_rate than {config.learning_rate:g}"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            epoch.append(loss.item())
            step += 1
            tokens += sum(len(s.input_ids) for s in batch)
            progress(step, total)
        losses.append(sum(epoch) / len(epoch))
    adapter = _finished(pairs, start)
    return Trained(adapter, TrainingSummary(len(sequences), step, tokens, tuple(losses)))


def decay(schedule: str, step: int, total: int) -> float:
    """Factor on the learning rate at a step counted from 0; linear and cosine end at zero, no warm-up."""
    if schedule == "linear":
        return 1 - step / total
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / total))
    return 1.0


def _fresh(base: BaseModel, config: InnerLoopConfig) -> LoraAdapter:
    targets = find_targets(base.module, config.targets)
    return new_adapter(base.module, targets, config.rank, config.alpha, config.seed)


def _trainable(start: LoraAdapter, device: torch.device) -> dict[str, StackedPair]:
    """Float32 copies with gradients, each with a leading K of one; by name, so that no order changes a sum's bits."""

    def leaf(weight: Tensor) -> Tensor:
        return weight.to(device, torch.float32, copy=True).unsqueeze(0).requires_grad_()

    return {name: StackedPair(leaf(pair.a_DR), leaf(pair.b_RO)) for name, pair in sorted(start.pairs.items())}


def _scaled(pairs: dict[str, StackedPair], scale: float) -> dict[str, StackedPair]:
    return {name: StackedPair(pair.a_KDR, pair.b_KRO * scale) for name, pair in pairs.items()}


def _batches(sequences: Sequence[TrainingSequence], size: int, order: random.Random) -> list[list[TrainingSequence]]:
    shuffled = order.sample(sequences, len(sequences))
    return [shuffled[i : i + size] for i in range(0, len(shuffled), size)]


def _loss(base: BaseModel, batch: Sequence[TrainingSequence], route: Route) -> Tensor:
    """Mean cross-entropy over the batch's labelled tokens, in float32."""
    ids_BT, mask_BT, labels_BT = _pad(batch, base.pad_id, base.device)
    with routed(route):
        logits_BTV = base.module(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits
    targets_BT = labels_BT[:, 1:]
    keep = targets_BT != IGNORE_LABEL
    return torch.nn.functional.cross_entropy(logits_BTV[:, :-1][keep].float(), targets_BT[keep])


def _pad(batch: Sequence[TrainingSequence], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Right-padded to the longest of the batch: ids, attention mask, labels, each B×T."""
    longest = max(len(s.input_ids) for s in batch)

    def rows(values: Sequence[Sequence[int]], fill: int) -> Tensor:
        return torch.tensor([[*v, *[fill] * (longest - len(v))] for v in values], device=device)

    return (
        rows([s.input_ids for s in batch], pad_id),
        rows([[1] * len(s.input_ids) for s in batch], 0),
        rows([s.labels for s in batch], IGNORE_LABEL),
    )


def _finished(pairs: dict[str, StackedPair], start: LoraAdapter) -> LoraAdapter:
    cpu = {n: LoraPair(p.a_KDR[0].detach().cpu(), p.b_KRO[0].detach().cpu()) for n, p in pairs.items()}
    if not all(torch.isfinite(w).all() for pair in cpu.values() for w in (pair.a_DR, pair.b_RO)):
        raise TrainingError("the trained weights are not finite; nothing was saved: try a smaller learning_rate")
    return LoraAdapter(start.rank, start.alpha, cpu, start.transposed)
