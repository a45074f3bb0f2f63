"""Environments as gymnasium's, and gymnasium's as environments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seal_agent.agents.environments.environment import Action, Environment, Observation, Task
from seal_agent.errors import InputError, MissingDependency
from seal_agent.seeds import derived_seed

try:
    import gymnasium
    from gymnasium.spaces import Text
except ImportError as err:
    raise MissingDependency("gymnasium's environments need gymnasium: pip install 'seal-agent[agents]'") from err

_MOST_CHARACTERS = 10_000  # of a text; spaces need some bound
_MOST_SEED = 2**32  # gymnasium's environments take seeds below it
TOOL, PARAMETER = "act", "action"


class AnyText(Text):
    """Texts of any characters. Gymnasium's own are of letters and digits, or of a set that must be listed."""

    def __init__(self) -> None:
        super().__init__(_MOST_CHARACTERS, min_length=0)

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= _MOST_CHARACTERS


class AsGymnasium(gymnasium.Env[str, str]):
    """One of our environments for gymnasium's users.

    Observations are the goal and what is seen. An action is a tool's call as JSON: {"name": …, "arguments": {…}}; any
    other text is an action without effect. The reward is 1 for success, with the last step, else 0.

    `reset` draws a task; options={"task": id} chooses one.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.observation_space, self.action_space = AnyText(), AnyText()
        self._tasks = {task.id: task for task in environment.tasks}
        self._task: Task | None = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """Raises InputError for an unknown task."""
        super().reset(seed=seed)
        drawn = str(self.np_random.choice(list(self._tasks)))
        chosen = (options or {}).get("task", drawn)
        if chosen not in self._tasks:
            raise InputError(f"there is no task {chosen!r} in the environment {self.environment.name}")
        self._task, self._steps = self._tasks[chosen], 0
        shown = self.environment.reset(self._task, int(self.np_random.integers(_MOST_SEED)))
        return self._text(shown), {"task": chosen, "goal": self._task.goal, "grade": self._task.grade}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        shown = self.environment.step(action_from_json(action))
        self._steps += 1
        truncated = not shown.done and self._steps >= self.environment.max_steps
        success = shown.done and self.environment.success()
        return self._text(shown), float(success), shown.done, truncated, {"success": success}

    def close(self) -> None:
        self.environment.close()

    def _text(self, shown: Observation) -> str:
        return f"Goal: {self._task.goal if self._task else ''}\n{shown.text}"


def action_from_json(text: str) -> Action:
    """The call that a text is; for any other text, a call of a tool that does not exist."""
    try:
        row = json.loads(text)
        return Action(str(row["name"]), {str(key): str(value) for key, value in row.get("arguments", {}).items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return Action(text, {})


class FromGymnasium:
    """One of gymnasium's environments, with actions that have names, as one of ours.

    Args:
        env: Made by gymnasium.make.
        name: Of the environment.
        goal: What is to be done, in words.
        actions: Gymnasium's action for each name that an agent may choose.
        success: The sum of an episode's rewards from which it is a success.
        tasks: How many to offer; each starts from a seed of its own.
        max_steps: After which an agent is stopped.
        show: Writes an observation as text.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        *,
        name: str,
        goal: str,
        actions: Mapping[str, Any],
        success: float = 1.0,
        tasks: int = 20,
        max_steps: int = 20,
        show: Callable[[Any], str] = str,
    ) -> None:
        self.name, self.max_steps = name, max_steps
        self._env, self._actions, self._success, self._show = env, actions, success, show
        self._tasks = [Task(f"{name}-{number}", goal, 1, name) for number in range(1, tasks + 1)]
        self._rewards, self._done, self._text = 0.0, True, ""

    @property
    def tasks(self) -> Sequence[Task]:
        return self._tasks

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        choice = {"type": "object", "properties": {PARAMETER: {"enum": list(self._actions)}}, "required": [PARAMETER]}
        return [{"type": "function", "function": {"name": TOOL, "description": "Act.", "parameters": choice}}]

    def reset(self, task: Task, seed: int = 0) -> Observation:
        observation, _ = self._env.reset(seed=derived_seed(seed, task.id) % _MOST_SEED)
        self._rewards, self._done, self._text = 0.0, False, self._show(observation)
        return Observation(self._text)

    def step(self, action: Action) -> Observation:
        chosen = action.arguments.get(PARAMETER, "")
        if self._done:
            return Observation("The task is over.", done=True)
        if action.name != TOOL or chosen not in self._actions:
            return Observation(f"Call {TOOL} with one of {', '.join(self._actions)}.\n{self._text}", refused=True)
        observation, reward, ended, truncated, _ = self._env.step(self._actions[chosen])
        self._rewards += float(reward)
        self._done, self._text = bool(ended or truncated), self._show(observation)
        return Observation(self._text, self._done)

    def success(self) -> bool:
        return self._rewards >= self._success

    def screenshot(self) -> bytes | None:
        return None

    def close(self) -> None:
        self._env.close()
