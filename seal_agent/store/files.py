"""Adapters in the store: PEFT folders named by their content, and nothing in them but our files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent import durable
from seal_agent.errors import AdapterError, StoreError
from seal_agent.lora.peft_files import CONFIG, WEIGHTS, damaged, read_peft, write_peft

if TYPE_CHECKING:
    from seal_agent.lora.adapter import LoraAdapter

PROVENANCE = "provenance.json"
"""Base model, recipe and the SHA-256 of the other files; adapters from before it was written have none."""


def save(adapter: LoraAdapter, base_name: str, base_identity: str, parent: Path, recipe: str = "") -> str:
    """Write an adapter below `parent`; returns the name of its folder, the SHA-256 of what it holds.

    A temporary folder is written, flushed to disk and renamed: a crash leaves no half adapter. Modes follow the umask.
    Raises StoreError where it cannot be written.

    Args:
        recipe: The settings it was trained with, as JSON.
    """
    draft = parent / f".draft-{uuid.uuid4().hex}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        durable.step("mkdir draft")
        draft.mkdir()
        write_peft(adapter, base_name, base_identity, draft)
        durable.write(draft / PROVENANCE, _provenance(draft, base_name, base_identity, recipe))
        durable.flush(draft)
        name = content_name(draft)
        _put(draft, parent / name)
        durable.flush(parent)
        return name
    except OSError as err:
        reason = err.strerror or err
        raise StoreError(f"the adapter could not be written to {parent} ({reason}); nothing was changed") from err
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def folder_name(adapter: LoraAdapter, base_name: str, base_identity: str) -> str:
    """The name of the folder into which `save` would write an adapter."""
    with tempfile.TemporaryDirectory(prefix="seal-adapter-") as place:
        write_peft(adapter, base_name, base_identity, Path(place) / "adapter")
        return content_name(Path(place) / "adapter")


def _put(draft: Path, folder: Path) -> None:
    """Rename the draft into place, unless the same adapter is there, whole; a damaged one makes room."""
    if folder.is_dir():
        if not flaws(folder):
            return
        gone = folder.with_name(f".gone-{uuid.uuid4().hex}")
        durable.rename(folder, gone)
        shutil.rmtree(gone, ignore_errors=True)
    try:
        durable.rename(draft, folder)
    except OSError:
        if not folder.is_dir():
            raise


def load(
    folder: Path, base_identity: str | None = None, also: Collection[str] = (), extra: Collection[str] = ()
) -> LoraAdapter:
    """Read an adapter back. Raises AdapterError where it is missing, damaged, or belongs to another base model.

    Args:
        base_identity: The base model's identity. With it the folder must be of the store: its name is checked against
            its content, and nothing else may be in it.
        also: Identities that the same base model had before.
        extra: Names of further files that may be in the folder.
    """
    if not (folder / WEIGHTS).is_file() or not (folder / CONFIG).is_file():
        raise AdapterError(f"there is no adapter in {folder}; it needs {CONFIG} and {WEIGHTS} (safetensors only)")
    if base_identity is not None and (wrong := flaws(folder, extra)):
        raise damaged(folder, wrong[0])
    adapter, made_for = read_peft(folder)
    if base_identity is not None and made_for not in (base_identity, *also):
        raise AdapterError(
            f"the adapter in {folder.name[:12]} was trained on another base model "
            f"({_brief(made_for)}, this one is {_brief(base_identity)}); load that model, or use another adapter"
        )
    return adapter


def flaws(folder: Path, extra: Collection[str] = ()) -> list[str]:
    """What is wrong with a folder of the store, a phrase each; none if it holds exactly what was written."""
    try:
        names = set(os.listdir(folder))
        if missing := {CONFIG, WEIGHTS} - names:
            return [f"{min(missing)} is missing"]
        wrong = [f"{name} does not belong there" for name in sorted(names - {CONFIG, WEIGHTS, PROVENANCE, *extra})]
        if content_name(folder) != folder.name:
            wrong.append("its content changed on disk")
        elif PROVENANCE in names and not _provenance_holds(folder):
            wrong.append(f"{PROVENANCE} changed on disk")
        return wrong
    except OSError as err:
        return [f"it cannot be read ({err.strerror or err})"]


def content_name(folder: Path) -> str:
    """SHA-256 over the adapter's two files, by which a folder of the store is named."""
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _sums(folder: Path) -> dict[str, str]:
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (CONFIG, WEIGHTS)}


def _provenance(folder: Path, base_name: str, base_identity: str, recipe: str) -> bytes:
    facts = {
        "base": {"identity": base_identity, "name": base_name},
        "recipe": json.loads(recipe) if recipe else None,
        "sha256": _sums(folder),
    }
    return (json.dumps(facts, indent=2, sort_keys=True) + "\n").encode()


def _provenance_holds(folder: Path) -> bool:
    try:
        facts = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        return bool(facts["sha256"] == _sums(folder))
    except (ValueError, KeyError, TypeError):
        return False


def _brief(identity: str | None) -> str:
    return identity[:12] if identity else "unknown"
