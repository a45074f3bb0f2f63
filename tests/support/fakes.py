"""Stand-ins that need no weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.types import Chat, Completion, Grammar, Prompt, Sampling, SoftLabel

Script = Mapping[str, str] | Callable[[str, LoraAdapter | None], str]


@dataclass(frozen=True)
class Call:
    """One call of `generate`, as it came in."""

    prompts: tuple[Prompt, ...]
    sampling: Sampling
    adapters: tuple[LoraAdapter | None, ...]


BRANCH = "\N{DOWNWARDS ARROW}"
"""Separates the branches that a script says."""


@dataclass
class ScriptedEngine:
    """An Engine that says what its script says: a function of the last turn and the adapter, or a table.

    A table answers with the value of the first key that the last turn contains, else with "".
    """

    script: Script = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    likelihood: Callable[[str, str], float] = lambda prompt, continuation: -1.0
    """Log-probability of every word of a continuation after a prompt's last turn."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        grammars: Sequence[Grammar | None] | None = None,
    ) -> list[Completion]:
        adapters = tuple(adapters) if adapters is not None else (None,) * len(prompts)
        self.calls.append(Call(tuple(prompts), sampling, adapters))
        texts = [self._say(prompt, adapter) for prompt, adapter in zip(prompts, adapters, strict=True)]
        if progress:
            progress(len(prompts), len(prompts))
        return [Completion(text, len(text.split()), 1, "stop") for text in texts]

    def stream(
        self, prompt: Prompt, sampling: Sampling, adapter: LoraAdapter | None = None
    ) -> Generator[str, None, Completion]:
        (said,) = self.generate([prompt], sampling, [adapter])
        yield from re.findall(r"\s*\S+|\s+", said.text)
        return said

    def branches(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        count: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        *,
        least: float = 0.0,
    ) -> list[list[Completion]]:
        """What the script says, of which it is sure; `BRANCH` separates branches."""
        completions = self.generate(prompts, sampling, adapters, progress)
        sure = [replace(completion, logprobs=(-0.01,)) for completion in completions]
        return [
            [replace(completion, text=text) for text in completion.text.split(BRANCH)[:count]] for completion in sure
        ]

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        last = [last_turn(prompt) for prompt in prompts]
        pairs = zip(last, continuations, strict=True)
        return [(self.likelihood(text, continuation),) * len(continuation.split()) for text, continuation in pairs]

    def soft_labels(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        top: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[SoftLabel, ...]]:
        """A teacher that is sure of every token."""
        return [tuple(SoftLabel((token,), (1.0,)) for token in ids) for ids in continuations]

    def _say(self, prompt: Prompt, adapter: LoraAdapter | None) -> str:
        text = last_turn(prompt)
        if callable(self.script):
            return self.script(text, adapter)
        return next((answer for key, answer in self.script.items() if key in text), "")


def last_turn(prompt: Prompt) -> str:
    """What was said last."""
    turns = prompt.turns if isinstance(prompt, Chat) else prompt
    return turns if isinstance(turns, str) else turns[-1].content
