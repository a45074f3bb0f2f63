"""A run of a LangChain agent as a trajectory: the user's last message is the goal, tool calls are the actions."""

from __future__ import annotations

import json
from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.messages import ToolCall as CalledTool

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

    Calls that were made side by side follow each other. A call whose result has the status "error" has failed. Raises
    InputError for content that is not text.
    """
    turn = _last_turn(messages)
    steps, seen = list[Step](), ""
    for call, result in _calls_in(turn):
        made = ToolCall(call["name"], json.dumps(call["args"], ensure_ascii=False))
        steps.append(Step(seen, made, failed=result is not None and result.status == "error"))
        seen = text_of(result) if result else ""
    if not steps:
        return None
    last = turn[-1]
    answer = text_of(last) if isinstance(last, AIMessage) and not last.tool_calls else ""
    goal = text_of(turn[0])
    return Trajectory(
        goal, tuple(steps), tools=tuple(tools), system=system, result=seen, answer=answer, source=source, trust=trust
    )


def _calls_in(turn: Sequence[BaseMessage]) -> list[tuple[CalledTool, ToolMessage | None]]:
    """The calls of a turn, in order, each with its result; None for one that got none.

    A result belongs to the first call with its id that still waits, among those that were made last: some models give
    the same id again and again.
    """
    calls = list[tuple[CalledTool, ToolMessage | None]]()
    waiting = list[int]()
    for message in turn:
        if isinstance(message, AIMessage):
            waiting = list(range(len(calls), len(calls) + len(message.tool_calls)))
            calls += [(call, None) for call in message.tool_calls]
        elif isinstance(message, ToolMessage):
            mine = next((i for i in waiting if str(calls[i][0]["id"]) == message.tool_call_id), None)
            if mine is not None:
                waiting.remove(mine)
                calls[mine] = (calls[mine][0], message)
    return calls


def _last_turn(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """The messages from the user's last one on; none where the user said nothing."""
    starts = [i for i, message in enumerate(messages) if isinstance(message, HumanMessage)]
    return messages[starts[-1] :] if starts else ()
