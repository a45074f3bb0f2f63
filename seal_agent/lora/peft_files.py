"""Adapters in PEFT format, safetensors only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.errors import AdapterError

if TYPE_CHECKING:
    from torch import Tensor

    from seal_agent.lora.adapter import LoraAdapter


WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
BASE_KEY = "seal_base_identity"
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
# Settings of PEFT that change what an adapter computes, which LoraAdapter does not know.
_NOT_PLAIN = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "lora_bias", "modules_to_save")


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
        flush(path)


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


def read_peft(folder: Path) -> tuple[LoraAdapter, str | None]:
    """An adapter, and the identity of the base model it was made for where its file says so. Raises AdapterError."""
    config = _read_config(folder)
    tensors, made_for = _read_tensors(folder)
    return _assembled(folder, config, tensors), made_for


def _read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json, checked to describe what LoraAdapter computes."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        kind, odd = config.get("peft_type"), [name for name in _NOT_PLAIN if config.get(name)]
    except (ValueError, AttributeError, OSError) as err:
        raise damaged(folder, f"{CONFIG} cannot be read") from err
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
        raise damaged(folder, str(err)) from err
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise AdapterError(f"the adapter in {folder} holds numbers that are not finite; roll back to another revision")
    return tensors, made_for


def _assembled(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LoraAdapter:
    from seal_agent.lora.adapter import LoraAdapter, LoraPair

    names = {key.removeprefix(_PREFIX).removesuffix(end) for key in tensors for end in (_A, _B) if key.endswith(end)}
    if set(tensors) != {f"{_PREFIX}{name}{end}" for name in names for end in (_A, _B)}:
        raise damaged(folder, "its tensors are not pairs of lora_A and lora_B")
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
        raise damaged(folder, f"{CONFIG} lacks r or lora_alpha") from err


def damaged(folder: Path, why: str) -> AdapterError:
    return AdapterError(f"the adapter in {folder} is damaged: {why}; roll back to another revision")


def flush(path: Path) -> None:
    """fsync a file or folder; folders cannot be opened for that on Windows."""
    flags = os.O_RDONLY
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
