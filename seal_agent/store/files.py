"""Adapters in the store: PEFT folders named by their content."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.errors import AdapterError
from seal_agent.lora.peft_files import CONFIG, WEIGHTS, damaged, flush, read_peft, write_peft

if TYPE_CHECKING:
    from seal_agent.lora.adapter import LoraAdapter


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
            flush(parent)
        return name
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def load(folder: Path, base_identity: str | None = None, also: Collection[str] = ()) -> LoraAdapter:
    """Read an adapter back. Raises AdapterError where it is missing, damaged, or belongs to another base model.

    Args:
        base_identity: The base model's identity. With it the folder must be of the store: its name is checked against
            its content.
        also: Identities that the same base model had before.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise AdapterError(f"there is no adapter in {folder}; it needs {CONFIG} and {WEIGHTS} (safetensors only)")
    if base_identity is not None and _content_name(folder) != folder.name:
        raise damaged(folder, "its content changed on disk")
    adapter, made_for = read_peft(folder)
    if base_identity is not None and made_for not in (base_identity, *also):
        raise AdapterError(
            f"the adapter in {folder.name[:12]} was trained on another base model "
            f"({_brief(made_for)}, this one is {_brief(base_identity)}); load that model, or use another adapter"
        )
    return adapter


def _content_name(folder: Path) -> str:
    """SHA-256 over the adapter's two files."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _brief(identity: str | None) -> str:
    return identity[:12] if identity else "unknown"
