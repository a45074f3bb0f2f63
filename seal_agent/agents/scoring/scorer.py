"""The scorer protocol. A scorer chooses among candidates; only the environment says what succeeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seal_agent.agents.trajectories.trajectory import Step
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import ToolCall

ACCEPTED = 0.5
"""A step with at least this score is accepted."""

MAX_OBSERVATION = 600  # characters of what the agent sees that a scorer reads; not tuned
MAX_CALLS = 12  # calls before a step that a scorer reads, the latest; not tuned


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call to be scored, with what the agent was to do, did before, and saw."""

    goal: str
    steps: tuple[Step, ...]
    observation: str
    call: ToolCall


class Scorer(Protocol):
    """Says how good steps are."""

    @property
    def name(self) -> str: ...

    def score(self, attempts: Sequence[Attempt]) -> list[float | None]:
        """For each call the probability, 0..1, that it leads to its goal; None where that cannot be said."""
        ...


def step_prompt(name: str, attempt: Attempt) -> str:
    """A prompt of this name about a call, with the latest calls before it and the beginning of what is seen."""
    seen = " ".join(attempt.observation.split())
    calls = "\n".join(f"- {call_text(step.call)}" for step in attempt.steps[-MAX_CALLS:])
    return fill(
        load_prompt(name),
        goal=attempt.goal,
        calls=calls or "- none",
        observation=seen if len(seen) <= MAX_OBSERVATION else seen[: MAX_OBSERVATION - 1] + "…",
        call=call_text(attempt.call),
    )


def call_text(call: ToolCall) -> str:
    """A call on one line."""
    return f"{call.name} {call.arguments}"
