"""The documents of seal_squad."""

from __future__ import annotations

from typing import Any

from datasets import Dataset, load_dataset

from lm_eval_tasks.knowledge import documents
from seal_agent.data.contexts import from_squad_rows, read_contexts
from seal_agent.errors import InputError
from seal_agent.types import Context

HUB_ID = "rajpurkar/squad"


def dataset(squad_file: str | None = None, **arguments: Any) -> dict[str, Dataset]:
    """The passages of SQuAD's validation split, or of a local file.

    lm-eval passes all model arguments and metadata by name.
    """
    return documents(read_contexts(squad_file) if squad_file else _from_hub(), **arguments)


def _from_hub() -> list[Context]:
    try:
        rows = load_dataset(HUB_ID, split="validation")
    except Exception as err:  # datasets does not wrap the errors of its dependencies
        raise InputError(
            f"{HUB_ID} could not be loaded from the hub ({type(err).__name__}); "
            """give a local copy by --metadata '{"squad_file": "dev-v1.1.json"}'"""
        ) from err
    return from_squad_rows(rows)
