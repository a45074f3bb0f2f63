"""GGUF files, as laptop users have them: converted once into a folder that transformers loads quickly.

transformers reads GGUF, too, but dequantises it anew at every load (minutes for a vocabulary of 262,000), and the
tokenizer that it makes of one forgets whether a text begins with the BOS token.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seal_agent.base_model.gguf_rope import scale_positions
from seal_agent.base_model.gguf_tensors import check_read
from seal_agent.base_model.whole import check_whole
from seal_agent.errors import ModelError, first_line
from seal_agent.paths import cache_home

_CONVERSION = 3  # conversions of earlier versions are not used: some lack weights or the scaling of positions
# Where a file does not say whether texts begin with BOS, those of these tokenizers and pre-tokenizers do, as llama.cpp
# has it (src/llama-vocab.cpp, llama_vocab::impl::load).
_BOS_MODELS = frozenset({"llama", "gemma4"})
_BOS_PRE_TOKENIZERS = frozenset(
    {
        "chameleon",
        "falcon-h1",
        "falcon3",
        "jina-v5-nano",
        "lfm2",
        "llama-bpe",
        "llama-v3",
        "llama3",
        "midm-2.0",
        "pixtral",
        "tekken",
    }
)
_HUB_FILE = re.compile(r"([\w.-]+/[\w.-]+):(.+\.gguf)", re.IGNORECASE)
_SAMPLE_BYTES, _SAMPLES = 65536, 16


def is_gguf(name: str) -> bool:
    """Whether a name is that of a GGUF file: a path, or "hub/id:FILE.gguf"."""
    return name.lower().endswith(".gguf")


def gguf_folder(name: str) -> Path:
    """The folder that a GGUF file was converted into; converted now where it was not yet.

    Raises ModelError where there is no such file, or where transformers cannot read it.
    """
    weights = _local_file(name)
    target = cache_home() / f"{weights.stem.lower()}-{_fingerprint(weights)}-{_CONVERSION}"
    if not (target / "config.json").is_file():
        try:
            publish(target, lambda folder: convert_gguf(weights, folder))
        except (ValueError, KeyError, NotImplementedError, RuntimeError) as err:
            first = first_line(err)
            raise ModelError(
                f"the file {weights} cannot be converted ({first}); give a GGUF file of an architecture that "
                "transformers reads"
            ) from err
    return target


def _local_file(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if not (match := _HUB_FILE.fullmatch(name)):
        raise ModelError(f"there is no file {path}; give the path of a GGUF file, or hub/id:FILE.gguf")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(match[1], match[2]))
    except (OSError, ValueError) as err:
        first = first_line(err)
        raise ModelError(
            f"the hub gave no {match[2]} of {match[1]} ({first}); check the id and the file's name"
        ) from err


def _fingerprint(path: Path) -> str:
    """Of the file's size and of blocks spread over it: another quantisation is another folder."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for i in range(_SAMPLES):
            file.seek(i * max(0, size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:16]


def publish(target: Path, write: Callable[[Path], None]) -> None:
    """Fill a temporary sibling, then rename it into place; a second process that was faster wins.

    Raises ModelError where the folder of the cache cannot be written.
    """
    draft: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        write(draft)
        os.rename(draft, target)
    except OSError as err:
        if not (target / "config.json").is_file():
            raise ModelError(
                f"the model's weights cannot be kept in {target.parent} ({err.strerror or first_line(err)}); "
                "export SEAL_CACHE=/a/folder/of/yours"
            ) from err
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def convert_gguf(weights: Path, folder: Path) -> None:
    """Write a GGUF file's weights as bf16 safetensors with config and tokenizer.

    Raises ModelError for a file that is a part of a model, and where transformers cannot read all of it.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    path = str(weights.absolute())  # transformers would look for a bare name in the working directory first
    reader = _reader(path, weights)
    _check_single(reader, weights)
    with QuietTransformers(), contextlib.redirect_stderr(io.StringIO()):  # the converter's own bars
        module, loading_info = AutoModelForCausalLM.from_pretrained(
            Path(path).parent,
            gguf_file=path,
            quantization_config=GgufConfig(gguf_file=path, dequantize=True),
            dtype=torch.bfloat16,
            output_loading_info=True,
        )
        check_read(str(weights), module, reader, loading_info)
        check_whole(f"the file {weights}", loading_info)
        scale_positions(str(weights), module, lambda name: _field(reader, name))
        tokenizer = AutoTokenizer.from_pretrained(Path(path).parent, gguf_file=path)
        _keep_ends(tokenizer, reader)
        _make_room(module, tokenizer)
        module.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _reader(path: str, weights: Path) -> Any:
    """The file's metadata and tensors. Raises ModelError for a file that ends before its header or its weights do."""
    from gguf import GGUFReader

    try:
        return GGUFReader(path)
    except (IndexError, ValueError, KeyError, OverflowError, MemoryError) as err:
        raise ModelError(
            f"the file {weights} cannot be converted ({first_line(err)}): it is damaged or incomplete; "
            "download it again"
        ) from err


def _check_single(reader: Any, weights: Path) -> None:
    """Raises ModelError for one part of a model that was split."""
    parts = _field(reader, "split.count")
    if parts is not None and int(parts) > 1:
        raise ModelError(
            f"the file {weights} is one of {parts} parts; merge them with `llama-gguf-split --merge`, and give the "
            "file that it writes"
        )


def _keep_ends(tokenizer: Any, reader: Any) -> None:
    """Which special tokens stand around a text, as the file's metadata says; where it is silent, as llama.cpp does."""
    begins = _field(reader, "tokenizer.ggml.add_bos_token")
    if begins is None and tokenizer.bos_token is not None:
        begins = begins_by_default(_field(reader, "tokenizer.ggml.model"), _field(reader, "tokenizer.ggml.pre"))
    ends = _field(reader, "tokenizer.ggml.add_eos_token")
    for name, wanted in (("add_bos_token", begins), ("add_eos_token", ends)):
        if wanted is not None and bool(wanted) != bool(getattr(tokenizer, name, False)):
            setattr(tokenizer, name, bool(wanted))


def begins_by_default(model: str | None, pre: str | None) -> bool:
    """Whether llama.cpp begins texts with BOS where a file does not say.

    Args:
        model: The file's `tokenizer.ggml.model`.
        pre: Its `tokenizer.ggml.pre`.
    """
    return model in _BOS_MODELS or (model == "gpt2" and pre in _BOS_PRE_TOKENIZERS)


def _field(reader: Any, name: str) -> Any:
    """A value of the metadata; None where there is none."""
    field = reader.fields.get(name)
    return None if field is None else field.contents()


def _make_room(module: Any, tokenizer: Any) -> None:
    """Rows of zeros for tokens that transformers adds and the file does not have, such as <unk>."""
    rows, needed = module.get_input_embeddings().weight.shape[0], max(tokenizer.get_vocab().values()) + 1
    if needed > rows:
        module.resize_token_embeddings(needed, mean_resizing=False)
        for layer in (module.get_input_embeddings(), module.get_output_embeddings()):
            if layer is not None:
                layer.weight.data[rows:] = 0


class QuietTransformers:
    """No progress bars or load reports of transformers inside the block: the caller shows its own."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._verbosity = logging.get_verbosity()
        self._bars = logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._verbosity)
        if self._bars:
            logging.enable_progress_bar()
