"""Pruning: calls without effect are left out of what succeeded, and nothing else is."""

from __future__ import annotations

import json
from dataclasses import replace

from doors import Doors

from seal_agent.agents.environments.apps.environment import AppsEnvironment
from seal_agent.agents.environments.environment import Action, Observation
from seal_agent.agents.exploring.attempts import begin
from seal_agent.agents.exploring.pruning import pruned
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.types import ToolCall


def call(tool: str, **arguments: str) -> ToolCall:
    return ToolCall(tool, json.dumps(arguments))


def of(action: Action) -> ToolCall:
    return call(action.name, **action.arguments)


def attempt(worlds: Worlds, start: Start, *calls: ToolCall) -> Rollout:
    return begin(worlds, replace(start, calls=calls)).rollout()


def test_refused_and_repeated_calls_are_left_out_of_every_apps_success() -> None:
    detours = [call("press", name="Save"), call("open", name="Help me"), call("press", name="OK")]
    apps = AppsEnvironment()
    with Worlds(AppsEnvironment, 1) as worlds:
        for task in apps.tasks:
            solution = [of(action) for action in apps.spec(task).solution]
            direct = attempt(worlds, Start(task), *solution)
            detour = attempt(worlds, Start(task), *detours[:2], solution[0], solution[0], detours[2], *solution[1:])
            assert [step.failed for step in detour.steps[:2]] == [True, True]
            assert not any(step.failed for step in direct.steps)
            if detour.success:
                assert pruned(worlds, task, replace(detour, given=0)) == replace(direct, given=0), task.id
            assert pruned(worlds, task, direct) == direct, task.id


class Reading(Doors):
    """Doors with a note, which is shown only when it is asked for."""

    def step(self, action: Action) -> Observation:
        return Observation("The red one is right.") if action.name == "read" else super().step(action)


def test_a_call_that_showed_something_stays_and_so_does_one_that_is_needed() -> None:
    task = next(task for task in Doors().tasks if task.id == "unlock-red")
    read, take, enter = call("read"), call("take", key="red"), call("open", door="red")
    with Worlds(Reading, 1) as worlds:
        rollout = attempt(worlds, Start(task), read, read, take, enter)
        assert [step.call for step in pruned(worlds, task, rollout).steps] == [read, take, enter]
