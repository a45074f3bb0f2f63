"""What the tasks of ARC share: documents, the prompt, and how attempts are judged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import Dataset

from seal_agent.arc.data import load_split, task_from_json, task_to_json
from seal_agent.arc.grids import STYLES, Grid, cell_accuracy
from seal_agent.arc.text import attempts_in, prompt_of
from seal_agent.config import ArcConfig
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.tasks import ARC, DOMAIN_FIELD, UNANSWERED


def dataset_of(
    split: str, limit_contexts: int | None = None, style: str = ArcConfig().style, **_: object
) -> dict[str, Dataset]:
    """One document for each test input of the first `limit_contexts` tasks of a split (None: all), as "test".

    lm-eval passes all model arguments and metadata by name; `style` is among them.
    """
    if style not in STYLES:
        raise InputError(f"there is no grid style {style!r}; use {' or '.join(STYLES)}")
    rows = [
        {
            DOMAIN_FIELD: ARC,
            "task_id": task.id,
            "task": task_to_json(task),
            "test": number,
            "style": style,
            "output": json.dumps(example.output.rows),
        }
        for task in load_split(split)[:limit_contexts]
        for number, example in enumerate(task.test)
    ]
    return {"test": Dataset.from_list(rows)}


def prompt(doc: Mapping[str, Any]) -> str:
    """The examples and the test input: what a model other than `seal` goes on from."""
    task = task_from_json(doc["task_id"], doc["task"])
    return prompt_of(task.train, task.test[doc["test"]].input, doc["style"])


def target(doc: Mapping[str, Any]) -> str:
    """The output, for the log of samples."""
    return str(doc["output"])


def judge(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Whether one of two attempts is the output, the share of cells of the better one, and 1 for what failed.

    What could not be answered at all enters no mean.
    """
    (said,) = results
    if said.startswith(UNANSWERED):
        return {"unanswered": 1.0}
    gold = Grid.of(json.loads(doc["output"]))
    attempts = attempts_in(said, doc["style"], ArcConfig().attempts)
    cells = max((cell_accuracy(grid, gold) for grid in attempts), default=0.0)
    return {"exact_match": float(gold in attempts), "cell_acc": cells, "unanswered": 0.0}
