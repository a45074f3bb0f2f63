"""Adapters as files: PEFT format, safetensors only, in folders named by their content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor

    from seal_agent.inner_loop.lora_bank import LoraAdapter

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
BASE_KEY = "seal_base_identity"
_PREFIX = "base_model.model."


def save(adapter: LoraAdapter, base_name: str, base_identity: str, parent: Path) -> str:
    """Write an adapter below `parent`; returns the name of its folder, the SHA-256 of what it holds.

    A temporary folder is written, flushed to disk and renamed: a crash leaves no half adapter.
    """
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
    try:
        write_peft(adapter, base_name, base_identity, draft)
        name = _content_name(draft)
        if not (parent / name).is_dir():
            try:
                os.rename(draft, parent / name)
            except OSError:
                if not (parent / name).is_dir():
                    raise
            _flush(parent)
        return name
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_peft(adapter: LoraAdapter, base_name: str, base_identity: str, folder: Path) -> None:
    """Fill `folder` with a PEFT adapter that PEFT and vLLM load."""
    from peft import LoraConfig
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, pair in adapter.pairs.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = pair.a_DR.T.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = pair.b_RO.T.contiguous()
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt", BASE_KEY: base_identity})
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        target_modules=sorted(adapter.pairs),
        task_type="CAUSAL_LM",
        inference_mode=True,
        base_model_name_or_path=base_name,
        fan_in_fan_out=adapter.transposed,
    )
    config.save_pretrained(str(folder))
    for path in (folder / WEIGHTS, folder / CONFIG):
        path.chmod(0o644)  # safetensors writes 0600
        _flush(path)
    _flush(folder)


def load(folder: Path, base_identity: str | None = None) -> LoraAdapter:
    """Read an adapter back. Raises AdapterError where it is missing, damaged, or belongs to another base.

    With `base_identity` the folder must be of the store: its name is checked against its content.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from seal_agent.inner_loop.lora_bank import LoraAdapter, LoraPair

    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise AdapterError(f"there is no adapter in {folder}; it needs {CONFIG} and {WEIGHTS} (safetensors only)")
    if base_identity is not None and _content_name(folder) != folder.name:
        raise AdapterError(
            f"the adapter in {folder} is damaged: its content changed on disk; roll back to another revision"
        )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            made_for = (file.metadata() or {}).get(BASE_KEY)
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError, OSError) as err:
        raise AdapterError(f"the adapter in {folder} is damaged ({err}); roll back to another revision") from err
    if base_identity is not None and made_for != base_identity:
        raise AdapterError(
            f"the adapter in {folder.name[:12]} was trained on another base model "
            f"({_brief(made_for)}, this one is {_brief(base_identity)}); load that model, or use another adapter"
        )
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise AdapterError(f"the adapter in {folder} holds numbers that are not finite; roll back to another revision")
    pairs = {name: LoraPair(*factors) for name, factors in _by_module(tensors).items()}
    return LoraAdapter(int(config["r"]), float(config["lora_alpha"]), pairs, bool(config.get("fan_in_fan_out")))


def _by_module(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    names = [k.removeprefix(_PREFIX).removesuffix(".lora_A.weight") for k in tensors if k.endswith(".lora_A.weight")]
    return {
        name: (
            tensors[f"{_PREFIX}{name}.lora_A.weight"].T.contiguous(),
            tensors[f"{_PREFIX}{name}.lora_B.weight"].T.contiguous(),
        )
        for name in names
    }


def _content_name(folder: Path) -> str:
    """SHA-256 over the adapter's two files."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _flush(path: Path) -> None:
    """fsync a file or folder; folders cannot be opened for that on Windows."""
    flags = os.O_RDONLY
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _brief(identity: str | None) -> str:
    return identity[:12] if identity else "unknown"
