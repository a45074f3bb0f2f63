"""Reads every task's goal from its page into goals.json: python -m seal_agent.agents.environments.miniwob.goals"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

from seal_agent.agents.environments.miniwob.environment import MiniWobEnvironment
from seal_agent.agents.environments.miniwob.tasks import GOALS, tasks_with


def read_goals(environment: MiniWobEnvironment) -> dict[str, str]:
    """What the page of every task asks for, by the task's id."""
    return {task.id: environment.begin(task) for task in tasks_with({})}


def write_goals(path: Path) -> None:
    """Write the goals, with the version of the package that they come from."""
    environment = MiniWobEnvironment()
    try:
        goals = read_goals(environment)
    finally:
        environment.close()
    data = {"miniwob": metadata.version("miniwob"), "goals": goals}
    path.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    write_goals(Path(__file__).parents[3] / GOALS)
