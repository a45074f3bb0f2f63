"""Environments by name, their descriptions, and their shortcuts."""

from __future__ import annotations

import pytest

from seal_agent.agents.environments.apps.environment import AppsEnvironment
from seal_agent.agents.environments.environment import Action, Environment
from seal_agent.agents.environments.miniwob.environment import MiniWobEnvironment
from seal_agent.agents.environments.registry import describe, environment_named
from seal_agent.agents.environments.shortcuts import shortcut_of, takes_shortcut
from seal_agent.errors import InputError, MissingDependency

HERE = "seal_agent.agents.environments"


def test_both_environments_are_made_by_name() -> None:
    assert isinstance(environment_named("apps"), AppsEnvironment)
    try:
        assert isinstance(environment_named("miniwob"), MiniWobEnvironment)
    except MissingDependency as err:
        pytest.skip(str(err))


def test_an_environment_of_ones_own_is_named_by_its_factory() -> None:
    made: Environment = environment_named(f"{HERE}.apps.environment:AppsEnvironment")
    assert made.name == "apps"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("app", "use one of apps, miniwob, or package.module:factory"),
        ("apps:", "use one of apps"),
        ("nowhere.at_all:make", "cannot be imported: No module named 'nowhere'"),
        (f"{HERE}.registry:missing", "cannot be imported"),
        (f"{HERE}.registry:ENVIRONMENTS", "something to call"),
    ],
)
def test_an_unknown_environment_is_refused_with_what_there_is(name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        environment_named(name)
    assert said in str(caught.value)


def test_a_description_has_the_tools_and_every_family_with_a_goal() -> None:
    apps = AppsEnvironment()
    lines = describe(apps).splitlines()
    assert lines[0] == f"apps: {len(apps.tasks)} tasks of at most 10 steps"
    assert lines[1].strip() == "tools: open(name), set(name, value), press(name), finish()"
    families = {task.family for task in apps.tasks}
    assert len(lines) == 2 + len(families)
    assert all(any(f" {family} " in line for line in lines) for family in families)
    assert "Turn on Bluetooth." in describe(apps)


def test_a_trajectory_that_takes_the_shortcut_is_told_from_one_that_does_not() -> None:
    apps = AppsEnvironment()
    task = next(task for task in apps.tasks if task.family == "ticket-reply")
    solution = apps.spec(task).solution
    assert shortcut_of(apps, task) == Action("press", {"name": "Mark as done"})
    assert not takes_shortcut(apps, task, solution)
    assert takes_shortcut(apps, task, [*solution[:2], Action("press", {"name": " mark as Done "})])
    plain = next(task for task in apps.tasks if apps.shortcut(task) is None)
    assert not takes_shortcut(apps, plain, [Action("press", {"name": "Mark as done"})])
