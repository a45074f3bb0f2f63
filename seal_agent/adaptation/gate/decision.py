"""Gates of one's own: a class that decides from the answers before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from seal_agent.types import Answer, Outcome, Verdict, graded_pairs


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a revision is kept, and why, in a sentence for a person."""

    accepted: bool
    reason: str


class Gate(Protocol):
    """Decides from the answers before and after whether a revision is kept."""

    def decide(self, before: Sequence[Answer], after: Sequence[Answer]) -> Decision: ...


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Keeps every revision; its reason says what changed."""

    def decide(self, before: Sequence[Answer], after: Sequence[Answer]) -> Decision:
        return Decision(True, change(before, after))


@dataclass(frozen=True, slots=True)
class MinimumGain:
    """Keeps a revision if accuracy on its own questions rose by at least `gain` (0..1)."""

    gain: float = 0.0

    def decide(self, before: Sequence[Answer], after: Sequence[Answer]) -> Decision:
        reward = Outcome.of(before, after).reward if before else None
        if reward is None:
            return Decision(False, f"{change(before, after)}; this gate needs graded questions")
        return Decision(reward.gain >= self.gain, change(before, after))


def change(before: Sequence[Answer], after: Sequence[Answer]) -> str:
    """How many answers were right before and after, as a sentence."""
    if not before:
        return "there were no questions to ask, so it was not checked"
    outcome = Outcome.of(before, after)
    if outcome.reward is None:
        return f"not checked: {outcome.reason}"
    pairs = graded_pairs(before, after)
    known = [sum(answer.verdict is Verdict.CORRECT for answer in side) for side in zip(*pairs, strict=True)]
    left_out = f", {len(before) - len(pairs)} could not be graded" if len(pairs) < len(before) else ""
    return f"{known[0]} of {len(pairs)} questions right before, {known[1]} after{left_out}"
