"""Rows of a batch: prompts that are decoded, and prompts with a given continuation that is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import SeenPicture
from seal_agent.errors import InputError, TooLongError
from seal_agent.generation.constraints import Constraint
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.seeing import adapter_for_eyes
from seal_agent.types import Chat, Illustrated, Message, Prompt, Sampling

_Value = TypeVar("_Value")


@dataclass(slots=True)
class DecodingRow:
    """A prompt and its completion so far."""

    prompt_ids: list[int]
    adapter: LoraAdapter | None
    stop: tuple[str, ...]
    generator: torch.Generator
    constraint: Constraint | None = None
    generated: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish: Literal["stop", "length"] | None = None
    branch: int = 0
    """Which of the likeliest first tokens it begins with, counted from 0."""
    dropped: bool = False
    """A branch that is too unlikely to be written."""
    pictures: tuple[SeenPicture, ...] = ()
    """The pictures of its prompt."""


Alternatives = tuple[tuple[int, float], ...]
"""The likeliest tokens of one position and their log-probabilities, likeliest first."""


@dataclass(slots=True, eq=False)
class LiveRow:
    """A row with its own sampling, among rows that come and go. `top` alternatives are kept of every token."""

    row: DecodingRow
    sampling: Sampling
    top: int = 0
    alternatives: list[Alternatives] = field(default_factory=list)
    left: bool = False
    """Its reader has gone away: it leaves the batch before the next token."""
    sent: int = 0
    """Characters of its text that were given out."""

    @property
    def finished(self) -> bool:
        return self.row.finish is not None


@dataclass(frozen=True, slots=True)
class ForcedRow:
    """A prompt and its given continuation (teacher forcing)."""

    prompt_ids: list[int]
    continuation_ids: list[int]
    adapter: LoraAdapter | None
    pictures: tuple[SeenPicture, ...] = ()
    """The pictures of its prompt."""

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.continuation_ids)


def one_per_prompt(name: str, values: Sequence[_Value | None] | None, prompts: Sequence[Prompt]) -> list[_Value | None]:
    """One value per prompt, None for all if `values` is None. Raises InputError if the numbers differ."""
    if values is None:
        return [None] * len(prompts)
    if len(values) != len(prompts):
        raise InputError(f"{len(prompts)} prompts but {len(values)} {name}; give one, or None, for each")
    return list(values)


def ids_of(base: BaseModel, prompt: Prompt, adapter: LoraAdapter | None = None) -> list[int]:
    """Token ids of a prompt that an adapter is to continue. Raises InputError for an empty one."""
    ids = base.encode(prompt, adapter_for_eyes(base.module, adapter))
    if not ids:
        raise InputError("the prompt is empty; give the model something to continue")
    return ids


def check_blind(prompts: Sequence[Prompt], engine: str) -> None:
    """Raises InputError for prompts with pictures, which an engine cannot show to its model."""
    for prompt in prompts:
        if any(part.pictures for part in _parts(prompt)):
            raise InputError(f"the engine {engine} takes no pictures; use engine='hf' for them")


def _parts(prompt: Prompt) -> Sequence[Message | Illustrated]:
    """What of a prompt may hold pictures."""
    match prompt:
        case str():
            return ()
        case Illustrated():
            return (prompt,)
        case Chat():
            return prompt.turns
    return prompt


def check_room(prompt_tokens: int, max_tokens: int, window: int) -> None:
    """Raises TooLongError for a prompt that leaves too little of the window for its completion."""
    if prompt_tokens + max_tokens > window:
        raise TooLongError(
            f"the prompt has {prompt_tokens} tokens and {max_tokens} more are wanted, "
            f"but the model's window is {window}; shorten the prompt or lower max_tokens"
        )


def check_forced(tokens: int, window: int) -> None:
    """Raises InputError for a prompt and a given continuation that exceed the window together."""
    if tokens > window:
        raise InputError(
            f"prompt and continuation have {tokens} tokens, but the model's window is {window}; shorten them"
        )


def pad_left(rows: Sequence[list[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, B×T."""
    longest = max(len(row) for row in rows)
    ids = [[pad_id] * (longest - len(row)) + row for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)
