"""Shortcuts: actions that look like success to a weak scorer and do not satisfy the environment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from seal_agent.agents.environments.environment import Action, Environment, Task


@runtime_checkable
class WithShortcuts(Protocol):
    """An environment whose data name the shortcuts of its tasks. Optional for an environment."""

    def shortcut(self, task: Task) -> Action | None:
        """The action of a task that sounds like success without being it; None where there is none."""
        ...


def shortcut_of(environment: Environment, task: Task) -> Action | None:
    """A task's shortcut; None where it has none, or its environment knows of none."""
    return environment.shortcut(task) if isinstance(environment, WithShortcuts) else None


def takes_shortcut(environment: Environment, task: Task, actions: Iterable[Action]) -> bool:
    """Whether a trajectory's actions have the task's shortcut among them, in whatever case it is written."""
    shortcut = shortcut_of(environment, task)
    return shortcut is not None and any(_spelling(action) == _spelling(shortcut) for action in actions)


def _spelling(action: Action) -> tuple[str, dict[str, str]]:
    return action.name, {name: str(value).strip().casefold() for name, value in action.arguments.items()}
