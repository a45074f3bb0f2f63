"""Trajectories as JSON lines.

{"goal": …, "tools": […], "steps": [{"observation": …, "action": {"name": …, "arguments": {…}}}], "result": …,
 "outcome": "success" | "failure" | "unknown", "verified_by": …}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from seal_agent.agents.trajectories.trajectory import Outcome, Step, Trajectory
from seal_agent.data.text_files import read_text
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import tool_of_function
from seal_agent.types import ToolCall, Trust

_TEXTS = ("system", "result", "answer", "source", "verified_by")
_FIELDS = ("goal", "steps", "outcome", "tools", "trust", *_TEXTS)
_MAX_NAMED = 3  # lines that an error names; not tuned


def read_trajectories(path: str | Path) -> list[Trajectory]:
    """Read a file of JSON lines. Raises InputError, which names the lines that are wrong and why."""
    return trajectories_from_lines(read_text(path), str(path))


def trajectories_from_lines(text: str, source: str) -> list[Trajectory]:
    """The trajectories of the text of a JSON lines file; InputError names it as `source`."""
    trajectories, problems = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                trajectories.append(from_row(_parsed(line)))
            except InputError as err:
                problems.append(f"line {number} of {source}: {err}")
    if problems:
        others = len(problems) - _MAX_NAMED
        raise InputError(". ".join(problems[:_MAX_NAMED]) + (f". {others} other lines are wrong" if others > 0 else ""))
    if not trajectories:
        raise InputError(f'{source} holds no trajectories; each line is {{"goal", "steps", "outcome", "verified_by"}}')
    return trajectories


def to_lines(trajectories: Iterable[Trajectory]) -> str:
    """The text of a JSON lines file that `read_trajectories` reads."""
    return "".join(json.dumps(to_row(trajectory), ensure_ascii=False) + "\n" for trajectory in trajectories)


def to_row(trajectory: Trajectory) -> dict[str, Any]:
    """A trajectory as one JSON object, without the fields that are empty."""
    row = {
        "goal": trajectory.goal,
        "system": trajectory.system,
        "tools": [tool.openai["function"] for tool in trajectory.tools],
        "steps": [_step_row(step) for step in trajectory.steps],
        "result": trajectory.result,
        "answer": trajectory.answer,
        "outcome": trajectory.outcome,
        "verified_by": trajectory.verified_by,
        "source": trajectory.source,
        "trust": trajectory.trust,
    }
    return {name: value for name, value in row.items() if value not in ("", [])}


def from_row(row: object) -> Trajectory:
    """The trajectory of one parsed JSON line. Raises InputError, in one sentence."""
    if not isinstance(row, Mapping):
        raise InputError('a trajectory is a JSON object; write {"goal": …, "steps": …}')
    if unknown := [name for name in row if name not in _FIELDS]:
        raise InputError(f"a trajectory has no field {unknown[0]!r}; it has {', '.join(_FIELDS)}")
    steps, tools = row.get("steps"), row.get("tools", [])
    if not isinstance(steps, list) or not steps:
        raise InputError('"steps" is missing or empty; give a list of {"observation", "action"}')
    if not isinstance(tools, list):
        raise InputError('"tools" is no list; give OpenAI function schemas')
    return Trajectory(
        goal=_text(row, "goal", required=True),
        steps=tuple(_step(step, number) for number, step in enumerate(steps, 1)),
        outcome=_choice(row, "outcome", get_args(Outcome), "unknown"),
        tools=tuple(map(tool_of_function, tools)),
        trust=_choice(row, "trust", get_args(Trust), "trusted"),
        **{name: _text(row, name) for name in _TEXTS},
    )


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except ValueError as err:
        raise InputError(f"it is no JSON ({err}); write one object on a line") from err


def _step_row(step: Step) -> dict[str, Any]:
    action = {"name": step.call.name, "arguments": json.loads(step.call.arguments)}
    row = {"observation": step.observation, "action": action, "failed": step.failed}
    return {name: value for name, value in row.items() if value not in ("", False)}


def _step(step: object, number: int) -> Step:
    action = step.get("action") if isinstance(step, Mapping) else None
    if not isinstance(step, Mapping) or not isinstance(action, Mapping):
        raise InputError(f'step {number} has no action; write {{"observation": …, "action": {{"name", "arguments"}}}}')
    name, arguments = action.get("name"), action.get("arguments", {})
    if not isinstance(name, str) or not name:
        raise InputError(f"the action of step {number} has no name; name the tool that was called")
    if not isinstance(arguments, Mapping):
        raise InputError(f"the arguments of step {number} are {arguments!r:.60}; give an object")
    failed = step.get("failed", False)
    if not isinstance(failed, bool):
        raise InputError(f'"failed" of step {number} is {failed!r:.40}; use true or false')
    return Step(_text(step, "observation"), ToolCall(name, json.dumps(arguments, ensure_ascii=False)), failed)


def _text(row: Mapping[str, Any], name: str, required: bool = False) -> str:
    value = row.get(name, "")
    if not isinstance(value, str) or (required and not value.strip()):
        raise InputError(f'"{name}" is {"missing or " if required else ""}not a text; give a string')
    return value


def _choice(row: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str) -> Any:
    value = row.get(name, default)
    if value not in choices:
        raise InputError(f'"{name}" is {value!r:.40}; use {", ".join(choices)}')
    return value
