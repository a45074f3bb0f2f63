"""Gymnasium both ways: its checker takes ours, and its Frozen Lake is played as one of ours."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

gymnasium = pytest.importorskip("gymnasium")
from gymnasium.utils.env_checker import check_env  # noqa: E402

from seal_agent.agents.environments.apps.environment import MAX_STEPS, AppsEnvironment  # noqa: E402
from seal_agent.agents.environments.environment import Action, Observation  # noqa: E402
from seal_agent.agents.environments.gymnasium import AsGymnasium, FromGymnasium, action_from_json  # noqa: E402
from seal_agent.errors import InputError  # noqa: E402

MOVES = {"left": 0, "down": 1, "right": 2, "up": 3}
WAY = ["down", "down", "right", "right", "down", "right"]


def call(action: Action) -> str:
    return json.dumps({"name": action.name, "arguments": dict(action.arguments)})


@pytest.mark.filterwarnings("ignore")  # it warns of whatever is not a game of pixels
def test_gymnasiums_own_checker_takes_an_environment_of_ours() -> None:
    check_env(AsGymnasium(AppsEnvironment()), skip_render_check=True)


def test_success_is_a_reward_of_one_with_the_last_step() -> None:
    apps = AppsEnvironment()
    env = AsGymnasium(apps)
    shown, info = env.reset(seed=0, options={"task": "shop-order-1"})
    assert shown.startswith(f"Goal: {info['goal']}\nShop")
    task = next(task for task in apps.tasks if task.id == info["task"])
    steps = [env.step(call(action)) for action in apps.spec(task).solution]
    assert [reward for _, reward, *_ in steps] == [0.0] * (len(steps) - 1) + [1.0]
    assert steps[-1][2]
    assert steps[-1][4] == {"success": True}


def test_an_agent_that_never_ends_is_stopped_without_reward() -> None:
    env = AsGymnasium(AppsEnvironment())
    env.reset(seed=0)
    steps = [env.step("not a call") for _ in range(MAX_STEPS)]
    assert "There is no tool 'not a call'" in steps[0][0]
    assert [truncated for *_, truncated, _ in steps] == [False] * (MAX_STEPS - 1) + [True]
    assert sum(reward for _, reward, *_ in steps) == 0
    apps = AppsEnvironment()
    env = AsGymnasium(apps)
    _, info = env.reset(seed=0, options={"task": "settings-value-1"})
    solved = [*apps.spec(next(task for task in apps.tasks if task.id == info["task"])).solution[:-1]]
    rewards = [env.step(call(action))[1] for action in [*solved, *[Action("look", {})] * MAX_STEPS][:MAX_STEPS]]
    assert apps.success()
    assert sum(rewards) == 0, "it never said that it was done"


def test_a_seed_draws_the_same_task_and_an_unknown_task_is_refused() -> None:
    env = AsGymnasium(AppsEnvironment())
    assert env.reset(seed=5) == env.reset(seed=5)
    assert len({env.reset()[1]["task"] for _ in range(5)}) > 1
    with pytest.raises(InputError, match="no task 'nothing'"):
        env.reset(options={"task": "nothing"})


@pytest.mark.parametrize("text", ["", "[]", "null", '{"arguments": {}}', '{"name": "set", "arguments": 3}'])
def test_any_text_is_an_action_even_if_one_without_effect(text: str) -> None:
    assert action_from_json(text) == Action(text, {})


def lake() -> FromGymnasium:
    env = gymnasium.make("FrozenLake-v1", is_slippery=False)
    show = lambda square: f"Square {square} of 16"  # noqa: E731
    return FromGymnasium(env, name="lake", goal="Walk to square 15.", actions=MOVES, show=show)


def walk(environment: FromGymnasium, moves: Sequence[str]) -> Observation:
    shown = environment.reset(environment.tasks[0])
    assert shown.text == "Square 0 of 16"
    for move in moves:
        shown = environment.step(Action("act", {"action": move}))
    return shown


def test_a_game_of_gymnasiums_is_won_and_lost() -> None:
    environment = lake()
    assert walk(environment, WAY).done
    assert environment.success()
    assert walk(environment, ["down", "right"]).done  # into the water
    assert not environment.success()
    assert environment.step(Action("act", {"action": "up"})).done
    environment.close()


def test_an_impossible_move_is_told_and_changes_nothing() -> None:
    environment = lake()
    walk(environment, [])
    for action in (Action("act", {"action": "jump"}), Action("jump", {})):
        shown = environment.step(action)
        assert shown.text.startswith("Call act with one of left, down, right, up.")
        assert shown.text.endswith("Square 0 of 16")
    assert environment.tools[0]["function"]["parameters"]["properties"]["action"]["enum"] == list(MOVES)
