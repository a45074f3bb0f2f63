"""The scorer protocol, and the scorer that is trusted above all: the environment's own verdict."""

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
    """A call to be scored, with what the agent was to do, did before, and saw. `verdict` is the environment's, where
    the call ended the task."""

    goal: str
    steps: tuple[Step, ...]
    observation: str
    call: ToolCall
    verdict: bool | None = None


class Scorer(Protocol):
    """Says how good steps are."""

    @property
    def name(self) -> str: ...

    def score(self, attempts: Sequence[Attempt]) -> list[float | None]:
        """For each call the probability, 0..1, that it leads to its goal; None where that cannot be said."""
        ...


@dataclass(frozen=True, slots=True)
class EnvironmentScorer:
    """The environment's verdict on the call that ended a task; it says nothing of other calls."""

    name: str = "environment"

    def score(self, attempts: Sequence[Attempt]) -> list[float | None]:
        return [None if attempt.verdict is None else float(attempt.verdict) for attempt in attempts]


@dataclass(frozen=True, slots=True)
class VerdictFirst:
    """Another scorer, asked only where the environment has not said whether the task is done."""

    other: Scorer

    @property
    def name(self) -> str:
        return f"environment, else {self.other.name}"

    def score(self, attempts: Sequence[Attempt]) -> list[float | None]:
        verdicts = EnvironmentScorer().score(attempts)
        open_ = [attempt for attempt, verdict in zip(attempts, verdicts, strict=True) if verdict is None]
        scores = iter(self.other.score(open_) if open_ else ())
        return [next(scores) if verdict is None else verdict for verdict in verdicts]


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
