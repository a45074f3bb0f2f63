"""Reference text, unrelated to any lesson: which directions a layer's inputs usually take.

`InnerLoopConfig.null_space` protects the strongest of them. The texts were written by the bundled model and come with
the package. The directions are computed once per model and kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.data import bundled
from seal_agent.lora.targets import find_targets
from seal_agent.paths import cache_home, keep_in_cache
from seal_agent.progress import Progress
from seal_agent.prompts import load_prompt
from seal_agent.training.retention.spectra import KEPT, Directions, Spectrum, principal_directions
from seal_agent.types import Message, Prompt


def protected_directions(
    base: BaseModel, config: InnerLoopConfig, progress: Progress | None = None
) -> Directions | None:
    """The spectrum of every layer that `config` trains; None if it sets neither `null_space` nor `shrink`.

    Args:
        base: The model whose layers are measured.
        config: Its `targets`, `null_space` and `shrink` are read.
        progress: Called with the number of layers done.
    """
    if not (config.null_space or config.shrink):
        return None
    names = find_targets(base.module, config.targets)
    memo = base.memo.setdefault("directions", {})
    if names not in memo:
        path = _cache_path(base, names)
        memo[names] = _to_device(base, _read(path, names) or _compute(base, names, path, progress))
    directions: Directions = memo[names]
    return directions


def reference_prompts() -> list[Prompt]:
    """Everyday openings, each twice in a row: to be continued as plain text, and to be answered in a chat."""
    openings = load_prompt("reference-text").splitlines()
    return [prompt for opening in openings for prompt in (opening, _in_chat(opening))]


def reference_texts(base: BaseModel) -> list[list[int]]:
    """Token ids of the reference texts: each prompt with its completion, as the model writes prompts."""
    return [
        [
            *base.encode(_in_chat(text.opening) if text.in_chat else text.opening),
            *base.tokenizer(text.completion, add_special_tokens=False)["input_ids"],
        ]
        for text in bundled.reference_texts()
    ]


def _in_chat(opening: str) -> Prompt:
    return (Message("user", opening + " …"),)


def _compute(base: BaseModel, names: Sequence[str], path: Path, progress: Progress | None) -> dict[str, Spectrum]:
    # In the cache's precision at once: the first use trains the same weights as later ones.
    spectra = principal_directions(base, names, reference_texts(base), progress, precision=torch.bfloat16)
    _write(path, spectra)
    return spectra


def _to_device(base: BaseModel, spectra: dict[str, Spectrum]) -> dict[str, Spectrum]:
    """Directions in compute precision, on the device; layers that share a spectrum share its memory."""
    moved = {
        id(spectrum): replace(
            spectrum,
            directions_DK=spectrum.directions_DK.to(base.device, base.dtype),
            energy_K=spectrum.energy_K.to(base.device),
        )
        for spectrum in spectra.values()
    }
    return {name: moved[id(spectrum)] for name, spectrum in spectra.items()}


# ---------------------------------------------------------------- on disk

_ENERGY, _REST = "energy of ", "rest of "


def _cache_path(base: BaseModel, names: Sequence[str]) -> Path:
    """One file per model, set of layers, and reference texts; also one under the model's former identity."""
    texts = json.dumps([asdict(text) for text in bundled.reference_texts()])
    key = "\n".join([texts, str(KEPT), _ENERGY, _REST, *names])
    suffix = f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    identities = [base.identity, *filter(None, [base.former_identity])]
    paths = [cache_home() / "directions" / f"{identity[:32]}-{suffix}" for identity in identities]
    return next((path for path in paths if path.is_file()), paths[0])


def _read(path: Path, names: Sequence[str]) -> dict[str, Spectrum] | None:
    """The spectra on disk; None if there is no file or it is damaged."""
    try:
        tensors = load_file(path)
        stored: dict[str, Spectrum] = {}
        for group in [key for key in tensors if not key.startswith((_ENERGY, _REST))]:
            spectrum = Spectrum(tensors[group], tensors[_ENERGY + group], float(tensors[_REST + group]))
            stored |= dict.fromkeys(group.split(" "), spectrum)
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
        tensors[key] = spectrum.directions_DK.contiguous().cpu()
        tensors[_ENERGY + key] = spectrum.energy_K.contiguous().cpu()
        tensors[_REST + key] = torch.tensor(spectrum.rest)

    def save(draft: Path) -> None:
        try:
            save_file(tensors, draft)
        except SafetensorError as err:  # which is how it says that the disk is full
            raise OSError(str(err)) from err

    keep_in_cache(path, save)
