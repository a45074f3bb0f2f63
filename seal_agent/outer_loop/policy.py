"""The policy: a LoRA adapter that writes self-edits, finetuned on the winners.

It is separate from the adapters that are trained on its self-edits.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from seal_agent.adaptation.foreign import check_fits
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import AdapterError, InputError, PolicyWarning
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import WEIGHTS, base_identity_of, export_peft
from seal_agent.progress import Progress
from seal_agent.store import files
from seal_agent.store.policies import (
    CONTEXTS,
    FORGOTTEN,
    LAST,
    METADATA,
    POLICIES,
    metadata_of,
    write_metadata,
)
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train
from seal_agent.types import Message, SelfEdit, TrainingSequence

MAX_SCORED = 32  # self-edits; not tuned


@dataclass(frozen=True, slots=True)
class Policy:
    """An adapter that writes self-edits, and the formats that it learnt."""

    adapter: LoraAdapter
    formats: tuple[str, ...]
    base: str = ""
    """Identity of the base model that the policy was trained on; "" where its folder does not say."""
    contexts: tuple[str, ...] = ()
    """Hashes of the texts whose self-edits it learnt."""
    forgotten: tuple[str, ...] = ()
    """When a store forgot one of those texts."""


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


def save_policy(
    policy: LoraAdapter, formats: Sequence[str], base: BaseModel, parent: Path, contexts: Collection[str] = ()
) -> str:
    """Write a policy below `parent` as a plain PEFT folder named by its content; returns the name.

    `contexts` are hashes of the texts whose self-edits it learnt, see `store.policies.text_hash`.
    """
    name = files.save(policy, base.name, base.identity, parent)
    write_metadata(parent / name, {"formats": list(formats), "base": base.identity, CONTEXTS: sorted(contexts)})
    return name


def mark_last(parent: Path, name: str) -> None:
    """Record which of a run's policies is the last; `load_policy` of the run's folder loads that one."""
    draft = parent / f"{LAST}.draft"
    draft.write_text(name + "\n", encoding="utf-8")
    draft.replace(parent / LAST)


def policy_folder(folder: Path) -> Path:
    """The folder of a policy: a run's last one, or the folder itself."""
    last = folder / POLICIES / LAST
    return folder / POLICIES / last.read_text(encoding="utf-8").strip() if last.is_file() else folder


def load_policy(folder: Path, base_identity: str | None = None) -> Policy:
    """Load a policy that `save_policy` wrote, or any PEFT folder, whose formats are then unknown.

    Whether it fits a base model is for `policy_for` to say.

    Raises AdapterError where it is missing, damaged, or belongs to another base model. Warns of a policy that was
    finetuned on a text that a store has forgotten since.

    Args:
        folder: The policy's folder, or a run's folder, which stands for its last policy.
        base_identity: The base model that the policy must belong to; None checks nothing.
    """
    folder = policy_folder(folder)
    adapter = files.load(folder, base_identity, extra=(METADATA,))
    try:
        metadata = metadata_of(folder)
    except ValueError as err:
        raise AdapterError(
            f"{folder / METADATA} is damaged ({err}); restore the folder, or train the policy again"
        ) from err
    if metadata is None:
        return Policy(adapter, (), base_identity_of(folder) or "")
    policy = Policy(
        adapter,
        tuple(metadata["formats"]),
        metadata["base"],
        tuple(metadata.get(CONTEXTS, ())),
        tuple(metadata.get(FORGOTTEN, ())),
    )
    if policy.forgotten:
        warnings.warn(
            f"the policy in {folder} was finetuned on a text that was forgotten on {policy.forgotten[-1][:10]}; "
            "train it again without that text, or delete the folder",
            PolicyWarning,
            stacklevel=2,
        )
    return policy


def policy_hash(folder: str) -> str:
    """What a recipe's policy holds, as the hash that names it; "" for no policy, or where there is none yet."""
    place = policy_folder(Path(folder).expanduser()) if folder else None
    return files.content_name(place) if place and (place / WEIGHTS).is_file() else ""


def writer_of(base: BaseModel, folder: str) -> LoraAdapter | None:
    """The adapter of the policy that a recipe names, which writes the notes; None for "", the base model.

    Raises InputError where there is no policy, AdapterError where it is damaged or was trained on another base model.
    """
    if not folder:
        return None
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise InputError(
            f"the recipe's policy is not there: {place} is no folder; train one with `seal train --run {place} …`, or "
            "name another folder as the recipe"
        )
    return policy_for(base, place).adapter


def policy_for(base: BaseModel, folder: Path) -> Policy:
    """As `load_policy`. Raises AdapterError also where the policy is another base model's, or does not fit this one."""
    policy = load_policy(folder)
    if policy.base and not base.is_same_as(policy.base):
        raise AdapterError(f"the policy in {folder} was trained on another base model; load that one, or train anew")
    check_fits(policy.adapter, base)
    return policy


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
