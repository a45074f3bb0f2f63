"""What an adapter learns from trajectories: a proposal as of any lesson, so it is gated, replayed and forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.agents.trajectories.conversation import conversation_of, fitted
from seal_agent.agents.trajectories.trajectory import Trajectory
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.training.conversations import CONVERSATION, to_json
from seal_agent.types import Context, Proposal, SelfEdit, Trust


def lessons_among(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """The verified successes, each once. Raises InputError where there are none."""
    lessons = list({each.id: each for each in trajectories if each.is_lesson}.values())
    if not lessons:
        unverified = sum(not each.is_verified for each in trajectories)
        raise InputError(
            f"none of {len(trajectories)} trajectories is a verified success ({unverified} are not verified); "
            'set "outcome": "success" and "verified_by" on those that are'
        )
    return lessons


def context_of(lessons: Sequence[Trajectory]) -> Context:
    """The lessons in words, as history shows them and as `forget` recognises them."""
    text = "\n\n".join(map(_in_words, lessons))
    trust: Trust = "untrusted" if any(lesson.trust == "untrusted" for lesson in lessons) else "trusted"
    goal = " ".join(lessons[0].goal.split())
    goal = goal if len(goal) <= 60 else goal[:59] + "…"
    others = f" and {len(lessons) - 1} others" if len(lessons) > 1 else ""
    return Context(text, f"How to: {goal}{others}", trust=trust)


def proposal_of(
    lessons: Sequence[Trajectory], base: BaseModel, adapter: str, parent: str | None, max_tokens: int
) -> Proposal:
    """A proposal to learn the actions of some verified trajectories.

    Args:
        adapter: Its name in the whole store.
        parent: The revision that it continues.
        max_tokens: Of one trajectory; the oldest steps of a longer one are left out.
    """
    context = context_of(lessons)
    edits = tuple(
        SelfEdit(CONVERSATION, to_json(fitted(base, conversation_of(lesson), max_tokens))) for lesson in lessons
    )
    return Proposal(adapter, context, (context.text,), edits, parent, base.identity)


def _in_words(trajectory: Trajectory) -> str:
    calls = [f"> {step.call.name} {step.call.arguments}" for step in trajectory.steps]
    closing = [trajectory.answer] if trajectory.answer else []
    verified = f"(success, verified by {trajectory.verified_by})"
    return "\n".join([f"Goal: {trajectory.goal} {verified}", *calls, *closing])
