"""One adapter trained by PEFT, the slow and obvious way."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.adapter import LoraAdapter, new_adapter
from seal_agent.lora.targets import find_targets
from seal_agent.training.jobs import TrainJob, steps_of
from seal_agent.types import IGNORE_LABEL


def train_with_peft(base: BaseModel, job: TrainJob) -> LoraAdapter:
    """One adapter, row by row without padding, torch's AdamW and clipping, the schedule of transformers."""
    from peft import LoraConfig, get_peft_model
    from transformers import get_scheduler

    config, sequences = job.config, list(job.sequences)
    start = job.start or new_adapter(
        base.module, find_targets(base.module, config.targets), config.rank, config.alpha, config.seed
    )
    lora = LoraConfig(
        r=start.rank,
        lora_alpha=start.alpha,
        target_modules=list(start.pairs),
        fan_in_fan_out=start.transposed,
        task_type="CAUSAL_LM",
    )
    model = get_peft_model(copy.deepcopy(base.module), lora)
    layers = {name: model.base_model.model.get_submodule(name) for name in start.pairs}
    for name, layer in layers.items():
        layer.lora_A["default"].weight.data = start.pairs[name].a_DR.T.clone()
        layer.lora_B["default"].weight.data = start.pairs[name].b_RO.T.clone()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
    schedule = get_scheduler(config.schedule, optimizer, num_warmup_steps=0, num_training_steps=steps_of(job))
    order = random.Random(config.seed)
    for _ in range(config.epochs):
        shuffled = order.sample(sequences, len(sequences))
        for at in range(0, len(shuffled), config.batch_size):
            batch = shuffled[at : at + config.batch_size]
            labels = sum(label != IGNORE_LABEL for s in batch for label in s.labels[1:])
            for row in batch:
                logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
                targets = torch.tensor(row.labels[1:])
                loss = torch.nn.functional.cross_entropy(logits, targets, ignore_index=IGNORE_LABEL, reduction="sum")
                (loss / labels).backward()
            torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    pairs = {
        name: type(next(iter(start.pairs.values())))(
            layer.lora_A["default"].weight.detach().T, layer.lora_B["default"].weight.detach().T
        )
        for name, layer in layers.items()
    }
    return replace(start, pairs=pairs)
