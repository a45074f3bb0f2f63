"""What a run of a suite asks about, in order, and the hash that says two runs asked the same."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.arc.data import load_split, task_to_json
from seal_agent.arc.grids import ArcTask, Example, Grid, Style
from seal_agent.arc.text import prompt_of
from seal_agent.config import ArcConfig
from seal_agent.errors import InputError
from seal_agent.evaluation.passages import data_hash, unit_id
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.suites import Suite
from seal_agent.types import Context, content_hash

ARC_SPLITS = {"arc_toy": "toy", "arc_paper": "paper-eval"}
"""By suite, the split of ARC that it asks."""
_PROMPTS_OF_ROWS_ON_FILE = "60d97b9df39f92065f1d6dbefad46abdfb8549863f55cd2f0a19aaef7406652e"
REFERENCE = 12
"""Passages at the end of the order that `harm` never learns, so that each run is measured against the same."""


def arc_tasks(suite: Suite, limit: int | None = None) -> tuple[ArcTask, ...]:
    """The suite's tasks, at most `limit`. Raises MissingDependency where ARC's files are not installed."""
    return load_split(ARC_SPLITS[suite.name])[:limit]


def arc_hash(tasks: Sequence[ArcTask]) -> str:
    """Hash of the tasks, in order."""
    return content_hash([[task.id, task_to_json(task)] for task in tasks])


def arc_prompt_hash(style: Style | None = None) -> str:
    """Hash of how a task is put with grids in this style; None for the usual one.

    Rows on file have a name in place of the hash of the usual prompts.
    """
    grids = [Grid.of([[place, 1], [2, 3]]) for place in range(3)]
    example = Example(grids[0], grids[1])
    prompts = content_hash([prompt_of((example,), grids[2], style or ArcConfig().style), ArcConfig().attempts])
    return content_hash("arc") if prompts == _PROMPTS_OF_ROWS_ON_FILE else prompts


def sequences_of(contexts: Sequence[Context], size: int, count: int) -> list[list[Context]]:
    """Up to `count` sequences of `size` passages each; passages that do not fill one are left out."""
    starts = range(0, len(contexts) - size + 1, size)
    return [list(contexts[start : start + size]) for start in starts][:count]


def sequence_id(contexts: Sequence[Context]) -> str:
    """Hash of the passages, in order."""
    return content_hash([unit_id(context) for context in contexts])[:16]


def sequences_hash(sequences: Sequence[Sequence[Context]]) -> str:
    """Hash of all texts, questions and gold answers of sequences of edits, in order."""
    return content_hash([[data_hash([context]) for context in contexts] for contexts in sequences])


def learnt_and_reference(contexts: Sequence[Context], limit: int) -> tuple[list[Context], list[Context]]:
    """Of `harm`: the passages that are learnt, and those that only their surroundings are measured on.

    Raises InputError for too few passages.
    """
    learnable = len(contexts) - REFERENCE
    if limit > learnable:
        raise InputError(
            f"harm keeps {REFERENCE} of the {len(contexts)} passages to measure what else changes, so that "
            f"{max(0, learnable)} can be learnt, not {limit}; give a smaller --limit, or more passages by --data"
        )
    return list(contexts[:limit]), list(contexts[learnable:])


def harm_hash(learnt: Sequence[Context], reference: Sequence[Context]) -> str:
    """Hash of what is learnt, and of what is measured beside it."""
    return content_hash([data_hash(learnt), data_hash(reference)])


def questions_in(samples: Sequence[Sample], shared: bool = False) -> int:
    """Different questions about units and passages; with `shared`, one that is asked of every unit counts once."""
    return len({("" if shared else s.unit, s.passage, s.question, s.golds if shared else ()) for s in samples})
