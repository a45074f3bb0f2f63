"""The policy: a LoRA adapter that writes self-edits, finetuned on the winners.

It is separate from the adapters that are trained on its self-edits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import AdapterError, InputError
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import export_peft
from seal_agent.progress import Progress
from seal_agent.store import files
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train
from seal_agent.types import Message, SelfEdit, TrainingSequence

METADATA = "seal_policy.json"
MAX_SCORED = 32  # self-edits; not tuned
POLICIES, LAST = "policy", "last"
"""The folder of a run's policies, and the file in it that names the last one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """An adapter that writes self-edits, and the formats that it learnt."""

    adapter: LoraAdapter
    formats: tuple[str, ...]
    base: str = ""
    """Identity of the base model that the policy was trained on; "" where its folder does not say."""


def policy_sequences(base: BaseModel, winners: Sequence[SelfEdit]) -> tuple[TrainingSequence, ...]:
    """Training sequences of the policy: each winner's prompt and, as the target, its completion."""
    return tuple(encode_turns(base, edit.prompt, edit.completion) for edit in winners)


def finetune(
    base: BaseModel,
    winners: Sequence[SelfEdit],
    config: InnerLoopConfig,
    start: LoraAdapter | None,
    progress: Progress | None = None,
) -> tuple[LoraAdapter, tuple[float, ...]]:
    """Train the next policy, starting from `start` (None: from a fresh adapter); returns it and each epoch's loss."""
    (trained,) = train(base, [TrainJob(policy_sequences(base, winners), config, start)], progress)
    return trained.adapter, trained.summary.epoch_losses


def divergence(engine: Engine, policy: LoraAdapter | None, edits: Sequence[SelfEdit]) -> float | None:
    """The policy's Kullback-Leibler divergence from the base model, in nats per token; 0 for the base model itself.

    Estimated on self-edits that it wrote, at most MAX_SCORED: the mean of its log-probabilities less the base model's.
    None where there is nothing to score.
    """
    if policy is None:
        return 0.0
    written = [edit for edit in edits if edit.prompt and edit.completion][:MAX_SCORED]
    prompts = [(Message("user", edit.prompt),) for edit in written]
    texts = [edit.completion for edit in written]
    scores = engine.score([*prompts, *prompts], [*texts, *texts], [*[policy] * len(texts), *[None] * len(texts)])
    own, base = ([s for row in half for s in row] for half in (scores[: len(texts)], scores[len(texts) :]))
    return fmean(mine - theirs for mine, theirs in zip(own, base, strict=True)) if own else None


def save_policy(policy: LoraAdapter, formats: Sequence[str], base: BaseModel, parent: Path) -> str:
    """Write a policy below `parent` as a plain PEFT folder named by its content; returns the name."""
    name = files.save(policy, base.name, base.identity, parent)
    metadata = {"formats": list(formats), "base": base.identity}
    (parent / name / METADATA).write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")
    return name


def mark_last(parent: Path, name: str) -> None:
    """Record which of a run's policies is the last; `load_policy` of the run's folder loads that one."""
    draft = parent / f"{LAST}.draft"
    draft.write_text(name + "\n", encoding="utf-8")
    draft.replace(parent / LAST)


def load_policy(folder: Path, base_identity: str | None = None) -> Policy:
    """Load a policy that `save_policy` wrote, or any PEFT folder, whose formats are then unknown.

    Raises AdapterError where it is missing, damaged, or belongs to another base model.

    Args:
        folder: The policy's folder, or a run's folder, which stands for its last policy.
        base_identity: The base model that the policy must belong to; None checks nothing.
    """
    if (folder / POLICIES / LAST).is_file():
        folder = folder / POLICIES / (folder / POLICIES / LAST).read_text(encoding="utf-8").strip()
    adapter = files.load(folder, base_identity, extra=(METADATA,))
    try:
        metadata: dict[str, Any] = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Policy(adapter, ())
    except ValueError as err:
        raise AdapterError(
            f"{folder / METADATA} is damaged ({err}); restore the folder, or train the policy again"
        ) from err
    return Policy(adapter, tuple(metadata["formats"]), metadata["base"])


def merge_policy(base: BaseModel, policy: LoraAdapter, folder: Path) -> None:
    """Merge the policy into the base model's weights and write a folder that any loader accepts.

    Raises InputError where `folder` exists and is not an empty folder.
    """
    import copy
    import tempfile

    from peft import PeftModel

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; choose another path")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merged-", dir=folder.parent) as temporary:
        adapter, draft = Path(temporary) / "adapter", Path(temporary) / "merged"
        export_peft(policy, base.module, base.name, base.identity, adapter)
        merged = PeftModel.from_pretrained(copy.deepcopy(base.module), str(adapter)).merge_and_unload()
        merged.save_pretrained(draft)
        base.tokenizer.save_pretrained(draft)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)  # a crash leaves no half-written folder
