"""Reference text, unrelated to any lesson, written by the base model itself, so that no data set is needed.

It shows which directions a layer's inputs usually take: `InnerLoopConfig.null_space` protects the strongest of them.
They are computed once per model and kept in the cache folder: a minute on two cores for 135M parameters.
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

# Tokens of each text. Not tuned; together eight times the inputs of the widest layer of the bundled model.
TOKENS = 96

_DRAWS = (
    "seeds by hashing"  # in the cache's key: how the texts are drawn, so that a seed gives the same weights anywhere
)


def protected_directions(
    engine: Engine, base: BaseModel, config: InnerLoopConfig, progress: Progress | None = None
) -> Directions | None:
    """The spectrum of every layer that `config` trains; None if it sets neither `null_space` nor `shrink`.

    Args:
        engine: Writes the reference text.
        base: The model whose layers are measured.
        config: Its `targets`, `null_space` and `shrink` are read.
        progress: Called with the number of texts written.
    """
    if not (config.null_space or config.shrink):
        return None
    names = find_targets(base.module, config.targets)
    memo = base.memo.setdefault("directions", {})
    if names not in memo:
        path = _cache_path(base, names)
        memo[names] = _to_device(base, _read(path, names) or _compute(engine, base, names, path, progress))
    directions: Directions = memo[names]
    return directions


def reference_prompts() -> list[Prompt]:
    """Everyday openings, each twice in a row: to be continued as plain text, and to be answered in a chat."""
    openings = load_prompt("reference-text").splitlines()
    return [prompt for opening in openings for prompt in (opening, (Message("user", opening + " …"),))]


def reference_texts(engine: Engine, base: BaseModel, progress: Progress | None = None) -> list[list[int]]:
    """Token ids of the reference texts: each prompt with the model's completion."""
    prompts = reference_prompts()
    completions = engine.generate(prompts, Sampling(TOKENS, temperature=1.0, top_p=0.95), progress=progress)
    return [
        [*base.encode(prompt), *base.tokenizer(completion.text, add_special_tokens=False)["input_ids"]]
        for prompt, completion in zip(prompts, completions, strict=True)
    ]


def _compute(
    engine: Engine, base: BaseModel, names: Sequence[str], path: Path, progress: Progress | None
) -> dict[str, Spectrum]:
    spectra = _rounded(principal_directions(base, names, reference_texts(engine, base, progress)))
    _write(path, spectra)
    return spectra


def _rounded(spectra: dict[str, Spectrum]) -> dict[str, Spectrum]:
    """The spectra in the cache's precision and memory layout: the first use trains the same weights as later ones."""
    rounded = {
        id(spectrum): Spectrum(spectrum.directions_DD.bfloat16().contiguous(), spectrum.energy_D)
        for spectrum in spectra.values()
    }
    return {name: rounded[id(spectrum)] for name, spectrum in spectra.items()}


def _to_device(base: BaseModel, spectra: dict[str, Spectrum]) -> dict[str, Spectrum]:
    """Directions in compute precision, on the device; layers that share a spectrum share its memory."""
    moved = {
        id(spectrum): Spectrum(spectrum.directions_DD.to(base.device, base.dtype), spectrum.energy_D.to(base.device))
        for spectrum in spectra.values()
    }
    return {name: moved[id(spectrum)] for name, spectrum in spectra.items()}


# ---------------------------------------------------------------- on disk

_ENERGY = "energy of "


def _cache_path(base: BaseModel, names: Sequence[str]) -> Path:
    """One file per model, set of layers, and set of reference prompts; also one under the model's former identity."""
    key = "\n".join([load_prompt("reference-text"), str(TOKENS), _DRAWS, _ENERGY, *names])
    suffix = f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    identities = [base.identity, *filter(None, [base.former_identity])]
    paths = [cache_home() / "directions" / f"{identity[:32]}-{suffix}" for identity in identities]
    return next((path for path in paths if path.is_file()), paths[0])


def _read(path: Path, names: Sequence[str]) -> dict[str, Spectrum] | None:
    """The spectra on disk; None if there is no file or it is damaged."""
    try:
        tensors = load_file(path)
        stored: dict[str, Spectrum] = {}
        for group in [key for key in tensors if not key.startswith(_ENERGY)]:
            stored |= dict.fromkeys(group.split(" "), Spectrum(tensors[group], tensors[_ENERGY + group]))
        return {name: stored[name] for name in names}
    except (OSError, SafetensorError, KeyError):
        return None


def _write(path: Path, spectra: dict[str, Spectrum]) -> None:
    """Write each shared spectrum once, under the names of all its layers. If the disk is full, nothing is cached."""
    groups: dict[int, list[str]] = {}
    for name, spectrum in spectra.items():
        groups.setdefault(id(spectrum), []).append(name)
    tensors = {}
    for names in groups.values():
        key, spectrum = " ".join(names), spectra[names[0]]
        tensors[key] = spectrum.directions_DD.contiguous().cpu()
        tensors[_ENERGY + key] = spectrum.energy_D.contiguous().cpu()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        save_file(tensors, temporary)
        os.replace(temporary, path)
    except OSError:
        return
