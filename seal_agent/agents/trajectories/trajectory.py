"""A trajectory as a value: a goal, what the agent saw and did, the outcome, and who verified it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from seal_agent.config import TrajectoryLimits
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import Tool
from seal_agent.types import ToolCall, Trust, content_hash

Outcome = Literal["success", "failure", "unknown"]

Redact = Callable[[str], str]
"""Takes a text and returns it without what must not be kept, such as a card number."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the agent saw, and the call that it then made. What follows the goal at once is seen as ""."""

    observation: str
    call: ToolCall
    failed: bool = False
    """Whether the call was refused or ended in an error. It is then read in training, and not learnt."""

    @property
    def facts(self) -> dict[str, Any]:
        """The step as JSON values, without what is at its default: so hashes stay as they were before it was there."""
        facts = asdict(self)
        return facts if self.failed else {name: value for name, value in facts.items() if name != "failed"}


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One attempt at a goal. `result` is what the last call gave back, `answer` the agent's closing words."""

    goal: str
    steps: tuple[Step, ...]
    outcome: Outcome = "unknown"
    verified_by: str = ""
    """Who says so: "environment:apps", "judge:NAME", "person"; "" where nobody checked."""
    tools: tuple[Tool, ...] = ()
    system: str = ""
    """The agent's system prompt."""
    result: str = ""
    answer: str = ""
    source: str = ""
    """Where it comes from: a run, a thread, a file."""
    trust: Trust = "trusted"

    @property
    def id(self) -> str:
        """A hash of what was seen and done; who verified it does not change it."""
        tools = [asdict(tool) for tool in self.tools]
        steps = [step.facts for step in self.steps]
        return content_hash([self.system, tools, self.goal, steps, self.result, self.answer])[:16]

    @property
    def is_verified(self) -> bool:
        return self.outcome != "unknown" and bool(self.verified_by)

    @property
    def is_lesson(self) -> bool:
        """Whether it may be learnt: somebody verified that it succeeded, and something in it did not fail."""
        says_something = bool(self.answer) or not all(step.failed for step in self.steps)
        return self.is_verified and self.outcome == "success" and says_something


def redacted(trajectory: Trajectory, redact: Redact) -> Trajectory:
    """The trajectory with every text that an agent, a user or a tool wrote passed through `redact`.

    Of the calls' arguments names and numbers too; a number that `redact` changes becomes a text.
    """
    return replace(
        trajectory,
        goal=redact(trajectory.goal),
        steps=tuple(
            replace(step, observation=redact(step.observation), call=_redacted_call(step.call, redact))
            for step in trajectory.steps
        ),
        system=redact(trajectory.system),
        result=redact(trajectory.result),
        answer=redact(trajectory.answer),
        source=redact(trajectory.source),
    )


def bounded(trajectory: Trajectory, limits: TrajectoryLimits) -> Trajectory:
    """The trajectory with long texts cut, but for the arguments of calls: half a call is not to be learnt.

    Raises InputError for one with too many steps, without any, or with arguments that are too long.
    """
    if not trajectory.steps:
        raise InputError("the trajectory has no steps; give at least one action")
    if len(trajectory.steps) > limits.steps:
        raise InputError(f"the trajectory has {len(trajectory.steps)} steps, but {limits.steps} is the limit; cut it")
    for number, step in enumerate(trajectory.steps, 1):
        if (length := len(step.call.arguments)) > limits.characters:
            raise InputError(
                f"the arguments of step {number} have {length} characters, but {limits.characters} is the limit; leave "
                "the trajectory out, or raise TrajectoryLimits.characters"
            )

    def cut(text: str) -> str:
        return text if len(text) <= limits.characters else text[: limits.characters - 1] + "…"

    return replace(
        trajectory,
        goal=cut(trajectory.goal),
        steps=tuple(replace(step, observation=cut(step.observation)) for step in trajectory.steps),
        system=cut(trajectory.system),
        result=cut(trajectory.result),
        answer=cut(trajectory.answer),
        source=cut(trajectory.source),
    )


def calls_of(steps: Sequence[Step]) -> tuple[ToolCall, ...]:
    """The calls of some steps, in order."""
    return tuple(step.call for step in steps)


def _redacted_call(call: ToolCall, redact: Redact) -> ToolCall:
    """The call with its arguments redacted; it stays JSON."""
    return ToolCall(call.name, json.dumps(_redacted_value(json.loads(call.arguments), redact), ensure_ascii=False))


def _redacted_value(value: object, redact: Redact) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_redacted_value(part, redact) for part in value]
    if isinstance(value, dict):
        return {redact(key): _redacted_value(part, redact) for key, part in value.items()}
    if isinstance(value, bool) or value is None:
        return value
    number = json.dumps(value)
    changed = redact(number)
    return value if changed == number else changed
