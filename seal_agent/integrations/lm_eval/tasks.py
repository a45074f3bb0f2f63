"""Conventions shared by our lm-eval tasks and our lm-eval model. Imports neither lm-eval nor torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.errors import InputError
from seal_agent.evaluation import samples
from seal_agent.types import Context

if TYPE_CHECKING:
    from seal_agent.generation.engine import Engine
    from seal_agent.grading.grader import Grader

DOMAIN_FIELD = "seal"
"""The field that marks a task document as one to adapt to; its value names the domain."""

KNOWLEDGE = "knowledge"
"""Documents with "title", "context" and "question": adapt to the context, then ask without it."""

ARC = "arc"
"""Documents with "task" (an ARC task as JSON) and "test" (the index of the test input to answer)."""

UNANSWERED = samples.UNANSWERED
"""Prefix of an answer whose context could not be learnt. Tasks leave it ungraded: a failure is not a zero."""


GRADER_FIELD = "grader"
"""The field of a knowledge document that names its grader, as JSON; documents without it are graded lexically."""

_engine: list[Engine] = []


def judge_with(engine: Engine) -> None:
    """Make a model under test the one that the grader "model" asks."""
    _engine[:] = [engine]
    grader_of.cache_clear()


@cache
def grader_of(choice: str) -> Grader:
    """The grader that a document's `GRADER_FIELD` names; "" is the default. Raises InputError."""
    from seal_agent.grading.graders import make_grader

    settings = json.loads(choice) if choice else {}
    return make_grader(**settings, engine=_engine[0] if _engine else None)


_passages: dict[tuple[str, str], tuple[Context, ...]] = {}


def keep_passages(contexts: Sequence[Context]) -> None:
    """Keep all passages of a task, however few of them it asks about; a later task has its passages to itself."""
    together = tuple(contexts)
    _passages.update({(context.title, context.text): together for context in together})


def passages_beside(context: Context) -> tuple[Context, ...]:
    """All passages of the task that has this one; () where none of our tasks has it."""
    return _passages.get((context.title, context.text), ())


def domain_of(doc: object) -> str:
    """The document's domain; "" if the document is not from one of our tasks."""
    return str(doc.get(DOMAIN_FIELD, "")) if isinstance(doc, Mapping) else ""


def tasks_folder() -> Path:
    """The folder of our lm-eval tasks, for `--include_path`. Raises InputError if it is not installed."""
    folder = Path(__file__).resolve().parents[3] / "lm_eval_tasks"
    if not folder.is_dir():
        raise InputError(f"the lm-eval tasks are missing from {folder}; reinstall seal-agent")
    return folder
