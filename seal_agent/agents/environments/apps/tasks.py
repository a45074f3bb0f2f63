"""The tasks of the apps: families in data files, each a goal, a start, a target and a solution for several values."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

from seal_agent.agents.environments.environment import Action, Task

APPS = ("settings", "forms", "shop", "tickets")


@dataclass(frozen=True, slots=True)
class AppTask:
    """A task with what its environment knows of it."""

    task: Task
    app: str
    world: Mapping[str, Any]  # what the app always has
    start: Mapping[str, Any]  # what the task asks of the first state
    target: Mapping[str, str]  # what must differ from the first state at the end; all else must not
    solution: tuple[Action, ...]  # solves the task from every start
    shortcut: Action | None  # ends the task and sounds like success without being it


@functools.cache
def app_tasks() -> tuple[AppTask, ...]:
    """All tasks, app by app, as the data files have them."""
    return tuple(task for app in APPS for task in _read(app))


def _read(app: str) -> Iterator[AppTask]:
    text = (resources.files("seal_agent") / "agents/environments/apps/data" / f"{app}.json").read_text("utf-8")
    data = json.loads(text)
    for family in data["families"]:
        for number, values in enumerate(family["values"], 1):
            yield _task(app, data["world"], family, number, values)


def _task(
    app: str, world: Mapping[str, Any], family: Mapping[str, Any], number: int, values: dict[str, str]
) -> AppTask:
    row = _filled(family, values)
    name, shortcut = row["family"], row.get("shortcut")
    return AppTask(
        Task(f"{name}-{number}", row["goal"], row["grade"], name),
        app,
        world,
        row["start"],
        row["target"],
        tuple(_action(step) for step in row["solution"]),
        None if shortcut is None else _action(shortcut),
    )


def _filled(row: Any, values: Mapping[str, str]) -> Any:
    """The row with every {name} in its texts, and in the names of its values, replaced by the value of that name."""
    if isinstance(row, str):
        for name, value in values.items():
            row = row.replace("{" + name + "}", value)
        return row
    if isinstance(row, list):
        return [_filled(item, values) for item in row]
    if isinstance(row, dict):
        return {_filled(key, values): _filled(item, values) for key, item in row.items()}
    return row


def _action(step: list[str]) -> Action:
    """A step of a data file: ["open", NAME], ["set", NAME, VALUE], ["press", NAME] or ["finish"]."""
    return Action(step[0], dict(zip(("name", "value"), step[1:], strict=False)))
