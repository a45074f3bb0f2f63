"""The seam between what is to be said and what says it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.types import Completion, Grammar, Prompt, Sampling, SoftLabel


def before_stop(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop strings."""
    cuts = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(cuts)] if cuts else text


class Engine(Protocol):
    """Anything that completes prompts. The contract is written out in tests/support/engine_contract.py."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        grammars: Sequence[Grammar | None] | None = None,
    ) -> list[Completion]:
        """One completion per prompt, in order; row i speaks with adapters[i], or as the base model.

        Row i is held to grammars[i], and where that is None to the grammar of `sampling`, if it has one.
        A prompt too long for the model's window raises InputError.
        """
        ...

    def stream(
        self, prompt: Prompt, sampling: Sampling, adapter: LoraAdapter | None = None
    ) -> Generator[str, None, Completion]:
        """The same text as `generate` gives for this one prompt, in pieces as it is written; returns the whole."""
        ...

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        """Log-probability in nats of every token of continuation i after prompt i, as the model of row i sees it.

        A continuation without a token scores (). Prompt and continuation too long for the window raise InputError.
        """
        ...

    def soft_labels(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        top: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[SoftLabel, ...]]:
        """What the model of row i expects at every token of continuation i (ids) after prompt i: its `top` likeliest.

        Prompt and continuation too long for the window raise InputError.
        """
        ...
