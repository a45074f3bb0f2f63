"""A trajectory as conversations with tool calls, in ChatSeal's form: so an agent is asked, and so it learns."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from seal_agent.agents.trajectories.trajectory import Step, Trajectory
from seal_agent.base_model.model import BaseModel
from seal_agent.generation.answer_form.form import Form, Tool
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.training.conversations import Conversation, encode_conversation
from seal_agent.types import Chat, Message, TrainingSequence

CUT = "\n[cut: the rest is too long]"
"""Ends an observation that was cut."""

LEAST_SEEN = 200  # characters that stay of what is seen now, however little room there is; not tuned


def turns_before(
    goal: str, steps: Sequence[Step], observation: str, system: str = "", left_out: int = 0
) -> tuple[Message, ...]:
    """The turns that an agent reads before its next action.

    Args:
        steps: What it saw and did so far.
        observation: What it sees now.
        left_out: Steps, the oldest, of which neither the call nor its result is read.
    """
    seen = [*(step.observation for step in steps), observation]
    turns = [Message("system", system)] if system else []
    turns.append(Message("user", "\n\n".join(filter(None, [goal, seen[0]]))))
    for step, result in list(zip(steps, seen[1:], strict=True))[left_out:]:
        turns += [Message("assistant", "", (step.call,)), Message("tool", result, name=step.call.name)]
    return tuple(turns)


def fitted_before(
    base: BaseModel,
    goal: str,
    steps: Sequence[Step],
    observation: str,
    tools: Sequence[Tool],
    room: int,
    *,
    system: str = "",
    then: Sequence[Message] = (),
) -> tuple[Message, ...]:
    """As `turns_before`, in `room` tokens.

    The oldest steps are left out, but never the last. Where that is not enough, the first observation is cut, and then
    what is seen now, down to LEAST_SEEN characters.

    Args:
        then: Turns that follow, which have to find room too.
    """

    def fits(turns: Sequence[Message]) -> bool:
        return _tokens(base, (*turns, *then), tools) <= room

    def before(left_out: int) -> tuple[Message, ...]:
        return turns_before(goal, steps, observation, system, left_out)

    if fits(whole := before(0)):
        return whole
    most = max(0, len(steps) - 1)
    left_out = bisect_left(range(most), True, key=lambda number: fits(before(number)))
    if left_out < most or fits(before(most)):
        return before(left_out)
    if steps:
        first, others = steps[0], steps[1:]

        def with_first(text: str) -> tuple[Message, ...]:
            return turns_before(goal, (replace(first, observation=text), *others), observation, system, most)

        shown = _cut(first.observation, 0, lambda text: fits(with_first(text)))
        if fits(with_first(shown)):
            return with_first(shown)
        steps = (replace(first, observation=shown), *others)

    def with_last(text: str) -> tuple[Message, ...]:
        return turns_before(goal, steps, text, system, most)

    return with_last(_cut(observation, LEAST_SEEN, lambda text: fits(with_last(text))))


def conversations_of(
    base: BaseModel, trajectory: Trajectory, max_tokens: int, action_tokens: int | None = None
) -> tuple[Conversation, ...]:
    """What an agent reads before each of its actions and closing words, and what it then says, which alone is learnt.

    One conversation for all that come one after the other in it; another where older steps are left out, or something
    is cut. Calls that failed are read and not learnt.

    Args:
        max_tokens: Of a conversation; the model's window is a limit too.
        action_tokens: What an agent keeps free for its next action, which then does not count in `max_tokens`.
    """
    conversations = list[Conversation]()
    for number, said in _said(trajectory):
        before = _before(base, trajectory, number, said, max_tokens, action_tokens)
        turns = (*before, said)
        place = sum(turn.role == "assistant" for turn in before)
        last = conversations[-1] if conversations else None
        if last and turns[: len(last.turns)] == last.turns:
            conversations[-1] = Conversation(turns, trajectory.tools, (*(last.learnt or ()), place))
        else:
            conversations.append(Conversation(turns, trajectory.tools, (place,)))
    return tuple(map(_without_needless, conversations))


def encode_trajectory(
    base: BaseModel, trajectory: Trajectory, max_tokens: int, action_tokens: int | None = None
) -> tuple[TrainingSequence, ...]:
    """The training sequences of a trajectory; see `conversations_of`."""
    conversations = conversations_of(base, trajectory, max_tokens, action_tokens)
    return tuple(sequence for each in conversations for sequence in encode_conversation(base, each))


def room_for(base: BaseModel, context_tokens: int, action_tokens: int) -> int:
    """Tokens that an agent may read before an action of at most `action_tokens`."""
    return min(context_tokens, base.window - action_tokens)


def _before(
    base: BaseModel, trajectory: Trajectory, number: int, said: Message, max_tokens: int, action_tokens: int | None
) -> tuple[Message, ...]:
    """What is read before `said`, which follows as many steps as `number` says."""

    def read(room: int, *then: Message) -> tuple[Message, ...]:
        steps, tools, goal = trajectory.steps, trajectory.tools, trajectory.goal
        seen = steps[number].observation if number < len(steps) else trajectory.result
        return fitted_before(base, goal, steps[:number], seen, tools, room, system=trajectory.system, then=then)

    window = base.window - 1  # one for the token that may end a text
    if action_tokens is None:
        return read(min(max_tokens, window), said)
    before = read(room_for(base, max_tokens, action_tokens))
    return before if _tokens(base, (*before, said), trajectory.tools) <= window else read(window, said)


def _said(trajectory: Trajectory) -> list[tuple[int, Message]]:
    """What is learnt, each with the number of steps before it."""
    said = [(i, Message("assistant", "", (step.call,))) for i, step in enumerate(trajectory.steps) if not step.failed]
    return [*said, (len(trajectory.steps), Message("assistant", trajectory.answer))] if trajectory.answer else said


def _without_needless(conversation: Conversation) -> Conversation:
    """The conversation with `learnt` None where all of the assistant's turns are."""
    count = sum(turn.role == "assistant" for turn in conversation.turns)
    return replace(conversation, learnt=None) if conversation.learnt == tuple(range(count)) else conversation


def _cut(text: str, least: int, fits: Callable[[str], bool]) -> str:
    """The longest beginning of a text that fits, with a mark at its end; of one that never does, `least` characters."""
    if len(text) <= least:
        return text
    kept = bisect_left(range(least, len(text)), True, key=lambda length: not fits(text[:length] + CUT))
    return text[: max(least, least + kept - 1)] + CUT


def _tokens(base: BaseModel, turns: Sequence[Message], tools: Sequence[Tool]) -> int:
    """Tokens of turns; before an action with the beginning of the call that must follow where there are tools."""
    acting = turns[-1].role != "assistant"
    prompt = prompt_in_form(turns, Form(tuple(tools), must_call=acting and bool(tools)), base)
    if acting:
        return len(base.encode(prompt))
    plain, described = (prompt.turns, prompt.tools) if isinstance(prompt, Chat) else (prompt, "")
    return len(base.turns(plain, answer_next=False, tools=described))
