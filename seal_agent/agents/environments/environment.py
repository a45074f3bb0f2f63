"""The environment protocol: tasks, tools, steps, and a success that is judged by the environment's state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done in an environment."""

    id: str  # unique within the environment
    goal: str  # what is to be done, in words
    grade: int  # difficulty, 1 the easiest
    family: str = ""  # tasks of a family differ in their values only


@dataclass(frozen=True, slots=True)
class Action:
    """A call of one of the environment's tools."""

    name: str  # of a tool
    arguments: Mapping[str, str]  # by parameter


@dataclass(frozen=True, slots=True)
class Observation:
    """What the agent is shown after a step."""

    text: str  # what the agent sees
    done: bool = False  # no further step is taken
    refused: bool = False  # the action was impossible and changed nothing
    calls: Sequence[Mapping[str, Any]] = ()
    """The tools as they can be called now, narrowed to what the text shows; () where the environment does not tell.

    An agent that explores keeps to them. One whose success is measured does not, as nothing tells a deployed one.
    """


class Environment(Protocol):
    """One task at a time: `reset` begins it, `step` acts, `success` judges the state as it is now."""

    name: str
    max_steps: int

    @property
    def tasks(self) -> Sequence[Task]:
        """All tasks, in a fixed order."""
        ...

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The actions, as OpenAI function schemas."""
        ...

    def reset(self, task: Task, seed: int = 0) -> Observation:
        """Begin a task. The same task and seed give the same start."""
        ...

    def step(self, action: Action) -> Observation:
        """Act. An impossible action is told in the text and called `refused`, never raised."""
        ...

    def success(self) -> bool:
        """Whether the task is done, judged by the environment's state. It counts once an observation says `done`."""
        ...

    def screenshot(self) -> bytes | None:
        """A PNG, where there is something to see."""
        ...

    def close(self) -> None:
        """Free what the environment holds, such as a browser."""
        ...


def is_cheap(environment: Environment) -> bool:
    """Whether an environment costs next to nothing, to open and to replay: it then has a true attribute `cheap`."""
    return bool(getattr(environment, "cheap", False))
