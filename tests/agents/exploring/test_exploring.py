"""Exploring: constrained calls, one environment for many points, beams, and attempts that go on from given steps."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import reduce
from typing import ClassVar

import pytest
from doors import COLOURS, Doors, DoorsEngine, call
from fakes import ScriptedEngine

from seal_agent.agents.environments.apps.environment import AppsEnvironment
from seal_agent.agents.environments.calls import possible
from seal_agent.agents.environments.environment import Action, Observation, Task
from seal_agent.agents.exploring.actor import Actor, View
from seal_agent.agents.exploring.attempts import begin
from seal_agent.agents.exploring.beam import explore
from seal_agent.agents.exploring.endings import ended_in_time
from seal_agent.agents.exploring.roll_out import roll_out
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.scoring.scorer import Attempt
from seal_agent.agents.trajectories.rollout import Start
from seal_agent.agents.trajectories.trajectory import calls_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ExplorationConfig
from seal_agent.errors import TooLongError
from seal_agent.generation.answer_form.form import tool_of_function
from seal_agent.generation.hf import HFEngine
from seal_agent.types import Chat, ToolCall

TOOLS = tuple(map(tool_of_function, Doors().tools))
TASKS = {task.id: task for task in Doors().tasks}
EASY, LOCKED = Start(TASKS["open-red"]), Start(TASKS["unlock-red"])
OPEN, TAKE, WIN = (
    ToolCall(**row)
    for row in (
        {"name": "open", "arguments": '{"door": "red"}'},
        {"name": "take", "arguments": '{"key": "red"}'},
        {"name": "win", "arguments": "{}"},
    )
)
CONFIG = ExplorationConfig(context_tokens=1600)


def actor(base: BaseModel, engine: object, **changes: object) -> Actor:
    return Actor(base, engine, None, TOOLS, replace(CONFIG, **changes))


def saying(*calls: str) -> ScriptedEngine:
    left = list(calls)
    return ScriptedEngine(lambda prompt, adapter: left.pop(0) if len(left) > 1 else left[0])


def test_a_random_model_writes_nothing_but_calls_of_the_tools(tiny_base: BaseModel) -> None:
    """Even one that knows no JSON: decoding follows the tools' schemas."""
    views = [View("Open the red door.", (), "Six doors."), View("Open the blue door.", (), "Six doors.")]
    rows = actor(tiny_base, HFEngine(tiny_base), action_tokens=60).act(views, 1.0, seed=3, count=3)
    calls = [each for row in rows for each in row]
    assert calls
    for each in calls:
        arguments = json.loads(each.arguments)
        assert each.name in ("open", "take", "win")
        assert set(arguments.values()) <= set(COLOURS)


def test_an_agent_that_explores_draws_possible_calls_alone_and_every_tool(tiny_base: BaseModel) -> None:
    """Also where all its own calls would be of one tool."""
    narrow = tuple(map(tool_of_function, possible(Doors().tools, {"open": [{"door": ["red"]}], "win": [{}]})))
    view, engine = View("Open the red door.", (), "Six doors.", narrow), HFEngine(tiny_base)
    exploring = replace(actor(tiny_base, engine, action_tokens=60), explores=True)
    (calls,) = exploring.act([view], 1.0, seed=3, count=20)
    assert set(calls) == {OPEN, WIN}
    evenly = replace(exploring, config=replace(CONFIG, action_tokens=60, any_tool=1.0, possible_calls=False))
    (calls,) = evenly.act([view], 1.0, seed=3, count=20)
    assert {each.name for each in calls} == {"open", "take", "win"}
    free = actor(tiny_base, saying(call("take", key="red")))
    assert free.act([view], 0.0, seed=3) == [[TAKE]], "what is measured is not held to the screen"


def test_calls_that_were_made_after_the_same_sight_are_a_circle() -> None:
    wrong_key = ToolCall("take", '{"key": "blue"}')
    with Worlds(Doors, 1) as worlds:
        path = begin(worlds, LOCKED)
        for _ in range(2):
            path = path.taken(worlds, OPEN).taken(worlds, wrong_key)
        assert path.ended(99, 2)
        assert not path.ended(99, 3)
        assert not path.ended(99, 1), "1 ends nothing"


def test_an_attempt_that_was_one_call_from_success_is_also_ended_there() -> None:
    apps = AppsEnvironment()
    task = next(task for task in apps.tasks if task.id == "settings-value-1")  # Set Volume to 70.
    right, wrong = (ToolCall("set", json.dumps({"name": "Volume", "value": value})) for value in ("70", "71"))
    finish = ToolCall("finish", "{}")
    with Worlds(AppsEnvironment, 1) as worlds:
        went_on, never_there, done = (
            reduce(lambda path, call: path.taken(worlds, call), calls, begin(worlds, Start(task))).rollout()
            for calls in ([wrong, right, wrong, right, wrong, finish], [wrong, finish], [right, finish])
        )
        (ended,) = ended_in_time(worlds, [Start(task)], [went_on, went_on, never_there])
        assert ended.success
        assert [step.call for step in ended.steps] == [wrong, right, finish], "not by Restore defaults or the like"
        assert ended_in_time(worlds, [Start(task)], [done]) == []
        assert ended_in_time(worlds, [Start(task)], [went_on, ended]) == [], "known already"


def test_what_is_no_whole_call_is_left_out_and_calls_are_drawn_once(tiny_base: BaseModel) -> None:
    engine = saying('{"name": "op', call("win"), call("win"), '["open"]')
    assert actor(tiny_base, engine).act([View("Go.", (), "")], 1.0, 0, count=4) == [[WIN]]


def test_the_prompt_begins_the_call_and_is_cut_to_its_limit(tiny_base: BaseModel) -> None:
    engine = saying(call("win"))
    actor(tiny_base, engine, context_tokens=1400).act([View("Go.", (), "x" * 100)], 0.0, 0)
    (prompt,) = engine.calls[0].prompts
    assert isinstance(prompt, Chat)
    assert prompt.begun == "<tool_call>"
    assert prompt.turns[-1].content.startswith("Go.")


def test_an_observation_that_is_longer_than_the_window_is_cut(tiny_base: BaseModel) -> None:
    """With one tool or with several, since the beginning of the call needs room too."""
    for tools in (TOOLS, TOOLS[:1]):
        acting = Actor(tiny_base, HFEngine(tiny_base), None, tools, replace(CONFIG, action_tokens=40))
        (calls,) = acting.act([View("Go.", (), "x" * 5000)], 0.0, 0)
        assert len(calls) <= 1


def test_a_goal_that_leaves_no_room_to_act_is_named(tiny_base: BaseModel) -> None:
    with pytest.raises(TooLongError, match=r"the goal 'Go far.*window is 2048"):
        actor(tiny_base, saying(call("win"))).act([View("Go far" + "r" * 3000, (), "")], 0.0, 0)


def test_a_single_tool_is_called_by_its_arguments_alone(tiny_base: BaseModel) -> None:
    only = Actor(tiny_base, saying('{"door": "red"}'), None, TOOLS[:1], CONFIG)
    assert only.act([View("Go.", (), "")], 0.0, 0) == [[OPEN]]


def test_environments_are_led_again_only_where_none_stands_there() -> None:
    with Worlds(Doors, 1) as worlds:
        assert not worlds.look(LOCKED).success
        held = worlds.step(LOCKED, TAKE)
        assert "hold" in held.text
        assert worlds.step(replace(LOCKED, calls=(TAKE,)), OPEN).success
        assert worlds.any.resets == 1
        assert "locked" in worlds.step(LOCKED, OPEN).text
        assert worlds.any.resets == 2
        assert worlds.look(replace(LOCKED, calls=(TAKE, OPEN))).done
        assert worlds.step(LOCKED, WIN).shortcut
        assert worlds.screenshot(LOCKED)
    before = Doors.opened
    with Worlds(Doors, 2) as worlds:
        for start in (EASY, LOCKED, Start(TASKS["open-blue"])):
            worlds.look(start)
        assert Doors.opened == before + 2
    assert Doors.opened == before


class Counted(Doors):
    """Counts what is asked of all of its instances. Nothing that is done ends a task."""

    max_steps = 6
    asked: ClassVar = Counter[str]()

    def __init__(self) -> None:
        super().__init__()
        Counted.asked["made"] += 1

    def reset(self, task: Task, seed: int = 0) -> Observation:
        Counted.asked["reset"] += 1
        return super().reset(task, seed)

    def step(self, action: Action) -> Observation:
        Counted.asked["step"] += 1
        return replace(super().step(action), done=False)


class Cheap(Counted):
    cheap = True


def keys_in_turn() -> ScriptedEngine:
    return saying(*[call("take", key=COLOURS[number % 6]) for number in range(1000)])


@pytest.mark.parametrize(
    ("environment", "made"), [(Counted, 8), (Cheap, 20)], ids=["at most so many at once", "as many as there are"]
)
def test_no_step_is_repeated_where_attempts_have_environments(
    tiny_base: BaseModel, environment: type[Counted], made: int
) -> None:
    Counted.asked.clear()
    with Worlds(environment, 8) as worlds:
        rollouts = roll_out(actor(tiny_base, keys_in_turn()), worlds, [EASY] * 20)
        assert {len(rollout.steps) for rollout in rollouts} == {6}
        assert Counted.asked == {"reset": 20, "step": 120, "made": made}
        roll_out(actor(tiny_base, keys_in_turn()), worlds, [LOCKED] * 8)
        assert Counted.asked == {"reset": 28, "step": 168, "made": made}, "they serve the next attempts too"


def test_where_environments_are_few_only_some_attempts_are_led_again(tiny_base: BaseModel) -> None:
    """The others keep theirs. The one used longest ago is always needed next: without it all would be led again."""
    Counted.asked.clear()
    with Worlds(Counted, 4) as worlds:
        roll_out(actor(tiny_base, keys_in_turn()), worlds, [EASY] * 8)
    assert Counted.asked["step"] <= 3 * 6 + 5 * (1 + 2 + 3 + 4 + 5 + 6)


@pytest.mark.parametrize("environment", [Counted, Cheap])
def test_progress_counts_the_attempts_of_all_waves(tiny_base: BaseModel, environment: type[Counted]) -> None:
    told: list[tuple[int, int]] = []
    for scorer in (None, Likes(OPEN)):
        with Worlds(environment, 8) as worlds:
            acting = actor(tiny_base, keys_in_turn(), candidates=2)
            explore(acting, worlds, [EASY] * 9, scorer, progress=lambda *at: told.append(at))
        assert told == sorted(told)
        assert told[-1] == ((36, 36) if scorer is None else (18, 18))
        told.clear()


def test_attempts_go_on_from_given_steps_and_end_with_the_environments_verdict(tiny_base: BaseModel) -> None:
    engine = saying(call("open", door="red"))
    with Worlds(Doors, 4) as worlds:
        done, locked = roll_out(actor(tiny_base, engine), worlds, [replace(LOCKED, calls=(TAKE,)), LOCKED])
    assert (done.success, done.given, len(done.steps)) == (True, 1, 2)
    assert (locked.success, len(locked.steps)) == (False, 3), "the same call for the third time ends it"
    assert done.steps[1].observation == "You hold the red key."
    trajectory = done.trajectory("doors", TOOLS, "run:1")
    assert trajectory.is_lesson
    assert trajectory.verified_by == "environment:doors"


def test_an_attempt_ends_after_as_many_steps_as_the_environment_allows(tiny_base: BaseModel) -> None:
    engine = saying(*[call("take", key=colour) for colour in COLOURS])
    with Worlds(Doors, 1) as worlds:
        (rollout,) = roll_out(actor(tiny_base, engine), worlds, [EASY])
    assert (rollout.success, len(rollout.steps)) == (False, Doors.max_steps)


class Patient(Doors):
    """A door that is open ends nothing: the agent has to say that it is done."""

    def step(self, action: Action) -> Observation:
        return replace(super().step(action), done=action.name == "win")


def test_an_attempt_that_goes_in_circles_or_takes_too_long_fails_even_where_its_goal_is_reached(
    tiny_base: BaseModel,
) -> None:
    """What it did would be learnt with it; an attempt that says that it is done succeeds."""
    door, key = call("open", door="red"), call("take", key="red")
    with Worlds(Patient, 4) as worlds:
        (looping,) = roll_out(actor(tiny_base, saying(door)), worlds, [EASY])
        (long,) = roll_out(actor(tiny_base, saying(door, key, door, key, door)), worlds, [EASY])
        (done,) = roll_out(actor(tiny_base, saying(door, call("win"))), worlds, [EASY])
        assert worlds.look(replace(EASY, calls=calls_of(looping.steps))).success
    assert (looping.success, len(looping.steps)) == (False, 3)
    assert (long.success, len(long.steps)) == (False, Patient.max_steps)
    assert (done.success, len(done.steps)) == (True, 2)


def test_an_agent_that_writes_no_call_is_stuck_and_fails(tiny_base: BaseModel) -> None:
    with Worlds(Doors, 1) as worlds:
        (rollout,) = roll_out(actor(tiny_base, saying("Well.")), worlds, [EASY])
    assert (rollout.success, rollout.steps) == (False, ())


class Likes:
    """A scorer that likes one call and cannot judge another."""

    name = "likes"

    def __init__(self, liked: ToolCall, silent: ToolCall | None = None) -> None:
        self.liked, self.silent = liked, silent

    def score(self, attempts: list[Attempt]) -> list[float | None]:
        return [None if each.call == self.silent else float(each.call == self.liked) for each in attempts]


def one_of_three() -> ScriptedEngine:
    return saying(call("win"), call("open", door="blue"), call("open", door="red"))


def test_a_scorer_chooses_which_candidates_are_followed(tiny_base: BaseModel) -> None:
    narrow = {"candidates": 3, "paths": 1}
    with Worlds(Doors, 4) as worlds:
        (chosen,) = explore(actor(tiny_base, one_of_three(), **narrow), worlds, [EASY], Likes(OPEN))
        likes_other = Likes(TAKE, silent=WIN)
        (undecided,) = explore(actor(tiny_base, one_of_three(), **narrow), worlds, [EASY], likes_other)
    assert chosen.success
    assert undecided.shortcut, "one that cannot be judged is better than one that is refused"


def test_without_a_scorer_as_many_attempts_are_drawn_as_there_would_be_candidates(tiny_base: BaseModel) -> None:
    with Worlds(Doors, 4) as worlds:
        rollouts = explore(actor(tiny_base, one_of_three(), candidates=3, paths=1), worlds, [EASY], None)
    assert [(rollout.success, rollout.shortcut) for rollout in rollouts] == [
        (False, True),
        (False, False),
        (True, False),
    ]


def test_a_beam_follows_as_many_paths_as_it_may_and_no_attempt_comes_twice(tiny_base: BaseModel) -> None:
    starts = [Start(task) for task in list(TASKS.values())[:3]]
    with Worlds(Doors, 8) as worlds:
        searched = explore(actor(tiny_base, DoorsEngine(), paths=3), worlds, starts, Likes(OPEN), seed=1)
        drawn = explore(actor(tiny_base, DoorsEngine(), paths=3), worlds, starts, None, seed=1)
    for rollouts, most in ((searched, 3), (drawn, 12)):
        assert {rollout.task for rollout in rollouts} == {start.task.id for start in starts}
        assert all(sum(rollout.task == start.task.id for rollout in rollouts) <= most for start in starts)
        assert len({(rollout.task, calls_of(rollout.steps)) for rollout in rollouts}) == len(rollouts)


def test_an_environment_names_its_shortcuts() -> None:
    class OfEasyTasks(Doors):
        def shortcut(self, task: Task) -> Action | None:
            return Action("win", {}) if task.grade == 1 else None

    with Worlds(OfEasyTasks, 1) as worlds:
        assert worlds.step(EASY, WIN).shortcut
        assert not worlds.step(EASY, OPEN).shortcut
        assert not worlds.step(LOCKED, WIN).shortcut


@pytest.mark.parametrize("scorer", [None, Likes(OPEN)])
def test_how_many_environments_are_open_changes_nothing(tiny_base: BaseModel, scorer: Likes | None) -> None:
    starts, found = [Start(task) for task in list(TASKS.values())[4:8]], []
    for size in (1, 3, 8):
        with Worlds(Doors, size) as worlds:
            found.append(explore(actor(tiny_base, DoorsEngine()), worlds, starts, scorer, seed=1))
    assert found[0] == found[1] == found[2]
    assert found[0]
