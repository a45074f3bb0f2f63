"""Reads and writes adapters in PEFT format, safetensors only."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent import durable
from seal_agent.errors import AdapterError, StoreError
from seal_agent.lora.peft_names import A_SUFFIX, B_SUFFIX, PREFIX

if TYPE_CHECKING:
    from torch import Tensor, nn

    from seal_agent.lora.adapter import LoraAdapter


WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
BASE_KEY = "seal_base_identity"
# Settings of PEFT that do not change what an adapter computes, or that LoraAdapter holds. Any other must be unset.
_HARMLESS = frozenset(
    (
        *("peft_type", "peft_version", "task_type", "auto_mapping", "base_model_name_or_path", "revision"),
        *("inference_mode", "r", "lora_alpha", "lora_dropout", "fan_in_fan_out", "target_modules", "exclude_modules"),
        *("bias", "init_lora_weights", "layers_to_transform", "layers_pattern"),
        *("runtime_config", "ephemeral_gpu_offload"),
        *("megatron_core", "qalora_group_size", "eva_config"),  # read only where another setting is set
    )
)
# Ways to draw the first weights that leave the base model's own weights as they are.
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")


def write_peft(adapter: LoraAdapter, base_name: str, base_identity: str, folder: Path) -> None:
    """Write an adapter that PEFT and vLLM can load. The same adapter gives the same bytes."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, pair in adapter.pairs.items():
        tensors[f"{PREFIX}{name}{A_SUFFIX}"] = pair.a_DR.T.contiguous()
        tensors[f"{PREFIX}{name}{B_SUFFIX}"] = pair.b_RO.T.contiguous()
    weights = save(tensors, metadata={"format": "pt", BASE_KEY: base_identity})
    durable.write(folder / WEIGHTS, _with_sorted_header(weights))
    durable.write(folder / CONFIG, _config_text(adapter, base_name).encode())
    durable.flush(folder)


def export_peft(adapter: LoraAdapter, model: nn.Module, base_name: str, base_identity: str, folder: Path) -> None:
    """Write an adapter and let PEFT read it back. Nothing is left of one that fails.

    Raises AdapterError with the layers that PEFT would lose, StoreError where the folder cannot be written.
    """
    try:
        write_peft(adapter, base_name, base_identity, folder)
        _check_read_back(adapter, model, folder)
    except (AdapterError, OSError) as err:
        for name in (WEIGHTS, CONFIG):
            with contextlib.suppress(OSError):
                (folder / name).unlink()
        if isinstance(err, OSError):
            raise StoreError(f"the adapter could not be written to {folder} ({err.strerror or err})") from err
        raise


def _check_read_back(adapter: LoraAdapter, model: nn.Module, folder: Path) -> None:
    import torch

    from seal_agent.lora.peft_support import names_peft_misses, read_folder

    try:
        layers = read_folder(model, folder)
    except (ValueError, RuntimeError, TypeError, KeyError):  # it names one layer, or none
        layers = {}
    lost = []
    for name, pair in adapter.pairs.items():
        factors = ((layers[name].lora_A, pair.a_DR), (layers[name].lora_B, pair.b_RO)) if name in layers else ()
        weights = [(peft["default"].weight.cpu(), ours.T) for peft, ours in factors]
        same = weights and all(torch.equal(peft, ours.to(peft.dtype)) for peft, ours in weights)
        if not same or layers[name].scaling["default"] != adapter.scale:
            lost.append(name)
    if lost or layers.keys() - adapter.pairs.keys():
        refused = sorted(names_peft_misses(model, lost)) if not layers else []
        names = refused or lost or sorted(layers.keys() - adapter.pairs.keys())
        raise AdapterError(
            f"PEFT cannot hold {len(names)} of the adapter's {len(adapter.pairs)} layers ({_some(names)}), so nothing "
            "was exported; train with targets all or default, which leave such layers out"
        )


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _with_sorted_header(safetensors: bytes) -> bytes:
    """The same file with sorted header keys: safetensors writes metadata in an order that varies."""
    size = int.from_bytes(safetensors[:8], "little")
    header = json.dumps(json.loads(safetensors[8 : 8 + size]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors start at a multiple of 8
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
    """An adapter, and the identity of its base model if the file records it. Raises AdapterError."""
    config = _read_config(folder)
    tensors, base_identity = _read_tensors(folder)
    return assemble(folder, config, tensors), base_identity


def base_identity_of(folder: Path) -> str | None:
    """The identity of an adapter's base model if the file records it; no weights are read. Raises AdapterError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            return (file.metadata() or {}).get(BASE_KEY)
    except (SafetensorError, OSError) as err:
        raise damaged(folder, str(err)) from err


def _read_config(folder: Path) -> dict[str, Any]:
    """adapter_config.json. Raises AdapterError if it describes anything but plain LoRA."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as err:
        raise damaged(folder, f"{CONFIG} cannot be read") from err
    return plain_lora(folder, config)


def plain_lora(folder: Path, config: Any) -> dict[str, Any]:
    """The settings of an adapter. Raises AdapterError if they describe anything but plain LoRA."""
    try:
        peft_type, unsupported = config.get("peft_type"), _unsupported(config)
    except (TypeError, AttributeError) as err:
        raise damaged(folder, f"{CONFIG} cannot be read") from err
    if peft_type != "LORA" or unsupported:
        reason = f"sets {', '.join(unsupported)}" if peft_type == "LORA" else f"has peft_type {peft_type!r}"
        raise AdapterError(f"the adapter in {folder} is not plain LoRA (it {reason}); give one trained without that")
    return dict(config)


def _unsupported(config: Mapping[str, Any]) -> list[str]:
    """Settings that change what the adapter computes, or that are not known not to."""
    found = [name for name, value in config.items() if value and name not in _HARMLESS]
    if config.get("init_lora_weights", True) not in _PLAIN_STARTS:  # PiSSA and others take a part out of the base
        found.append(f"init_lora_weights={config['init_lora_weights']!r}")
    if config.get("bias") not in (None, "none"):
        found.append("bias")
    return found


def _read_tensors(folder: Path) -> tuple[dict[str, Tensor], str | None]:
    """The tensors in float32 on the CPU, and the identity of their base. Raises AdapterError if any is not finite."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            base_identity = (file.metadata() or {}).get(BASE_KEY)
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as err:
        raise damaged(folder, str(err)) from err
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise AdapterError(f"the adapter in {folder} holds numbers that are not finite; roll back to another revision")
    return tensors, base_identity


def assemble(folder: Path, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> LoraAdapter:
    """The adapter that settings and tensors make. Raises AdapterError."""
    from seal_agent.lora.adapter import LoraAdapter, LoraPair

    suffixes = (A_SUFFIX, B_SUFFIX)
    names = {
        key.removeprefix(PREFIX).removesuffix(suffix) for key in tensors for suffix in suffixes if key.endswith(suffix)
    }
    if set(tensors) != {f"{PREFIX}{name}{suffix}" for name in names for suffix in suffixes}:
        raise damaged(folder, "its tensors are not pairs of lora_A and lora_B")
    pairs = {
        name: LoraPair(
            tensors[f"{PREFIX}{name}{A_SUFFIX}"].T.contiguous(),
            tensors[f"{PREFIX}{name}{B_SUFFIX}"].T.contiguous(),
        )
        for name in sorted(names)
    }
    try:
        return LoraAdapter(int(config["r"]), float(config["lora_alpha"]), pairs, bool(config.get("fan_in_fan_out")))
    except (KeyError, TypeError, ValueError) as err:
        raise damaged(folder, f"{CONFIG} lacks r or lora_alpha") from err


def damaged(folder: Path, reason: str) -> AdapterError:
    """The error for an adapter that cannot be read."""
    return AdapterError(f"the adapter in {folder} is damaged: {reason}; roll back to another revision")
