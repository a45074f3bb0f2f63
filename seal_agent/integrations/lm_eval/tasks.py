"""Conventions shared by our lm-eval tasks and our lm-eval model. Imports neither lm-eval nor torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from seal_agent.errors import InputError

DOMAIN_FIELD = "seal"
"""The field that marks a task document as one to adapt to; its value names the domain."""

KNOWLEDGE = "knowledge"
"""Documents with "title", "context" and "question": adapt to the context, then ask without it."""

ARC = "arc"
"""Documents with "task" (an ARC task as JSON) and "test" (the index of the test input to answer)."""

UNANSWERED = "[no answer: "
"""Prefix of an answer whose context could not be learnt. Tasks leave it ungraded: a failure is not a zero."""


def domain_of(doc: object) -> str:
    """The document's domain; "" if the document is not from one of our tasks."""
    return str(doc.get(DOMAIN_FIELD, "")) if isinstance(doc, Mapping) else ""


def tasks_folder() -> Path:
    """The folder of our lm-eval tasks, for `--include_path`. Raises InputError if it is not installed."""
    folder = Path(__file__).resolve().parents[3] / "lm_eval_tasks"
    if not folder.is_dir():
        raise InputError(f"the lm-eval tasks are missing from {folder}; reinstall seal-agent")
    return folder
