"""A trajectory of two steps, and what it is made of."""

from __future__ import annotations

from seal_agent.agents.trajectories.trajectory import Step, Trajectory
from seal_agent.generation.answer_form.form import Tool
from seal_agent.types import ToolCall

TOOL = Tool("open", "Open a door.", {"type": "object", "properties": {"door": {"type": "string"}}})
RED, BLUE = ToolCall("open", '{"door": "red"}'), ToolCall("open", '{"door": "blue"}')
TRAJECTORY = Trajectory(
    "Open the red door, then the blue one.",
    (Step("Two doors.", RED), Step("The red door is open.", BLUE)),
    "success",
    "environment:doors",
    (TOOL,),
    result="Both are open.",
    answer="Done.",
    source="run:1",
)
