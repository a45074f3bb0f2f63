"""The interface between prompts and the model that completes them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.types import Completion, Grammar, Prompt, Sampling, SoftLabel


def before_stop(text: str, stops: Sequence[str]) -> str:
    """The text up to the first of the stop strings."""
    positions = [position for stop in stops if (position := text.find(stop)) >= 0]
    return text[: min(positions)] if positions else text


@runtime_checkable
class RestingEngine(Protocol):
    """An engine that can give its memory back while the GPU is used for something else."""

    def resting(self) -> AbstractContextManager[None]:
        """A block in which it answers nothing."""
        ...


def resting(engine: Engine) -> AbstractContextManager[None]:
    """A block in which an adapter is trained; an engine that can gives its memory back."""
    return engine.resting() if isinstance(engine, RestingEngine) else nullcontext()


class Engine(Protocol):
    """Anything that completes prompts. tests/support/engine_contract.py spells out the contract."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        grammars: Sequence[Grammar | None] | None = None,
    ) -> list[Completion]:
        """One completion per prompt, in order. Raises InputError for a prompt that does not fit the model's window.

        Args:
            prompts: Text, or chat turns in the model's own prompt style.
            sampling: How to choose tokens, for all rows.
            adapters: The adapter of each row; None for the base model.
            progress: Called with the number of finished prompts.
            grammars: The grammar of each row; where it is None, that of `sampling` applies, if it has one.
        """
        ...

    def stream(
        self, prompt: Prompt, sampling: Sampling, adapter: LoraAdapter | None = None
    ) -> Generator[str, None, Completion]:
        """Yield the text that `generate` gives for this prompt, in pieces as it is written; returns the completion."""
        ...

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
        """The greedy completions of each prompt that begin with its `count` likeliest first tokens, likeliest first.

        The first of them is the one that `generate` gives at temperature 0. The others are left out where their first
        token has a probability below `least`.
        """
        ...

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        """Log-probability in nats of every token of continuation i after prompt i, with adapter i.

        A continuation without tokens scores (). Raises InputError if prompt and continuation exceed the window.
        """
        ...

    def soft_labels(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[Sequence[int]],
        top: int,
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[SoftLabel, ...]]:
        """The `top` likeliest tokens at every position of continuation i (token ids) after prompt i, with adapter i.

        Raises InputError if prompt and continuation exceed the window.
        """
        ...
