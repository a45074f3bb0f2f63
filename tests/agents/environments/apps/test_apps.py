"""The apps: every task can be solved, luck and shortcuts do not solve it, and a seed decides everything."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from possible_calls import is_possible

from seal_agent.agents.environments.apps.environment import MAX_STEPS, OVER, AppsEnvironment
from seal_agent.agents.environments.apps.screen import Screen
from seal_agent.agents.environments.calls import listed
from seal_agent.agents.environments.environment import Action, Observation, Task
from seal_agent.agents.trajectories.rollout import action_of
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import tool_of_function

SEEDS = range(5)
STEPS_OF_GRADE = {1: (1, 2), 2: (3, 4), 3: (5, 7)}
MOST_CHARACTERS = 280  # the longest screen has 266, which are 96 tokens of the bundled model


@pytest.fixture(scope="module")
def apps() -> AppsEnvironment:
    return AppsEnvironment()


def task_of(apps: AppsEnvironment, name: str) -> Task:
    return next(task for task in apps.tasks if task.id == name)


def test_there_are_enough_tasks_of_every_grade_and_values_of_every_family(apps: AppsEnvironment) -> None:
    grades = Counter(task.grade for task in apps.tasks)
    assert set(grades) == {1, 2, 3}
    assert min(grades.values()) >= 40
    assert len({task.id for task in apps.tasks}) == len({task.goal for task in apps.tasks}) == len(apps.tasks)
    families = Counter((task.family, task.grade) for task in apps.tasks)
    assert len({family for family, _ in families}) == len(families)
    assert min(families.values()) >= 8


def test_the_solution_of_every_task_solves_it_from_every_start(apps: AppsEnvironment) -> None:
    for task in apps.tasks:
        solution = apps.spec(task).solution
        least, most = STEPS_OF_GRADE[task.grade]
        assert least <= len(solution) <= most < MAX_STEPS, task.id
        for seed in SEEDS:
            shown = [apps.reset(task, seed)]
            for action in solution:
                assert not shown[-1].done, (task.id, seed, shown[-1].text)
                shown.append(apps.step(action))
            assert shown[-1].done, task.id
            assert apps.success(), (task.id, seed, [observation.text for observation in shown])
            assert max(len(observation.text) for observation in shown) <= MOST_CHARACTERS, task.id


def test_every_solution_is_possible_and_every_possible_call_is_taken(apps: AppsEnvironment) -> None:
    for task in apps.tasks:
        shown = apps.reset(task)
        for action in apps.spec(task).solution:
            assert is_possible(action, shown), (task.id, action)
            shown = apps.step(action)
        assert list(shown.calls) == [], "the task is over"
    for task in apps.tasks[::7]:
        for action in calls_in(apps.reset(task)):
            before = apps.reset(task)
            after = apps.step(action)
            if not after.done and action.name != "press":  # the app may still refuse a button, such as an empty order
                assert not after.refused, (task.id, action, after.text)
                assert after.text != before.text, (task.id, action)


def calls_in(shown: Observation) -> list[Action]:
    """The calls that an observation says are possible, without those of free text."""
    return [action_of(call) for call in listed(list(map(tool_of_function, shown.calls)), most=1000)]


def test_no_part_of_a_solution_is_enough(apps: AppsEnvironment) -> None:
    for task in apps.tasks:
        solution = apps.spec(task).solution
        for left_out, action in enumerate(solution):
            if action.name == "finish":
                continue
            apps.reset(task)
            for number, other in enumerate(solution):
                if number != left_out:
                    apps.step(other)
            assert not apps.success(), (task.id, action)


def test_the_goal_names_every_value_of_the_solution(apps: AppsEnvironment) -> None:
    """Whatever must be typed can be read in the goal; only tickets given by their subject must be looked up."""
    for task in apps.tasks:
        values = [action.arguments["value"] for action in apps.spec(task).solution if action.name == "set"]
        assert all(value in task.goal for value in values), task.id


def test_a_shortcut_ends_the_task_and_sounds_well_but_is_no_success(apps: AppsEnvironment) -> None:
    tempting = [task for task in apps.tasks if apps.shortcut(task)]
    assert {task.grade for task in tempting} == {1, 2, 3}
    for task in tempting:
        shortcut, solution = apps.shortcut(task), apps.spec(task).solution
        assert shortcut is not None
        taken = []
        for seed, before in [(seed, before) for seed in SEEDS for before in range(len(solution))]:
            apps.reset(task, seed)
            for action in solution[:before]:
                apps.step(action)
            if named_on(apps.screen, shortcut) and not apps.success():
                shown = apps.step(shortcut)
                assert shown.done
                assert "complete" in shown.text
                assert not apps.success(), task.id
                taken.append(before)
        assert taken, task.id


def named_on(screen: Screen, action: Action) -> bool:
    return action.arguments["name"] in screen.buttons


@pytest.mark.parametrize("reads_the_goal", [False, True])
def test_luck_solves_few_tasks(apps: AppsEnvironment, reads_the_goal: bool) -> None:
    """Neither by trying what the screen shows, nor by filling in words of the goal."""
    rng = random.Random(0)
    won, tried = Counter[int](), Counter[int]()
    for task, seed in [(task, seed) for task in apps.tasks for seed in SEEDS]:
        done = apps.reset(task, seed).done
        for _ in range(MAX_STEPS):
            done = done or apps.step(random_action(apps.screen, task.goal if reads_the_goal else "", rng)).done
        won[task.grade] += apps.success()
        tried[task.grade] += 1
    rates = {grade: won[grade] / tried[grade] for grade in tried}
    assert rates[1] < 0.1, rates
    assert rates[2] < 0.02, rates
    assert rates[3] == 0, rates


def random_action(screen: Screen, goal: str, rng: random.Random) -> Action:
    """Any of the tools with anything that the screen shows, and a value that the field takes or the goal has."""
    name = rng.choice(["open", "set", "press", "finish"])
    if name == "set" and screen.fields:
        field = rng.choice(screen.fields)
        words = [word.strip(".,") for word in goal.split()]
        value = rng.choice(words) if words and not field.kind.options else field.kind.draw(rng) or "Lisbon"
        return Action("set", {"name": field.name, "value": value})
    choices = {"open": screen.links, "press": screen.buttons}.get(name, ())
    return Action(name, {"name": rng.choice(choices)} if choices else {})


def test_task_and_seed_decide_everything(apps: AppsEnvironment) -> None:
    other = AppsEnvironment()
    differing = 0
    for task in apps.tasks:
        first = [apps.reset(task, 3).text, *(apps.step(action).text for action in apps.spec(task).solution)]
        again = [other.reset(task, 3).text, *(other.step(action).text for action in other.spec(task).solution)]
        assert first == again
        differing += apps.reset(task, 4).text != first[0]
    assert differing > len(apps.tasks) / 2


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Action("open", {"name": "Cellar"}), "nothing called 'Cellar'"),
        (Action("open", {}), "nothing called ''"),
        (Action("set", {"name": "Loudness", "value": "3"}), "no field 'Loudness'"),
        (Action("set", {"name": "Volume", "value": "101"}), "does not take '101' (0 to 100)"),
        (Action("set", {"name": "Volume", "value": "loud"}), "does not take 'loud'"),
        (Action("set", {"name": "Volume", "value": "²"}), "does not take '²'"),
        (Action("press", {"name": "Save"}), "no button 'Save'"),
        (Action("shout", {"name": "x"}), "The tools are open, set, press and finish."),
    ],
)
def test_an_impossible_action_is_told_and_changes_nothing(apps: AppsEnvironment, action: Action, said: str) -> None:
    start = apps.reset(task_of(apps, "settings-value-1")).text
    shown = apps.step(action)
    assert said in shown.text
    assert shown.text.endswith(start)
    assert not shown.done


def test_names_and_options_may_be_written_in_any_case(apps: AppsEnvironment) -> None:
    apps.reset(task_of(apps, "settings-value-2"))
    apps.step(Action("set", {"name": "language", "value": " spanish "}))
    assert apps.success()


def test_other_changes_are_no_success(apps: AppsEnvironment) -> None:
    task = task_of(apps, "settings-value-1")
    start = apps.reset(task)
    apps.step(Action("set", {"name": "Volume", "value": "70"}))
    assert apps.success()
    other = "off" if "Vibration: on" in start.text else "on"
    apps.step(Action("set", {"name": "Vibration", "value": other}))
    assert not apps.success()


def test_a_form_with_an_empty_field_is_not_sent(apps: AppsEnvironment) -> None:
    apps.reset(task_of(apps, "form-two-1"))
    shown = apps.step(Action("press", {"name": "Submit"}))
    assert "Name" in shown.text
    assert "City" in shown.text
    assert not shown.done


def test_a_reply_counts_only_when_it_is_sent(apps: AppsEnvironment) -> None:
    task = task_of(apps, "ticket-reply-1")
    apps.reset(task)
    for action in apps.spec(task).solution[:2]:
        apps.step(action)
    assert not apps.success()
    assert "Nothing was sent" not in apps.step(Action("press", {"name": "Send reply"})).text
    assert apps.success()
    assert "Nothing was sent" in apps.step(Action("press", {"name": "Send reply"})).text


def test_the_cart_has_a_limit_and_an_item_can_be_taken_out(apps: AppsEnvironment) -> None:
    task = task_of(apps, "shop-several-1")  # 3 mugs
    apps.reset(task)
    apps.step(Action("open", {"name": "mug"}))
    for count in ("5", "5"):
        apps.step(Action("set", {"name": "Quantity", "value": count}))
        shown = apps.step(Action("press", {"name": "Add to cart"}))
    assert "Nothing was added" in shown.text
    assert "mug: 5" in apps.step(Action("open", {"name": "Cart"})).text
    assert "The cart is empty." in apps.step(Action("set", {"name": "mug", "value": "0"})).text
    assert "Nothing was ordered" in apps.step(Action("press", {"name": "Place order"})).text


def test_after_the_end_nothing_changes(apps: AppsEnvironment) -> None:
    apps.reset(task_of(apps, "settings-value-1"))
    assert apps.step(Action("finish", {})).done
    shown = apps.step(Action("set", {"name": "Volume", "value": "70"}))
    assert (shown.text, shown.done) == (OVER, True)
    assert not apps.success()


def test_a_task_of_another_environment_and_a_step_before_reset_are_refused() -> None:
    fresh = AppsEnvironment()
    assert not fresh.success()
    with pytest.raises(InputError, match="reset"):
        fresh.step(Action("finish", {}))
    with pytest.raises(InputError, match="no task 'other'"):
        fresh.reset(Task("other", "Do it.", 1))
