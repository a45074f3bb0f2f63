"""The documents of seal_novel, seal_novel_de and seal_novel_es."""

from __future__ import annotations

from typing import Any

from datasets import Dataset

from lm_eval_tasks.knowledge import documents
from seal_agent.data.bundled import novel


def dataset(**arguments: Any) -> dict[str, Dataset]:
    """The bundled passages of invented facts. lm-eval passes all model arguments and metadata by name."""
    return documents(novel(), **arguments)


def dataset_de(**arguments: Any) -> dict[str, Dataset]:
    """The same in German."""
    return documents(novel("de"), **arguments)


def dataset_es(**arguments: Any) -> dict[str, Dataset]:
    """The same in Spanish."""
    return documents(novel("es"), **arguments)
