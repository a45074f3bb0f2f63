"""Reads adapters that strangers made: PEFT folders, safetensors only, nothing in them trusted.

Every file is read once, into memory, and checked there. What is not known to be harmless is refused by name.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.errors import AdapterError
from seal_agent.lora.peft_files import CONFIG, WEIGHTS, assemble, plain_lora
from seal_agent.lora.peft_names import PREFIX
from seal_agent.store.files import PROVENANCE

if TYPE_CHECKING:
    from torch import Tensor

    from seal_agent.lora.adapter import LoraAdapter

MAX_CONFIG = 1 << 20  # bytes; PEFT writes about one thousand
MAX_HEADER = 16 << 20  # bytes; some 100 for each tensor
MAX_WEIGHTS = 8 << 30  # bytes
MAX_RANK = 4096
_ALLOWED = frozenset((WEIGHTS, CONFIG, PROVENANCE, "README.md", "LICENSE", "LICENSE.txt", "seal_policy.json"))
_PICKLES = re.compile(r".*\.(bin|pt|pth|pkl|pickle|ckpt|joblib|npy|npz|py|pyc|so|dll|h5|msgpack)", re.IGNORECASE)
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d|clock\$)(\..*)?", re.IGNORECASE)
_TENSOR = re.compile(re.escape(PREFIX) + r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*\.weight")
_DTYPES = frozenset(("F16", "BF16", "F32"))


@dataclass(frozen=True, slots=True)
class Imported:
    """An adapter that was read, and the SHA-256 of its weights file."""

    adapter: LoraAdapter
    sha256: str


def read_foreign(folder: Path) -> Imported:
    """Read a PEFT folder that nobody vouches for. Raises AdapterError for anything that is not plainly an adapter."""
    names = _checked_names(folder)
    if missing := {CONFIG, WEIGHTS} - names:
        raise _refused(folder, f"{min(missing)} is missing; only safetensors are read")
    config = checked_config(folder, _read(folder / CONFIG, MAX_CONFIG))
    weights = _read(folder / WEIGHTS, MAX_WEIGHTS)
    adapter = assemble(folder, config, checked_tensors(folder, weights))
    for name, pair in adapter.pairs.items():
        if pair.a_DR.dim() != 2 or pair.b_RO.dim() != 2 or not pair.a_DR.shape[1] == pair.b_RO.shape[0] == adapter.rank:
            raise _refused(folder, f"the factors of {name} are not of rank {adapter.rank}")
    if not adapter.pairs:
        raise _refused(folder, "it holds no layers")
    return Imported(adapter, hashlib.sha256(weights).hexdigest())


def check_file_name(name: str) -> None:
    """Raises AdapterError for a name that could mean another place, here or on another system."""
    harmful = (
        name in ("", ".", "..")
        or any(sign in name for sign in '/\\:%*?"<>|')
        or any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
        or name != name.strip(" .")
        or _RESERVED.fullmatch(name)
        or not name.isascii()
    )
    if harmful:
        raise AdapterError(f"the file name {name!r} is refused; names are plain letters, digits, dots and dashes")


def _checked_names(folder: Path) -> set[str]:
    """The names of the folder's files. Raises AdapterError for links, folders, pickles and unknown files."""
    try:
        entries = list(os.scandir(folder))
    except (OSError, ValueError) as err:
        raise AdapterError(f"there is no folder {str(folder)!r} to import") from err
    for entry in entries:
        if _PICKLES.fullmatch(entry.name):
            raise _refused(folder, f"{entry.name} can run code; give a folder with safetensors only")
        check_file_name(entry.name)
        if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
            raise _refused(folder, f"{entry.name} is a link, a folder or a device; give plain files only")
        if entry.name not in _ALLOWED:
            raise _refused(folder, f"{entry.name} is not part of an adapter; remove it")
    return {entry.name for entry in entries}


def _read(path: Path, most: int) -> bytes:
    """A plain file's content; a link that has taken its place since is not followed."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(handle, "rb") as file:
            if os.fstat(file.fileno()).st_size > most:
                raise _refused(path.parent, f"{path.name} has more than {most} bytes")
            return file.read(most)
    except OSError as err:
        raise _refused(path.parent, f"{path.name} cannot be read ({err.strerror})") from err


# ---------------------------------------------------------------- the settings


def checked_config(folder: Path, content: bytes) -> dict[str, Any]:
    """adapter_config.json: known keys only, of the right types. Raises AdapterError."""
    try:
        config = json.loads(content.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        raise _refused(folder, f"{CONFIG} is no JSON") from err
    if not isinstance(config, dict):
        raise _refused(folder, f"{CONFIG} is no object")
    if code := sorted({"auto_map", "custom_objects"} & set(config)):
        raise _refused(folder, f"{CONFIG} sets {code[0]}, which names code to run")
    if config.get("auto_mapping"):
        raise _refused(folder, f"{CONFIG} sets auto_mapping, which names code to run")
    if unknown := sorted(set(config) - _known_keys()):
        raise _refused(folder, f"{CONFIG} has the unknown setting {unknown[0][:60]!r}")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_RANK:
        raise _refused(folder, f"r must be 1 to {MAX_RANK}")
    if not isinstance(alpha, int | float) or isinstance(alpha, bool) or not 0 < alpha < 1e6:
        raise _refused(folder, "lora_alpha must be a positive number")
    return plain_lora(folder, config)


@cache
def _known_keys() -> frozenset[str]:
    """The settings of PEFT's LoRA, and what PEFT writes beside them."""
    from peft import LoraConfig

    return frozenset({field.name for field in fields(LoraConfig)} | {"peft_version", "auto_mapping"})


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


# ---------------------------------------------------------------- the weights


def checked_tensors(folder: Path, content: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file in float32: plain pairs, finite. Raises AdapterError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    _check_header(folder, content)
    try:
        tensors = {name: tensor.float() for name, tensor in load(content).items()}
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError, OverflowError) as err:
        raise _refused(folder, f"{WEIGHTS} is no safetensors file") from err
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise _refused(folder, f"{WEIGHTS} holds numbers that are not finite")
    return tensors


def _check_header(folder: Path, content: bytes) -> None:
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(MAX_HEADER, len(content) - 8):
        raise _refused(folder, f"{WEIGHTS} is no safetensors file")
    try:
        header = json.loads(content[8 : 8 + size].decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        raise _refused(folder, f"the header of {WEIGHTS} is no JSON") from err
    if not isinstance(header, dict):
        raise _refused(folder, f"the header of {WEIGHTS} is no object")
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if not _TENSOR.fullmatch(name):
            raise _refused(folder, f"a tensor is called {name[:80]!r}")
        if not isinstance(entry, dict) or entry.get("dtype") not in _DTYPES:
            raise _refused(folder, f"the tensor {name[:80]} is not of type {', '.join(sorted(_DTYPES))}")


def _refused(folder: Path, reason: str) -> AdapterError:
    return AdapterError(f"the adapter in {folder.name!r} is refused: {reason}")
