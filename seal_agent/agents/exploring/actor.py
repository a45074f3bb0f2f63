"""An agent that acts: prompts in ChatSeal's form of tool calls, decoding constrained to the tools' JSON schemas."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.agents.trajectories.conversation import fitted_before, room_for
from seal_agent.agents.trajectories.trajectory import Step
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ExplorationConfig
from seal_agent.errors import TooLongError
from seal_agent.generation.answer_form.form import Form, Tool
from seal_agent.generation.answer_form.prompt import prompt_in_form
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.seeds import derived_seed
from seal_agent.types import Grammar, Prompt, Sampling, ToolCall


@dataclass(frozen=True, slots=True)
class View:
    """What an agent knows before it acts: the goal, what it saw and did, and what it sees now.

    `calls` are the tools as they can be called now, where the environment tells.
    """

    goal: str
    steps: tuple[Step, ...]
    observation: str
    calls: tuple[Tool, ...] = ()


@dataclass(frozen=True, slots=True)
class Actor:
    """A base model with a policy (None: the base model alone) that can call some tools.

    One that explores keeps to the calls that an environment says are possible now, and often to a tool drawn evenly: a
    small model calls one tool again and again, and would never find out what the others are for.
    """

    base: BaseModel
    engine: Engine
    policy: LoraAdapter | None
    tools: tuple[Tool, ...]
    config: ExplorationConfig
    explores: bool = False

    def act(self, views: Sequence[View], temperature: float, seed: int, count: int = 1) -> list[list[ToolCall]]:
        """`count` calls for each view, all in one batch. A completion that is no whole call is left out.

        Returns the different calls of each view, in the order in which they were drawn. Raises TooLongError.
        """
        form = Form(self.tools, must_call=True)
        prompts = [prompt for view in views for prompt in [self._prompt(view, form)] * count]
        tokens = self.config.action_tokens
        sampling = Sampling(tokens, temperature, self.config.top_p, seed=seed, grammar=form.grammar(tokens))
        rng = random.Random(derived_seed(seed, "tools"))
        grammars = [self._grammar(view, form, rng) for view in views for _ in range(count)]
        completions = self.engine.generate(prompts, sampling, [self.policy] * len(prompts), grammars=grammars)
        calls = [_call(completion.text, form) for completion in completions]
        rows = [calls[i : i + count] for i in range(0, len(calls), count)]
        return [list(dict.fromkeys(call for call in row if call is not None)) for row in rows]

    def _grammar(self, view: View, form: Form, rng: random.Random) -> Grammar | None:
        """What one call is held to beside the form; None for nothing."""
        if not self.explores:
            return None
        tools = view.calls if view.calls and self.config.possible_calls else self.tools
        if rng.random() < self.config.any_tool:
            tools = (rng.choice(tools),)
        return form.grammar_of_calls(tools, self.config.action_tokens)

    def _prompt(self, view: View, form: Form) -> Prompt:
        """Raises TooLongError where a call would not fit the model's window, however much of what is seen was cut."""
        base, free = self.base, self.config.action_tokens
        room = room_for(base, self.config.context_tokens, free)
        turns = fitted_before(base, view.goal, view.steps, view.observation, self.tools, room)
        prompt = prompt_in_form(turns, form, base)
        if (tokens := len(base.encode(prompt))) > base.window - free:
            raise TooLongError(
                f"the goal {view.goal!r:.60} and the tools need {tokens} tokens and a call {free} more, but the "
                f"model's window is {base.window}; lower action_tokens, or use a model with a larger window"
            )
        return prompt


def _call(text: str, form: Form) -> ToolCall | None:
    """The call that a completion is; None where it was cut off."""
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    if form.only_call:
        parsed = {"name": form.only_call.name, "arguments": parsed}
    if not isinstance(parsed, dict):
        return None
    name, arguments = parsed.get("name"), parsed.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return ToolCall(name, json.dumps(arguments, ensure_ascii=False))
