"""A request as the decoder takes it, and what comes back while it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from seal_agent.config import AnswerStyle
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import Completion, Prompt, Sampling


@dataclass(frozen=True, slots=True)
class Call:
    """One prompt, of which `choices` completions are wanted."""

    prompt: Prompt
    sampling: Sampling
    weights: LoraAdapter | None = None
    choices: int = 1
    top: int | None = None
    """Alternatives that are reported beside the log-probability of every token; None: no log-probabilities."""
    style: AnswerStyle = "plain"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as text, its log-probability in nats, and the likeliest tokens in its place."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """More text of one choice."""

    index: int
    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """One choice is whole; all its text came in pieces before."""

    index: int
    completion: Completion


@dataclass(frozen=True, slots=True)
class Failed:
    """The request cannot be answered."""

    error: Exception


Event = Piece | Finished | Failed
Deliver = Callable[[Event], None]
"""Takes events on the decoder's thread."""


class Written(Protocol):
    """A request that is being written."""

    def leave(self) -> None:
        """Nobody reads it any longer."""
        ...


class Decoder(Protocol):
    """What writes completions for many clients at once."""

    def prepare(self, call: Call) -> Callable[[Deliver], Written]:
        """Check a call, which may take a second; the result begins it. Raises InputError, ApiError."""
        ...

    def load(self) -> tuple[int, int]:
        """How many rows wait, and how many are decoded."""
        ...

    def close(self) -> None:
        """Give up what is not finished, and end."""
        ...
