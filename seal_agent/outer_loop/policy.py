"""The policy: a LoRA adapter that writes self-edits, finetuned on the winners, separate from those it is judged by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import AdapterError, InputError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import write_peft
from seal_agent.progress import Progress
from seal_agent.store import files as files
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train
from seal_agent.types import SelfEdit, TrainingSequence

ABOUT = "seal_policy.json"
POLICIES, LAST = "policy", "last"
"""The folder of a run's policies, and the file in it that names the last one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A writer and the formats that it learnt to write."""

    adapter: LoraAdapter
    formats: tuple[str, ...]
    base: str = ""
    """Identity of the base model that it was trained on; "" where its folder does not say."""


def policy_rows(base: BaseModel, winners: Sequence[SelfEdit]) -> tuple[TrainingSequence, ...]:
    """What the policy learns: of each winner the text it wrote, after the prompt it was asked with."""
    return tuple(encode_turns(base, edit.prompt, edit.completion) for edit in winners)


def finetune(
    base: BaseModel,
    winners: Sequence[SelfEdit],
    config: InnerLoopConfig,
    start: LoraAdapter | None,
    progress: Progress | None = None,
) -> tuple[LoraAdapter, tuple[float, ...]]:
    """The next policy, from the last one on, and the mean loss of every epoch."""
    (trained,) = train(base, [TrainJob(policy_rows(base, winners), config, start)], progress)
    return trained.adapter, trained.summary.epoch_losses


def save_policy(policy: LoraAdapter, formats: Sequence[str], base: BaseModel, parent: Path) -> str:
    """Write a policy below `parent` as a plain PEFT folder, named by its content; returns the name."""
    name = files.save(policy, base.name, base.identity, parent)
    about = {"formats": list(formats), "base": base.identity}
    (parent / name / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return name


def mark_last(parent: Path, name: str) -> None:
    """Make this policy of a run the one that the run's folder stands for."""
    draft = parent / f"{LAST}.draft"
    draft.write_text(name + "\n", encoding="utf-8")
    draft.replace(parent / LAST)


def load_policy(folder: Path, base_identity: str | None = None) -> Policy:
    """A policy of `save_policy`, or any PEFT folder, whose formats are then unknown. Raises AdapterError.

    The folder of a run stands for its last policy.
    """
    if (folder / POLICIES / LAST).is_file():
        folder = folder / POLICIES / (folder / POLICIES / LAST).read_text(encoding="utf-8").strip()
    adapter = files.load(folder, base_identity)
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Policy(adapter, ())
    except ValueError as err:
        raise AdapterError(
            f"{folder / ABOUT} is damaged ({err}); restore the folder, or train the policy again"
        ) from err
    return Policy(adapter, tuple(about["formats"]), about["base"])


def merge_policy(base: BaseModel, policy: LoraAdapter, folder: Path) -> None:
    """Write the base model with the policy in its weights, as a folder that any loader takes."""
    import copy
    import tempfile

    from peft import PeftModel

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; choose another path")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merged-", dir=folder.parent) as place:
        adapter, draft = Path(place) / "adapter", Path(place) / "whole"
        write_peft(policy, base.name, base.identity, adapter)
        whole = PeftModel.from_pretrained(copy.deepcopy(base.module), str(adapter)).merge_and_unload()
        whole.save_pretrained(draft)
        base.tokenizer.save_pretrained(draft)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)  # whole or not at all
