"""Conventions shared by our lm-eval tasks and our lm-eval model. Imports neither lm-eval nor torch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from seal_agent.errors import InputError
from seal_agent.evaluation import samples
from seal_agent.evaluation.verdicts import KeptVerdicts
from seal_agent.grading.grader import GradingItem, grade_all
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
_verdicts: list[Path] = []


def judge_with(engine: Engine) -> None:
    """Make a model under test the one that the grader "model" asks."""
    _engine[:] = [engine]
    grader_of.cache_clear()


@contextmanager
def verdicts_kept_in(path: Path) -> Iterator[None]:
    """Keep what a judge says in a SQLite file."""
    _verdicts[:] = [path]
    grader_of.cache_clear()
    try:
        yield
    finally:
        _verdicts.clear()
        grader_of.cache_clear()


@cache
def grader_of(choice: str) -> Grader:
    """The grader that a document's `GRADER_FIELD` names; "" is the default. A slow one keeps its verdicts.

    Raises InputError.
    """
    from seal_agent.grading.graders import make_grader

    if not choice:
        return make_grader()
    engine = _engine[0] if _engine else None
    file = _verdicts[0] if _verdicts else None
    return KeptVerdicts(make_grader(**json.loads(choice), engine=engine, cache=file))


def grade_ahead(choice: str, items: Sequence[GradingItem]) -> None:
    """Have a slow grader grade answers together, which lm-eval asks about one at a time; see `grader_of`."""
    if choice:
        grade_all(grader_of(choice), [item for item in items if not item[2].startswith(UNANSWERED)])


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
