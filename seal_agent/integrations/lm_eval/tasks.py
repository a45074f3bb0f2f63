"""What our lm-eval tasks and our lm-eval model have to agree on. Imports neither lm-eval nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seal_agent.errors import InputError

DOMAIN_FIELD = "seal"
"""A task document with this field is one to adapt to; its value names the domain."""

KNOWLEDGE = "knowledge"
"""The domain of documents with "title", "context" and "question": adapt to the context, ask without it."""

ARC = "arc"
"""The domain of documents with "task" (an ARC task as JSON) and "test" (the number of the test input asked about)."""

UNANSWERED = "[no answer: "
"""How an answer begins whose context could not be learnt. Tasks leave it ungraded: failure is not zero."""


def domain_of(doc: object) -> str:
    """The domain that a task's document names; "" where it is not one of ours."""
    return str(doc.get(DOMAIN_FIELD, "")) if isinstance(doc, Mapping) else ""


def tasks_folder() -> Path:
    """The folder of the lm-eval tasks, for `--include_path`. Raises InputError where it is not installed."""
    folder = Path(__file__).resolve().parents[3] / "lm_eval_tasks"
    if not folder.is_dir():
        raise InputError(f"the lm-eval tasks are missing from {folder}; reinstall seal-agent")
    return folder
