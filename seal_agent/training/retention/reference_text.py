"""Ordinary text, which has nothing to do with what is to be learnt: written by the model, so that none need be given.

From it comes which directions a layer's inputs usually take: `InnerLoopConfig.null_space` keeps adapters off those.
They are found once for a model and kept in the cache folder: a minute on two cores for 135M parameters.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.targets import find_targets
from seal_agent.paths import cache_home
from seal_agent.progress import Progress
from seal_agent.prompts import load_prompt
from seal_agent.training.retention.protected_directions import Directions, Spectrum, principal_directions
from seal_agent.types import Message, Prompt, Sampling

TOKENS = 96  # our choice: of each text; together eight times the inputs of the widest layer of the bundled model


def protected_directions(
    engine: Engine, base: BaseModel, config: InnerLoopConfig, progress: Progress | None = None
) -> Directions | None:
    """The directions of every layer that this config trains, the strongest first; None where it asks for none."""
    if not (config.null_space or config.shrink):
        return None
    names = find_targets(base.module, config.targets)
    memo = base.memo.setdefault("directions", {})
    if names not in memo:
        path = _path(base, names)
        memo[names] = _to(base, _read(path, names) or _found(engine, base, names, path, progress))
    found: Directions = memo[names]
    return found


def reference_prompts() -> list[Prompt]:
    """Everyday openings, each to be continued as plain text and to be answered in a chat, in turn."""
    openings = load_prompt("reference-text").splitlines()
    return [prompt for opening in openings for prompt in (opening, (Message("user", opening + " …"),))]


def reference_texts(engine: Engine, base: BaseModel, progress: Progress | None = None) -> list[list[int]]:
    """Token ids of texts that the model wrote: each opening continued as plain text, and answered in a chat."""
    prompts = reference_prompts()
    said = engine.generate(prompts, Sampling(TOKENS, temperature=1.0, top_p=0.95), progress=progress)
    return [
        [*base.encode(prompt), *base.tokenizer(completion.text, add_special_tokens=False)["input_ids"]]
        for prompt, completion in zip(prompts, said, strict=True)
    ]


def _found(
    engine: Engine, base: BaseModel, names: Sequence[str], path: Path, progress: Progress | None
) -> dict[str, Spectrum]:
    found = principal_directions(base, names, reference_texts(engine, base, progress))
    _write(path, found)
    return found


def _to(base: BaseModel, found: dict[str, Spectrum]) -> dict[str, Spectrum]:
    """Directions in compute precision, on the device; layers that share their directions share the memory."""
    made = {
        id(one): Spectrum(one.directions_DD.to(base.device, base.dtype), one.energy_D.to(base.device))
        for one in found.values()
    }
    return {name: made[id(one)] for name, one in found.items()}


# ---------------------------------------------------------------- on disk

_ENERGY = "energy of "


def _path(base: BaseModel, names: Sequence[str]) -> Path:
    """Another model, other layers or other texts are another file."""
    facts = "\n".join([load_prompt("reference-text"), str(TOKENS), _ENERGY, *names])
    name = f"{base.identity[:32]}-{hashlib.sha256(facts.encode()).hexdigest()[:16]}.safetensors"
    return cache_home() / "directions" / name


def _read(path: Path, names: Sequence[str]) -> dict[str, Spectrum] | None:
    """What was kept; None where nothing was, or where the file is damaged."""
    try:
        tensors = load_file(path)
        stored: dict[str, Spectrum] = {}
        for group in [key for key in tensors if not key.startswith(_ENERGY)]:
            stored |= dict.fromkeys(group.split(" "), Spectrum(tensors[group], tensors[_ENERGY + group]))
        return {name: stored[name] for name in names}
    except (OSError, SafetensorError, KeyError):
        return None


def _write(path: Path, found: dict[str, Spectrum]) -> None:
    """Each shared set of directions once, under the names of all its layers; a full disk costs only the cache."""
    groups: dict[int, list[str]] = {}
    for name, one in found.items():
        groups.setdefault(id(one), []).append(name)
    tensors = {}
    for group in groups.values():
        key, one = " ".join(group), found[group[0]]
        tensors[key] = one.directions_DD.bfloat16().contiguous().cpu()
        tensors[_ENERGY + key] = one.energy_D.contiguous().cpu()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        save_file(tensors, draft)
        os.replace(draft, path)
    except OSError:
        return
