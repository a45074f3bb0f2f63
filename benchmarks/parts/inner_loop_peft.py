"""The contenders of inner_loop.py that train with PEFT: one adapter at a time, and the published protocol."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from typing import Any

import torch

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.training.jobs import TrainJob, decay
from seal_agent.types import TrainingSequence

REFERENCE_LENGTH = 2048  # tokens to which the published inner-loop server pads every sequence


@functools.cache
def load_plain_module(name: str, device: str, dtype: str) -> Any:
    """The model as transformers loads it, a copy of its own: the bank attaches routes to the other one."""
    return load_model(name, device=device, dtype=dtype).module


def train_with_peft(module: Any, job: TrainJob, device: torch.device) -> float:
    """Train one adapter at batch 1 with the model's own loss and torch's AdamW. Returns the seconds it took."""
    config = job.config
    started = time.perf_counter()
    model = _with_lora(module, job)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay)
    total_steps, step = len(job.sequences) * config.epochs, 0
    for _ in range(config.epochs):
        for sequence in job.sequences:
            optimizer.param_groups[0]["lr"] = config.learning_rate * decay(config.schedule, step, total_steps)
            ids = torch.tensor([sequence.input_ids], device=device)
            model(input_ids=ids, labels=torch.tensor([sequence.labels], device=device)).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
    seconds = time.perf_counter() - started
    model.unload()
    return seconds


def train_as_published(module: Any, base: BaseModel, job: TrainJob, steps: int) -> float:
    """Train some steps by the reference protocol, in the base's precision. Returns the seconds they took."""
    import tempfile

    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    step_starts: list[float] = []

    class StepClock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            step_starts.append(time.perf_counter())

    model = _with_lora(module, job)
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
        dataset = _PaddedDataset(job.sequences, base.pad_id)
        trainer = Trainer(model, arguments, train_dataset=dataset, callbacks=[StepClock()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    seconds = time.perf_counter() - step_starts[0]
    model.unload()
    module.eval()
    return seconds


def _with_lora(module: Any, job: TrainJob) -> Any:
    from peft import LoraConfig, get_peft_model

    config = job.config
    torch.manual_seed(config.seed)
    return get_peft_model(
        module, LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=0.0, task_type="CAUSAL_LM")
    )


class _PaddedDataset(torch.utils.data.Dataset[dict[str, list[int]]]):
    """Sequences padded to REFERENCE_LENGTH. As in the published server, the padding is among the labels."""

    def __init__(self, sequences: Sequence[TrainingSequence], pad_id: int) -> None:
        self.rows = [list(s.input_ids) + [pad_id] * (REFERENCE_LENGTH - len(s.input_ids)) for s in sequences]
        self.lengths = [len(s.input_ids) for s in sequences]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        mask = [1] * self.lengths[index] + [0] * (REFERENCE_LENGTH - self.lengths[index])
        return {"input_ids": self.rows[index], "attention_mask": mask, "labels": self.rows[index]}
