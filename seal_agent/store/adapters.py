"""Adapters as files: PEFT format, safetensors only, in folders named by their content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor

    from seal_agent.inner_loop.lora import LoraAdapter

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
BASE_KEY = "seal_base_identity"
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
# Settings of PEFT that change what an adapter computes, which LoraAdapter does not know.
_NOT_PLAIN = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "lora_bias", "modules_to_save")


def save(adapter: LoraAdapter, base_name: str, base_identity: str, parent: Path) -> str:
    """Write an adapter below `parent`; returns the name of its folder, the SHA-256 of what it holds.

    A temporary folder is written, flushed to disk and renamed: a crash leaves no half adapter.
    """
    parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=parent))
    try:
        draft.chmod(0o755)  # mkdtemp keeps a folder to its owner
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
    """Fill `folder` with a PEFT adapter that PEFT and vLLM load; the same adapter gives the same bytes."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, pair in adapter.pairs.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = pair.a_DR.T.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = pair.b_RO.T.contiguous()
    weights = save(tensors, metadata={"format": "pt", BASE_KEY: base_identity})
    (folder / WEIGHTS).write_bytes(_sorted_header(weights))
    (folder / CONFIG).write_text(_config_text(adapter, base_name), encoding="utf-8")
    for path in (folder / WEIGHTS, folder / CONFIG, folder):
        _flush(path)


def _sorted_header(safetensors: bytes) -> bytes:
    """The same file with its header's keys in order: safetensors writes metadata in an order that changes."""
    size = int.from_bytes(safetensors[:8], "little")
    header = json.dumps(json.loads(safetensors[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors begin at a multiple of 8
    return len(header).to_bytes(8, "little") + header + safetensors[8 + size :]


def _config_text(adapter: LoraAdapter, base_name: str) -> str:
    """PEFT's adapter_config.json; its sets become sorted lists."""
    from peft import LoraConfig

    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        target_modules=sorted(adapter.pairs),
        task_type="CAUSAL_LM",
        inference_mode=True,
        base_model_name_or_path=base_name,
        fan_in_fan_out=adapter.transposed,
    )
    return json.dumps(config.to_dict(), indent=2, sort_keys=True, default=sorted)


def load(folder: Path, base_identity: str | None = None) -> LoraAdapter:
    """Read an adapter back. Raises AdapterError where it is missing, damaged, or belongs to another base.

    With `base_identity` the folder must be of the store: its name is checked against its content.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise AdapterError(f"there is no adapter in {folder}; it needs {CONFIG} and {WEIGHTS} (safetensors only)")
    if base_identity is not None and _content_name(folder) != folder.name:
        raise _damaged(folder, "its content changed on disk")
    config = _read_config(folder)
    tensors, made_for = _read_tensors(folder)
    if base_identity is not None and made_for != base_identity:
        raise AdapterError(
            f"the adapter in {folder.name[:12]} was trained on another base model "
            f"({_brief(made_for)}, this one is {_brief(base_identity)}); load that model, or use another adapter"
        )
    return _assembled(folder, config, tensors)


def _read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json, checked to describe what LoraAdapter computes."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind, odd = config.get("peft_type"), [name for name in _NOT_PLAIN if config.get(name)]
    except (ValueError, AttributeError, OSError) as err:
        raise _damaged(folder, f"{CONFIG} cannot be read") from err
    if kind != "LORA" or odd:
        what = f"sets {', '.join(odd)}" if odd else f"has peft_type {kind!r}"
        raise AdapterError(f"the adapter in {folder} is not plain LoRA (it {what}); give one trained without that")
    return dict(config)


def _read_tensors(folder: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors in float32 on the CPU, checked to be finite, and the identity of the base they were made for."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            made_for = (file.metadata() or {}).get(BASE_KEY)
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as err:
        raise _damaged(folder, str(err)) from err
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise AdapterError(f"the adapter in {folder} holds numbers that are not finite; roll back to another revision")
    return tensors, made_for


def _assembled(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LoraAdapter:
    from seal_agent.inner_loop.lora import LoraAdapter, LoraPair

    names = {key.removeprefix(_PREFIX).removesuffix(end) for key in tensors for end in (_A, _B) if key.endswith(end)}
    if set(tensors) != {f"{_PREFIX}{name}{end}" for name in names for end in (_A, _B)}:
        raise _damaged(folder, "its tensors are not pairs of lora_A and lora_B")
    pairs = {
        name: LoraPair(
            tensors[f"{_PREFIX}{name}{_A}"].T.contiguous(),
            tensors[f"{_PREFIX}{name}{_B}"].T.contiguous(),
        )
        for name in sorted(names)
    }
    try:
        return LoraAdapter(int(config["r"]), float(config["lora_alpha"]), pairs, bool(config.get("fan_in_fan_out")))
    except (KeyError, TypeError, ValueError) as err:
        raise _damaged(folder, f"{CONFIG} lacks r or lora_alpha") from err


def _damaged(folder: Path, why: str) -> AdapterError:
    return AdapterError(f"the adapter in {folder} is damaged: {why}; roll back to another revision")


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
