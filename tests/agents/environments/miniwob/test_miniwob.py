"""MiniWoB++ in a real Chromium: seen as text, acted on by number, judged by its own reward, without a network."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from miniwob_solutions import SOLUTIONS, Hand

from seal_agent.agents.environments.environment import Action, Task
from seal_agent.agents.environments.miniwob import browser as browser_module
from seal_agent.agents.environments.miniwob.environment import OVER, MiniWobEnvironment
from seal_agent.agents.environments.miniwob.goals import read_goals
from seal_agent.agents.environments.miniwob.tasks import FAMILIES, PER_FAMILY, miniwob_tasks
from seal_agent.errors import InputError, MissingDependency, SealError

pytest.importorskip("playwright.sync_api")
PNG = b"\x89PNG\r\n"
SAMPLE = ("choose-list", "click-checkboxes", "login-user")  # together they use every tool
ALL = tuple(family for families in FAMILIES.values() for family in families)


@pytest.fixture(scope="module")
def miniwob() -> Iterator[MiniWobEnvironment]:
    try:
        environment = MiniWobEnvironment()
    except MissingDependency as err:
        pytest.skip(str(err))
    yield environment
    environment.close()


def task_of(name: str) -> Task:
    return next(task for task in miniwob_tasks() if task.id == name)


def test_there_are_families_of_every_grade_and_every_task_has_its_goal() -> None:
    tasks = miniwob_tasks()
    assert len(ALL) >= 12
    assert {task.grade for task in tasks} == {1, 2, 3}
    assert len({task.id for task in tasks}) == len(tasks) == PER_FAMILY * len(ALL)
    assert all(task.goal for task in tasks)


@pytest.mark.parametrize("family", SAMPLE)
def test_a_task_is_solved_by_what_its_text_says(miniwob: MiniWobEnvironment, family: str) -> None:
    hand = Hand(miniwob, task_of(f"{family}-1"))
    assert not hand.shown.done
    assert not miniwob.success()
    SOLUTIONS[family](hand)
    assert (hand.shown.text, hand.shown.done) == (OVER, True)
    assert miniwob.success()
    assert (miniwob.screenshot() or b"").startswith(PNG)


@pytest.mark.slow  # half a minute
@pytest.mark.parametrize("family", [family for family in ALL if family not in SAMPLE])
def test_every_family_can_be_solved_by_what_its_text_says(miniwob: MiniWobEnvironment, family: str) -> None:
    for number in (1, 2, 3):
        hand = Hand(miniwob, task_of(f"{family}-{number}"))
        SOLUTIONS[family](hand)
        assert miniwob.success(), (hand.goal, hand.shown.text)


@pytest.mark.slow  # a minute and a half
def test_the_goals_are_those_of_the_pages(miniwob: MiniWobEnvironment) -> None:
    assert read_goals(miniwob) == {task.id: task.goal for task in miniwob_tasks()}


def test_the_wrong_end_is_no_success(miniwob: MiniWobEnvironment) -> None:
    hand = Hand(miniwob, task_of("login-user-1"))
    hand.submit("Login")  # with both fields empty
    assert hand.shown.done
    assert not miniwob.success()
    assert miniwob.step(Action("click", {"ref": "1"})).text == OVER


def test_a_task_looks_the_same_each_time(miniwob: MiniWobEnvironment) -> None:
    first = miniwob.reset(task_of("click-checkboxes-2")).text
    other = miniwob.reset(task_of("click-checkboxes-3")).text
    assert miniwob.reset(task_of("click-checkboxes-2"), seed=1).text == first != other
    assert first.splitlines()[-1].endswith('button "Submit"')


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Action("click", {"ref": "99"}), "no element '99'"),
        (Action("click", {}), "no element ''"),
        (Action("type", {"ref": "2", "text": "x"}), "Element 2 does not take type"),
        (Action("select", {"ref": "1", "option": "x"}), "Element 1 does not take select"),
        (Action("shout", {}), "The tools are click, type, select."),
    ],
)
def test_an_impossible_action_is_told_and_changes_nothing(
    miniwob: MiniWobEnvironment, action: Action, said: str
) -> None:
    start = miniwob.reset(task_of("enter-text-1")).text
    shown = miniwob.step(action)
    assert said in shown.text.splitlines()[0]
    assert shown.text.endswith(start)
    assert not shown.done


def test_nothing_is_asked_of_a_network(miniwob: MiniWobEnvironment) -> None:
    miniwob.reset(task_of("enter-text-1"))
    running, asked = miniwob._running(), list[str]()
    running.run(lambda page: page.on("request", lambda request: asked.append(request.url)))
    miniwob.reset(task_of("search-engine-1"))
    assert asked
    assert all(address.startswith("file:") for address in asked)
    answer = "fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused')"
    assert running.run(lambda page: page.evaluate(answer)) == "refused"


def test_it_can_be_used_from_a_running_event_loop(miniwob: MiniWobEnvironment) -> None:
    async def first_line() -> str:
        return miniwob.reset(task_of("enter-text-1")).text.splitlines()[0]

    assert asyncio.run(first_line()) == '[1] textbox = ""'


def test_another_goal_than_the_recorded_one_and_unknown_tasks_are_refused(miniwob: MiniWobEnvironment) -> None:
    known = task_of("enter-text-1")
    with pytest.raises(SealError, match="pip install 'miniwob"):
        miniwob.reset(Task(known.id, "Enter something else.", known.grade, known.family))
    with pytest.raises(InputError, match="no task 'enter-text-99'"):
        miniwob.reset(Task("enter-text-99", "", 1, "enter-text"))


def test_a_step_before_reset_is_refused_and_there_is_nothing_to_see(miniwob: MiniWobEnvironment) -> None:
    fresh = MiniWobEnvironment()
    assert fresh.screenshot() is None
    assert not fresh.success()
    with pytest.raises(InputError, match="reset"):
        fresh.step(Action("click", {"ref": "1"}))
    fresh.close()


@pytest.mark.parametrize(("missing", "line"), [("miniwob", "seal-agent[agents]"), ("playwright", "seal-agent[agents]")])
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: str, line: str
) -> None:
    find = browser_module.importlib.util.find_spec
    monkeypatch.setattr(
        browser_module.importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    monkeypatch.setattr(browser_module.shutil, "which", lambda program: "/usr/bin/chromium")
    with pytest.raises(MissingDependency) as caught:
        MiniWobEnvironment()
    assert missing in str(caught.value)
    assert line in str(caught.value)


def test_a_missing_chromium_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingDependency, match="apt install chromium"):
        MiniWobEnvironment()


def test_the_tools_are_function_schemas(miniwob: MiniWobEnvironment) -> None:
    tools: list[dict[str, Any]] = json.loads(json.dumps(list(miniwob.tools)))
    assert [tool["function"]["name"] for tool in tools] == ["click", "type", "select"]
    for function in (tool["function"] for tool in tools):
        assert set(function["parameters"]["required"]) == set(function["parameters"]["properties"])
