"""The environment protocol: tasks, the tools to do them with, and whether one is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done in an environment."""

    id: str
    """Unique within the environment."""
    goal: str
    """What is to be done, in words."""
    grade: int
    """Difficulty, 1 the easiest."""
    family: str = ""
    """Tasks of a family differ in their values only."""


@dataclass(frozen=True, slots=True)
class Action:
    """A call of one of the environment's tools."""

    name: str
    arguments: Mapping[str, str]
    """By parameter."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the agent sees after an action."""

    text: str
    done: bool = False
    """No further step is taken."""


class Environment(Protocol):
    """A world with tasks. `reset` begins a task; the same seed and actions lead to the same state."""

    name: str
    max_steps: int
    """Actions that a task may take."""

    @property
    def tasks(self) -> Sequence[Task]:
        """All tasks, in a fixed order."""
        ...

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The tools as OpenAI function schemas."""
        ...

    def reset(self, task: Task, seed: int = 0) -> Observation:
        """Begin a task, in its first state."""
        ...

    def step(self, action: Action) -> Observation:
        """Do an action. An impossible one is told in the observation's text, never raised."""
        ...

    def success(self) -> bool:
        """Whether the task is done, judged by the environment's state."""
        ...

    def screenshot(self) -> bytes | None:
        """A PNG of the state; None where there is nothing to see."""
        ...

    def close(self) -> None:
        """Release what the environment holds."""
        ...
