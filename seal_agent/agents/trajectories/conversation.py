"""A trajectory as a conversation with tool calls, in ChatSeal's form: so an agent is asked, and so it learns."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.agents.trajectories.trajectory import Step, Trajectory
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.answer_form.form import Form, Tool
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.training.conversations import Conversation, encode_conversation
from seal_agent.types import Chat, Message, TrainingSequence


def turns_before(goal: str, steps: Sequence[Step], observation: str, system: str = "") -> tuple[Message, ...]:
    """The turns that an agent reads before its next action.

    Args:
        steps: What it saw and did so far.
        observation: What it sees now.
    """
    seen = [*(step.observation for step in steps), observation]
    turns = [Message("system", system)] if system else []
    turns.append(Message("user", "\n\n".join(filter(None, [goal, seen[0]]))))
    for step, result in zip(steps, seen[1:], strict=True):
        turns += [Message("assistant", "", (step.call,)), Message("tool", result, name=step.call.name)]
    return tuple(turns)


def conversation_of(trajectory: Trajectory) -> Conversation:
    """The whole trajectory, ending with its last action or its closing words."""
    turns = turns_before(trajectory.goal, trajectory.steps, trajectory.result, trajectory.system)
    if trajectory.answer:
        return Conversation((*turns, Message("assistant", trajectory.answer)), trajectory.tools)
    return Conversation(turns[:-1], trajectory.tools)  # what the last call gave back is followed by nothing


def fitted(base: BaseModel, conversation: Conversation, max_tokens: int) -> Conversation:
    """The conversation without its oldest steps, so that it fits `max_tokens` and the model's window where it can."""
    turns, room = conversation.turns, min(max_tokens, base.window - 1)  # one for the token that may end a text
    first = 1 + next(i for i, turn in enumerate(turns) if turn.role == "user")
    while len(turns) > first + 2 and _tokens(base, turns, conversation.tools) > room:
        turns = (*turns[:first], *turns[first + 2 :])
    return Conversation(turns, conversation.tools)


def encode_trajectory(base: BaseModel, trajectory: Trajectory, max_tokens: int) -> tuple[TrainingSequence, ...]:
    """The training sequences of a trajectory; only its actions and closing words have labels."""
    return encode_conversation(base, fitted(base, conversation_of(trajectory), max_tokens))


def _tokens(base: BaseModel, turns: Sequence[Message], tools: Sequence[Tool]) -> int:
    prompt = prompt_in_form(turns, Form(tuple(tools)), base)
    plain, described = (prompt.turns, prompt.tools) if isinstance(prompt, Chat) else (prompt, "")
    return len(base.turns(plain, answer_next=plain[-1].role != "assistant", tools=described))
