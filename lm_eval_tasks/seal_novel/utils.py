"""The documents of seal_novel, seal_novel_de and seal_novel_es."""

from __future__ import annotations

from datasets import Dataset

from lm_eval_tasks.knowledge import documents
from seal_agent.data.bundled import novel


def dataset(limit_contexts: int | None = None, **_: object) -> dict[str, Dataset]:
    """The bundled passages of invented facts. lm-eval passes all model arguments and metadata by name."""
    return documents(novel(), limit_contexts)


def dataset_de(limit_contexts: int | None = None, **_: object) -> dict[str, Dataset]:
    """The same in German."""
    return documents(novel("de"), limit_contexts)


def dataset_es(limit_contexts: int | None = None, **_: object) -> dict[str, Dataset]:
    """The same in Spanish."""
    return documents(novel("es"), limit_contexts)
