"""The tasks of MiniWoB++: families in a data file, each with the goals that its pages set."""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any

from seal_agent.agents.environments.environment import Task

GOALS = "agents/environments/miniwob/goals.json"
PER_FAMILY = 10
FAMILIES = {  # by grade: one action; two or three, or one that must be looked for; more
    1: ("click-button", "click-link", "click-dialog-2", "click-tab", "focus-text-2", "unicode-test"),
    2: (
        "enter-text",
        "enter-text-dynamic",
        "enter-date",
        "enter-time",
        "choose-list",
        "click-option",
        "click-checkboxes",
        "click-tab-2",
        "click-collapsible-2-nodelay",
        "read-table",
        "simple-arithmetic",
        "email-inbox-delete",
    ),
    3: (
        "login-user",
        "enter-password",
        "read-table-2",
        "search-engine",
        "form-sequence-2",
        "odd-or-even",
        "phone-book",
    ),
}


@functools.cache
def miniwob_tasks() -> tuple[Task, ...]:
    """All tasks, easy ones first. A task's id decides its page; its goal is what that page asks for."""
    goals = json.loads((resources.files("seal_agent") / GOALS).read_text("utf-8"))["goals"]
    return tasks_with(goals)


def tasks_with(goals: dict[str, Any]) -> tuple[Task, ...]:
    """The tasks, with goals by id; "" where there is none."""
    ids = [(grade, family, f"{family}-{n}") for grade in FAMILIES for family in FAMILIES[grade] for n in _NUMBERS]
    return tuple(Task(task, goals.get(task, ""), grade, family) for grade, family, task in ids)


_NUMBERS = range(1, PER_FAMILY + 1)
