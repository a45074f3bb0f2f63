"""A rollout: what an agent saw and did in one attempt at a task, and what the environment says of it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from seal_agent.agents.environments.environment import Action, Task
from seal_agent.agents.trajectories.trajectory import Step, Trajectory
from seal_agent.generation.answer_form.form import Tool
from seal_agent.types import ToolCall


@dataclass(frozen=True, slots=True)
class Start:
    """Where a rollout begins: a task, the seed of its world, and the calls that lead to its first own step."""

    task: Task
    seed: int = 0
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """An ended attempt. `given` of its steps were there before it began."""

    task: str
    goal: str
    seed: int
    steps: tuple[Step, ...]
    result: str
    success: bool
    shortcut: bool = False
    """Whether it took a trick that only makes the goal look reached, where the environment can tell."""
    given: int = 0

    def trajectory(self, environment: str, tools: tuple[Tool, ...], source: str = "") -> Trajectory:
        """The rollout as a trajectory that the environment verified."""
        return Trajectory(
            self.goal,
            self.steps,
            "success" if self.success else "failure",
            f"environment:{environment}",
            tools,
            result=self.result,
            source=source,
        )


def action_of(call: ToolCall) -> Action:
    """A call as an environment takes it: all arguments are texts there."""
    arguments = json.loads(call.arguments)
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in arguments.items()
    }
    return Action(call.name, texts)
