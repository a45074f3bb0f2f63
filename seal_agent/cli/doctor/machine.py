"""The machine: torch and its device, memory, the bundled weights, the cache folder and the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from seal_agent.cli.doctor.findings import Finding
from seal_agent.errors import SealError, first_line

GIB = 1 << 30
LEAST_MEMORY, LEAST_DISK = 2 * GIB, 1 * GIB  # of the bundled model: 1.4 GiB while it learns, and 0.3 GiB of files


def check_device() -> Iterator[Finding]:
    """torch, what it computes on, and how much memory is free there."""
    try:
        import torch

        from seal_agent.base_model.loading import pick_device
        from seal_agent.training.memory import available_bytes

        device = torch.device(pick_device("auto"))
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
        torch.ones(2, 2, device=device).sum().item()
        free = available_bytes(device)
    except (ImportError, OSError, RuntimeError, SealError) as err:
        yield Finding("device", "broken", first_line(err), "pip install --force-reinstall torch", essential=True)
        return
    yield Finding("device", "ok", f"{device} ({name})", essential=True)
    detail = f"{free / GIB:.1f} GiB free"
    if free < LEAST_MEMORY:
        yield Finding("memory", "broken", detail, f"end other programs; {LEAST_MEMORY / GIB:g} GiB are enough")
    else:
        yield Finding("memory", "ok", detail)


def check_transformers() -> Finding:
    """Whether transformers can be imported: torchvision built for another torch prevents it."""
    try:
        from transformers import AutoModelForCausalLM  # noqa: F401
    except Exception as err:  # of any kind, where packages do not fit together
        return Finding(
            "transformers", "broken", first_line(err), "pip uninstall torchvision torchaudio torchcodec", essential=True
        )
    return Finding("transformers", "ok", "can be imported", essential=True)


def check_weights() -> Finding:
    """The bundled model's files."""
    from seal_agent.base_model.bundled import DEFAULT_HUB_ID, INSTALL_BUNDLED, bundled_folder

    try:
        folder = bundled_folder()
    except (OSError, SealError) as err:
        return Finding("weights", "broken", first_line(err), INSTALL_BUNDLED, essential=True)
    if folder is None:
        return Finding("weights", "absent", f"not bundled; {DEFAULT_HUB_ID} would be fetched", INSTALL_BUNDLED)
    return Finding("weights", "ok", str(folder))


def check_cache() -> Finding:
    """Whether the cache folder can be written, and has room."""
    from seal_agent.paths import cache_home

    return _writable("cache", cache_home(), "SEAL_CACHE")


def check_store(home: Path) -> Finding:
    """Whether the adapter store opens, and each adapter's weights are there. A store that is not there is not made."""
    if not os.path.exists(home / "ledger.sqlite"):
        return _writable("store", home, "SEAL_HOME", "nothing has been learnt yet; ")
    from seal_agent.store.ledger import Ledger

    try:
        ledger = Ledger(home)
        active = {name: revision for name, revision in ledger.adapters().items() if revision}
        folders = {name: ledger.adapters_folder / ledger.folder(revision) for name, revision in active.items()}
    except (OSError, SealError) as err:
        return Finding("store", "broken", first_line(err), "set SEAL_HOME to a folder that is whole", essential=True)
    if lost := [name for name, folder in folders.items() if not (folder / "adapter_model.safetensors").is_file()]:
        detail = f"weights of {', '.join(lost)} are missing in {ledger.adapters_folder}"
        return Finding("store", "broken", detail, f"seal rollback --adapter {lost[0]}", essential=True)
    writable = _writable("store", home, "SEAL_HOME")
    if writable.state != "ok":
        return writable
    return Finding("store", "ok", f"{home}: {len(folders)} adapters in use", essential=True)


def _writable(name: str, folder: Path, variable: str, before: str = "") -> Finding:
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.exists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        detail = f"{before}{folder} cannot be written"
        return Finding(name, "broken", detail, f"export {variable}=/a/folder/of/yours", essential=True)
    free = shutil.disk_usage(there).free
    detail = f"{before}{folder}, {free / GIB:.1f} GiB free"
    if free < LEAST_DISK:
        return Finding(name, "broken", detail, f"free some space, or export {variable}=/a/larger/disk")
    return Finding(name, "ok", detail, essential=True)
