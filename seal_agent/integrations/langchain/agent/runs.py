"""A run of a LangChain agent as a trajectory: the user's last message is the goal, tool calls are the actions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from seal_agent.agents.trajectories.trajectory import Step, Trajectory
from seal_agent.generation.answer_form.form import Tool
from seal_agent.integrations.langchain.chat.messages import text_of
from seal_agent.types import ToolCall, Trust


def trajectory_in(
    messages: Sequence[BaseMessage],
    tools: Sequence[Tool],
    *,
    system: str = "",
    source: str = "",
    trust: Trust = "trusted",
) -> Trajectory | None:
    """The trajectory of the last turn of a conversation; None where no tool was called in it.

    Calls that were made side by side follow each other. Raises InputError for content that is not text.
    """
    turn = _last_turn(messages)
    results = {message.tool_call_id: text_of(message) for message in turn if isinstance(message, ToolMessage)}
    steps, seen = list[Step](), ""
    for message in turn:
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            steps.append(Step(seen, ToolCall(call["name"], json.dumps(call["args"], ensure_ascii=False))))
            seen = results.get(str(call["id"]), "")
    if not steps:
        return None
    last = turn[-1]
    answer = text_of(last) if isinstance(last, AIMessage) and not last.tool_calls else ""
    goal = text_of(turn[0])
    return Trajectory(
        goal, tuple(steps), tools=tuple(tools), system=system, result=seen, answer=answer, source=source, trust=trust
    )


def _last_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """The messages from the user's last one on; none where the user said nothing."""
    starts = [i for i, message in enumerate(messages) if isinstance(message, HumanMessage)]
    return messages[starts[-1] :] if starts else ()
