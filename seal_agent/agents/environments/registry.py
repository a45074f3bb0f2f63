"""Environments by name, and what each has to offer. Cheap to import: an environment's file is imported when made."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

from seal_agent.agents.environments.environment import Environment
from seal_agent.errors import InputError, first_line

_EXAMPLE = 72  # characters of a goal in a description


def environment_named(name: str) -> Environment:
    """A new environment.

    Args:
        name: One of ENVIRONMENTS, or "package.module:factory" for an environment of your own: what is called without
            arguments and returns one.

    Raises InputError for an unknown name, and MissingDependency where an environment's packages are missing.
    """
    if name in ENVIRONMENTS:
        return ENVIRONMENTS[name]()
    module, _, factory = name.partition(":")
    if not module or not factory:
        raise InputError(
            f"there is no environment {name!r}; use one of {', '.join(ENVIRONMENTS)}, or package.module:factory"
        )
    return _own(name, module, factory)


def describe(environment: Environment) -> str:
    """An environment in a few lines: its tools, and its families with a goal of each."""
    families = Counter((task.grade, task.family) for task in environment.tasks)
    goals = {(task.grade, task.family): task.goal for task in reversed(environment.tasks)}
    width = max((len(family) for _, family in families), default=0)
    lines = [
        f"  grade {grade}  {family:{width}}  {count:3} tasks, such as: {_short(goals[grade, family])}"
        for (grade, family), count in sorted(families.items())
    ]
    head = f"{environment.name}: {len(environment.tasks)} tasks of at most {environment.max_steps} steps"
    return "\n".join([head, f"  tools: {', '.join(map(_signature, environment.tools))}", *lines])


def _signature(tool: Mapping[str, Any]) -> str:
    function = tool["function"]
    return f"{function['name']}({', '.join(function['parameters']['properties'])})"


def _short(goal: str) -> str:
    return goal if len(goal) <= _EXAMPLE else goal[:_EXAMPLE].rstrip() + "…"


def _own(name: str, module: str, factory: str) -> Environment:
    try:
        make = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError, ValueError) as err:
        raise InputError(f"the environment {name!r} cannot be imported: {first_line(err)}") from err
    if not callable(make):
        raise InputError(f"the environment {name!r} must be something to call that returns an environment")
    return cast(Environment, make())


# ---------------------------------------------------------------- the registry


def _apps() -> Environment:
    from seal_agent.agents.environments.apps.environment import AppsEnvironment

    return AppsEnvironment()


def _miniwob() -> Environment:
    from seal_agent.agents.environments.miniwob.environment import MiniWobEnvironment

    return MiniWobEnvironment()


ENVIRONMENTS: Mapping[str, Callable[[], Environment]] = {"apps": _apps, "miniwob": _miniwob}
