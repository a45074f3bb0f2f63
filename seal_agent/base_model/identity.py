"""Which base model is this? The hash that adapters are bound to."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel


_SAMPLE_BYTES = 4096


_SAMPLES_PER_FILE = 16


_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json")


def identity_of(source: str, module: PreTrainedModel) -> str:
    """SHA-256 over config, tokenizer files, and each weight file's size, header and sampled blocks.

    Headers alone do not tell two finetunes of one architecture apart, so 16 blocks of 4 KiB are read too.
    """
    folder = _snapshot_folder(source)
    digest = hashlib.sha256(module.config.to_json_string(use_diff=True).encode() if folder is None else b"")
    if folder is not None:
        for name in ("config.json", *_TOKENIZER_FILES):
            if (folder / name).is_file():
                digest.update(name.encode() + (folder / name).read_bytes())
        for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
            digest.update(path.name.encode())
            for block in _weight_blocks(path):
                digest.update(block)
    return digest.hexdigest()


def _weight_blocks(path: Path) -> list[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little") if path.suffix == ".safetensors" else _SAMPLE_BYTES
        blocks = [str(size).encode(), file.read(min(header, size))]
        for i in range(_SAMPLES_PER_FILE):
            file.seek(size * i // _SAMPLES_PER_FILE)
            blocks.append(file.read(_SAMPLE_BYTES))
    return blocks


def _snapshot_folder(source: str) -> Path | None:
    """The folder that holds a model's files: itself, or the hub cache's snapshot."""
    if Path(source).is_dir():
        return Path(source)
    from transformers.utils import cached_file

    config = cached_file(source, "config.json", local_files_only=True, _raise_exceptions_for_missing_entries=False)
    return Path(config).parent if config else None
