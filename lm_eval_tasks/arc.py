"""Shared by the ARC tasks: documents, the prompt, and scoring of attempts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from seal_agent.arc.data import load_split, task_from_json, task_to_json
from seal_agent.arc.grids import STYLES, Grid, cell_accuracy
from seal_agent.arc.text import parse_attempts, prompt_of
from seal_agent.config import ArcConfig
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.tasks import ARC, DOMAIN_FIELD, UNANSWERED


def dataset_of(
    split: str, limit_contexts: int | None = None, style: str = ArcConfig().style, **_: object
) -> dict[str, Dataset]:
    """One document per test input, as lm-eval's split "test".

    lm-eval passes all model arguments and metadata by name, so unknown ones are ignored.

    Args:
        split: which ARC tasks; see `seal_agent.arc.data.load_split`.
        limit_contexts: only the first so many ARC tasks; None: all.
        style: how grids are written in the prompt.

    Raises InputError for an unknown style.
    """
    if style not in STYLES:
        raise InputError(f"there is no grid style {style!r}; use {' or '.join(STYLES)}")
    rows = [
        {
            DOMAIN_FIELD: ARC,
            "task_id": task.id,
            "task": task_to_json(task),
            "test": test_index,
            "style": style,
            "output": json.dumps(example.output.rows),
        }
        for task in load_split(split)[:limit_contexts]
        for test_index, example in enumerate(task.test)
    ]
    return {"test": Dataset.from_list(rows)}


def prompt(doc: Mapping[str, Any]) -> str:
    """The examples and the test input, for models other than `seal`."""
    task = task_from_json(doc["task_id"], doc["task"])
    return prompt_of(task.train, task.test[doc["test"]].input, doc["style"])


def target(doc: Mapping[str, Any]) -> str:
    """The expected output as JSON, for lm-eval's sample log."""
    return str(doc["output"])


def judge(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """The metrics of one test input.

    exact_match is 1 if one of the attempts equals the output; cell_acc is the best attempt's share of correct cells.
    An unanswered document counts only in `unanswered`.
    """
    (answer,) = results
    if answer.startswith(UNANSWERED):
        return {"unanswered": 1.0}
    gold = Grid.of(json.loads(doc["output"]))
    attempts = parse_attempts(answer, doc["style"], ArcConfig().attempts)
    cell_acc = max((cell_accuracy(grid, gold) for grid in attempts), default=0.0)
    return {"exact_match": float(gold in attempts), "cell_acc": cell_acc, "unanswered": 0.0}
