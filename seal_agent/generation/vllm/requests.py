"""What the engine asks of vLLM, in token ids, and what comes back; the same for both ways to reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from seal_agent.types import Grammar

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values that vLLM takes for max_lora_rank (vLLM 0.32, config/lora.py)."""

Done = Callable[[], None]
"""Called once for every request that is finished."""


def smallest_rank(rank: int) -> int | None:
    """The smallest max_lora_rank that serves adapters of this rank; None if vLLM has none so large."""
    return next((allowed for allowed in RANKS if allowed >= rank), None)


@dataclass(frozen=True, slots=True)
class ServedAdapter:
    """An adapter as vLLM knows it. A name and an id are given once and never to other weights."""

    name: str
    number: int
    folder: Path
    """A PEFT folder."""
    rank: int


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt, and how to go on from it."""

    prompt_ids: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    top: int = 0
    """How many likely tokens are reported at each position beside the one that stands there."""
    prompt_top: int | None = None
    """The same for the positions of the prompt; None: nothing is reported about them."""
    grammar: Grammar | None = None
    allowed_ids: tuple[int, ...] = ()
    """The only tokens that may be chosen; empty: all may."""
    adapter: ServedAdapter | None = None


@dataclass(slots=True)
class Written:
    """What vLLM wrote so far: tokens, and the log-probabilities in nats of likely tokens at each position.

    Log-probabilities are the model's own, before temperature, grammar and `allowed_ids`. Of the prompt's positions the
    first has none.
    """

    ids: list[int] = field(default_factory=list)
    logprobs: list[Mapping[int, float]] = field(default_factory=list)
    prompt_logprobs: list[Mapping[int, float]] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None


def apart(requests: Sequence[Request]) -> list[list[int]]:
    """Numbers of the requests without an adapter and of those with one, as far as there are any.

    vLLM's CPU kernels answer a row without an adapter as if it had one, if another row of the batch has
    (vllm-project/vllm pull request 48421). Computed one group after the other, both are right.
    """
    groups = [
        [i for i, request in enumerate(requests) if request.adapter is None],
        [i for i, request in enumerate(requests) if request.adapter is not None],
    ]
    return [group for group in groups if group]


class AdaptersLost(Exception):
    """vLLM was started anew, and knows none of the adapters that it was given before."""


class Backend(Protocol):
    """A way to reach vLLM. Threads may share it."""

    max_adapters: int
    """How many adapters it keeps ready at once."""

    @property
    def window(self) -> int:
        """Longest input and output together, in tokens."""
        ...

    def run(self, requests: Sequence[Request], done: Done) -> list[Written]:
        """The answers to all requests, in order. Raises EngineError, AdaptersLost."""
        ...

    def stream(self, request: Request) -> Iterator[Written]:
        """What is written so far, after every few tokens; the last one is finished. Raises as `run` does."""
        ...

    def load(self, adapter: ServedAdapter) -> None:
        """Make an adapter ready. Raises AdapterError where vLLM does not take it, EngineError."""
        ...

    def unload(self, adapter: ServedAdapter) -> None:
        """Drop an adapter; nothing happens if it is not loaded, or vLLM is gone."""
        ...

    def generation(self) -> int:
        """Grows when vLLM was started anew, so that it knows none of the adapters any more."""
        ...

    def resting(self) -> AbstractContextManager[None]:
        """A block in which vLLM holds no memory that others need, if it was asked to sleep."""
        ...

    def close(self) -> None:
        """Free what it holds; a later call starts it anew."""
        ...
