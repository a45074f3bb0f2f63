"""Which base model is this? The hash that adapters are bound to, and the settings that are recorded beside it.

An adapter belongs to weights. So the identity is a hash of the architecture, the vocabulary, and samples of every
weight tensor by name. How the weights are cut into files, the dtype they are saved in, the format of config and
tokenizer files, and the version of transformers do not enter it. Chat template, generation settings and context
extension change how a model is used, not what it is: they are recorded, and a difference is a warning.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

BLOCKS, BLOCK_WIDTH = 4, 64  # blocks sampled per tensor, and elements of each: 70,000 elements of a 135M model
_VERSION = "seal-identity-2"
# What changes the result of a forward pass and shows in no tensor's shape. Left out: what transformers derives from
# shapes or adds in a new version, such as head_dim.
_STRUCTURE = (
    "num_attention_heads",
    "hidden_act",
    "hidden_activation",
    "activation_function",
    "rms_norm_eps",
    "layer_norm_eps",
    "layer_norm_epsilon",
    "norm_epsilon",
    "num_experts_per_tok",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "query_pre_attn_scalar",
)
_GENERATION = (
    "bos_token_id",
    "do_sample",
    "eos_token_id",
    "min_p",
    "no_repeat_ngram_size",
    "pad_token_id",
    "repetition_penalty",
    "stop_strings",
    "temperature",
    "top_k",
    "top_p",
)
_TEMPLATE = "chat template"

Settings = tuple[tuple[str, str], ...]
"""Names and values, sorted by name."""

Block = Callable[[tuple[slice, ...]], "Tensor"]
"""Reads a block of a tensor without reading the rest of it."""


def identity_of(source: str, module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256, 64 hex digits, over architecture, vocabulary and sampled weights of a loaded model.

    Args:
        source: The folder or hub id it was loaded from. Weights are sampled from its safetensors files; where there
            are none, from the module itself.
    """
    digest = hashlib.sha256(_VERSION.encode())
    vocabulary = sorted(tokenizer.get_vocab().items())
    for facts in (_architecture(module), vocabulary):
        digest.update(json.dumps(facts, sort_keys=True, ensure_ascii=False).encode())
    with ExitStack() as files:
        tensors = _file_tensors(_snapshot_folder(source), files) or _module_tensors(module)
        for name, (shape, block) in sorted(_own_weights(tensors, module).items()):
            digest.update(f"{name} {shape}".encode())
            for place in _places(shape):
                digest.update(_canonical_bytes(block(place)))
    return digest.hexdigest()


def settings_of(module: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Settings:
    """What is recorded beside the identity: chat template (as a hash), generation settings, context extension."""
    template = json.dumps(tokenizer.chat_template or "", sort_keys=True)
    settings = {_TEMPLATE: hashlib.sha256(template.encode()).hexdigest()[:16]}
    generation = getattr(module, "generation_config", None)
    chosen = generation.to_diff_dict() if generation is not None else {}
    settings |= {name: json.dumps(chosen[name]) for name in _GENERATION if chosen.get(name) is not None}
    config = module.config.get_text_config()
    if window := getattr(config, "sliding_window", None):
        settings["sliding_window"] = json.dumps(window)
    scaling = {k: v for k, v in _rope(config).items() if k not in ("rope_theta", "rope_type", "type")}
    if scaling:
        settings["rope scaling"] = json.dumps(scaling, sort_keys=True)
    return tuple(sorted(settings.items()))


def differing_settings(recorded: Settings, present: Settings) -> list[str]:
    """Settings that are not as they were, as "top_p was 0.9, is 0.8"; nothing where none were recorded."""
    before, now = dict(recorded), dict(present)
    if not before:
        return []
    changed = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    return [
        "the chat template was another"  # of which only a hash is kept
        if name == _TEMPLATE
        else f"{name} was {before.get(name, 'not set')}, is {now.get(name, 'not set')}"
        for name in changed
    ]


# ---------------------------------------------------------------- architecture


def _architecture(module: PreTrainedModel) -> dict[str, Any]:
    config = module.config.get_text_config()
    facts = {name: getattr(config, name, None) for name in _STRUCTURE}
    return {
        "model_type": config.model_type,
        "rope_theta": sorted(_thetas(config.to_dict())),
        **{name: value for name, value in facts.items() if isinstance(value, str | int | float)},
    }


def _rope(config: Any) -> dict[str, Any]:
    """Rotary settings under their present name, or the one of older versions."""
    return dict(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {})


def _thetas(value: Any) -> set[float]:
    """Every rope_theta in a config: newer ones keep one for each kind of layer."""
    if not isinstance(value, Mapping):
        return set()
    own = {float(value["rope_theta"])} if isinstance(value.get("rope_theta"), int | float) else set()
    return own.union(*(_thetas(inner) for inner in value.values()))


# ---------------------------------------------------------------- weights

_Tensors = dict[str, tuple[tuple[int, ...], Block]]


def _file_tensors(folder: Path | None, files: ExitStack) -> _Tensors:
    """The tensors of a folder's safetensors files; empty where there is none."""
    from safetensors import safe_open

    tensors: _Tensors = {}
    for path in _weight_files(folder) if folder else ():
        file = files.enter_context(safe_open(path, framework="pt"))
        for name in file.keys():  # noqa: SIM118 (not a mapping)
            piece = file.get_slice(name)
            shape = tuple(piece.get_shape())
            tensors[name] = shape, piece.__getitem__ if shape else partial(_whole, file, name)
    return tensors


def _whole(file: Any, name: str, place: tuple[slice, ...]) -> Tensor:
    """A number without a dimension, which cannot be sliced."""
    tensor: Tensor = file.get_tensor(name)
    return tensor


def _weight_files(folder: Path) -> list[Path]:
    """Those that transformers reads: the single file, then those of the index, then whatever is there."""
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():  # an index beside it is what an earlier, larger file left behind
        return [single]
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return [folder / name for name in sorted(names)]
    return sorted(folder.glob("*.safetensors"))


def _module_tensors(module: PreTrainedModel) -> _Tensors:
    return {name: (tuple(tensor.shape), tensor.detach().__getitem__) for name, tensor in module.named_parameters()}


def _own_weights(tensors: _Tensors, module: PreTrainedModel) -> _Tensors:
    """Each weight once, by a name that every layout gives it: without the base model's prefix, ties and buffers."""
    prefix = f"{module.base_model_prefix}."
    buffers = {name.removeprefix(prefix) for name, _ in module.named_buffers()}
    tied = {name.removeprefix(prefix) for name in _tied(module)}
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return {
        name: tensor
        for name, tensor in named.items()
        if name not in buffers and name not in tied and not _is_old_buffer(name, tensor[0])
    }


def _is_old_buffer(name: str, shape: tuple[int, ...]) -> bool:
    """Rotary frequencies and causal masks, which older files hold beside the weights."""
    return name.endswith((".inv_freq", ".masked_bias")) or (name.endswith(".bias") and len(shape) == 4)


def _tied(module: PreTrainedModel) -> set[str]:
    """Parameters that are another one under a second name: some files hold them, some do not."""
    every = dict(module.named_parameters(remove_duplicate=False))
    return every.keys() - dict(module.named_parameters()).keys()


def _places(shape: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Blocks spread evenly from the first to the last element of every dimension."""
    for i in range(BLOCKS):
        *outer, width = shape or (1,)
        leading = [slice(at, at + 1) for size in outer for at in [i * (size - 1) // (BLOCKS - 1)]]
        start = i * max(0, width - BLOCK_WIDTH) // (BLOCKS - 1)
        yield (*leading, slice(start, start + BLOCK_WIDTH)) if shape else ()


def _canonical_bytes(block: Tensor) -> bytes:
    """The numbers rounded to bfloat16, whatever dtype they are saved in; packed integers as they are."""
    import torch

    if block.is_floating_point() and block.element_size() > 1:
        block = block.to(torch.bfloat16).view(torch.int16)
    else:
        block = block.contiguous().view(torch.uint8)
    return block.cpu().contiguous().numpy().tobytes()


# ---------------------------------------------------------------- the identity of earlier stores

_SAMPLE_BYTES, _SAMPLES_PER_FILE = 4096, 16
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json")


def former_identity_of(source: str, module: PreTrainedModel) -> str:
    """The identity that stores used before it followed weights: a hash of files as they lie on disk.

    It recognises adapters of those stores as long as no file of the model has changed since; the ledger then learns
    the identity of today.
    """
    folder = _snapshot_folder(source)
    digest = hashlib.sha256(module.config.to_json_string(use_diff=True).encode() if folder is None else b"")
    if folder is not None:
        for name in ("config.json", *_TOKENIZER_FILES):
            if (folder / name).is_file():
                digest.update(name.encode() + (folder / name).read_bytes())
        for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
            digest.update(path.name.encode())
            for block in _file_blocks(path):
                digest.update(block)
    return digest.hexdigest()


def _file_blocks(path: Path) -> list[bytes]:
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
