"""A small world for agents: doors, keys for some of them, and a button that only looks like success."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes import ScriptedEngine
from outer_loop_fakes import weight_of

from seal_agent.agents.environments.environment import Action, Observation, Task
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Chat, Completion, Prompt, Sampling

COLOURS = ("red", "blue", "green", "white", "black", "brown")


def tool(name: str, **parameters: str) -> dict[str, Any]:
    properties = {parameter: {"type": "string", "enum": list(COLOURS)} for parameter in parameters}
    schema = {"type": "object", "properties": properties, "required": list(parameters), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


class Doors:
    """Grade 1: open a door. Grade 2: take its key first. `win` ends the task and opens nothing."""

    name = "doors"
    max_steps = 4
    opened = 0
    """Environments that were made and not closed yet, over all instances."""

    def __init__(self) -> None:
        Doors.opened += 1
        self._task, self._key, self._open = None, "", ""
        self.resets = 0

    @property
    def tasks(self) -> Sequence[Task]:
        easy = [Task(f"open-{colour}", f"Open the {colour} door.", 1, "open") for colour in COLOURS]
        hard = [Task(f"unlock-{colour}", f"Open the locked {colour} door.", 2, "unlock") for colour in COLOURS]
        return [*easy, *hard]

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        return [tool("open", door="colour"), tool("take", key="colour"), tool("win")]

    def reset(self, task: Task, seed: int = 0) -> Observation:
        self._task, self._key, self._open = task, "", ""
        self.resets += 1
        return Observation("You stand before six doors.")

    def step(self, action: Action) -> Observation:
        if action.name == "win":
            return Observation("A sign says: task done!", done=True)
        if action.name == "take":
            self._key = action.arguments["key"]
            return Observation(f"You hold the {self._key} key.")
        door = action.arguments.get("door", "")
        if "locked" in self._task.goal and self._key != door:
            return Observation(f"The {door} door is locked.")
        self._open = door
        return Observation(f"The {door} door is open.", done=True)

    def success(self) -> bool:
        return self._task is not None and f" {self._open} door" in self._task.goal and bool(self._open)

    def shortcut(self, task: Task) -> Action | None:
        return Action("win", {})

    def screenshot(self) -> bytes | None:
        return b"\x89PNG " + self._open.encode()

    def close(self) -> None:
        Doors.opened -= 1


def call(name: str, **arguments: str) -> str:
    return json.dumps({"name": name, "arguments": arguments})


@dataclass
class DoorsEngine(ScriptedEngine):
    """Acts by what its seed and its adapter's weights say: the base model is right one time in four, a policy nearly
    always. Nothing depends on what else is in a batch."""

    prompts: list[Prompt] = field(default_factory=list)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: object = None,
        grammars: object = None,
    ) -> list[Completion]:
        self.prompts += prompts
        using = list(adapters) if adapters is not None else [None] * len(prompts)
        texts = [
            self._act(prompt, adapter, sampling, row)
            for row, (prompt, adapter) in enumerate(zip(prompts, using, strict=True))
        ]
        return [Completion(text, len(text.split()), 1, "stop") for text in texts]

    def _act(self, prompt: Prompt, adapter: LoraAdapter | None, sampling: Sampling, row: int) -> str:
        turns = prompt.turns if isinstance(prompt, Chat) else prompt
        said = " ".join(turn.content for turn in turns if turn.role == "user")
        weight = weight_of(adapter) if adapter else 0
        seed = (sampling.seed + row) if sampling.temperature else 0
        draw = random.Random(f"{said} {seed} {weight}")
        colour = re.search(r"Open the (?:locked )?(\w+) door", said)[1]
        right = self._right(said, colour)
        if draw.random() < (0.95 if adapter else 0.3):
            return right
        return draw.choice(
            [call("win"), call("take", key=draw.choice(COLOURS)), call("open", door=draw.choice(COLOURS))]
        )

    @staticmethod
    def _right(said: str, colour: str) -> str:
        if "locked" in said and f"hold the {colour} key" not in said:
            return call("take", key=colour)
        return call("open", door=colour)
