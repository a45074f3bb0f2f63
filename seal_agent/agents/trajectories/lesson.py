"""What an adapter learns from trajectories: a proposal as of any lesson, so it is gated, replayed and forgotten."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from seal_agent.adaptation.adapt import settings_of
from seal_agent.agents.trajectories.conversation import conversations_of
from seal_agent.agents.trajectories.trajectory import Trajectory
from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.training.conversations import CONVERSATION, to_json
from seal_agent.types import Context, Proposal, Revision, SelfEdit, Trust


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


def not_learnt_yet(
    lessons: Sequence[Trajectory],
    trained: Mapping[str, AbstractSet[str]],
    lineage: Sequence[Revision],
    config: InnerLoopConfig,
) -> tuple[list[Trajectory], Revision | None]:
    """The lessons that no revision in use has learnt with these settings, and the newest that learnt any of the others.

    Args:
        trained: The revisions that were trained on each trajectory, by its id.
        lineage: The active revision and its ancestors, newest first.
    """
    same = [revision for revision in lineage if _was_trained_with(revision, config)]
    knows = {lesson.id: [each for each in same if each.id in trained.get(lesson.id, ())] for lesson in lessons}
    newest = next((revision for revision in same if any(revision in each for each in knows.values())), None)
    return [lesson for lesson in lessons if not knows[lesson.id]], newest


def context_of(lessons: Sequence[Trajectory]) -> Context:
    """The lessons in words, with a blank line between them: history shows them, `forget` recognises them."""
    text = "\n\n".join(map(in_words, lessons))
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
        max_tokens: Of one training sequence; what is longer is learnt action by action, see `conversations_of`.
    """
    context = context_of(lessons)
    edits = tuple(
        SelfEdit(CONVERSATION, to_json(conversation))
        for lesson in lessons
        for conversation in conversations_of(base, lesson, max_tokens)
    )
    return Proposal(adapter, context, (context.text,), edits, parent, base.identity)


def _was_trained_with(revision: Revision, config: InnerLoopConfig) -> bool:
    """Whether a revision has these settings; its replay may be another, since the gate trains again with more."""
    settings = settings_of(revision)
    return settings is not None and replace(settings, replay=config.replay) == config


def in_words(trajectory: Trajectory) -> str:
    """A lesson in words, without a blank line in it."""
    calls = [
        f"> {step.call.name} {step.call.arguments}{' (failed)' if step.failed else ''}" for step in trajectory.steps
    ]
    closing = [trajectory.answer] if trajectory.answer else []
    verified = f"(success, verified by {trajectory.verified_by})"
    return re.sub(r"\n\s*\n", "\n", "\n".join([f"Goal: {trajectory.goal} {verified}", *calls, *closing]))
