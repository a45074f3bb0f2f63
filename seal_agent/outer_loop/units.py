"""The unit of work: some contexts, the adapters to try on each, and what those adapters are asked.

A unit says all that decides its result, so that it may be run anywhere, by any worker, again after a crash, and comes
out the same: its adapters share one batch whose members never depend on what else there is to do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.store import files as files
from seal_agent.types import Answer, Context, Question, SelfEdit, content_hash

Item = TypeVar("Item")
"""What a domain's contexts are: a passage, a puzzle."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A base model kept warm, and what answers and grades with it."""

    base: BaseModel
    engine: Engine
    grader: Grader
    adapters: Path | None = None
    """Where trained adapters are kept; None: they are dropped as soon as they are judged."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One adapter to train and ask: on a self-edit and the context, or (None) on the context alone."""

    edit: SelfEdit | None
    seed: int


@dataclass(frozen=True, slots=True)
class Case(Generic[Item]):
    """One context, what is tried on it, and what is asked about it.

    `selecting` questions decide which self-edits are kept, `reporting` ones never do, `own` ones were written by the
    model itself and have no answers that count.
    """

    item: Item
    title: str
    selecting: tuple[Question, ...]
    reporting: tuple[Question, ...] = ()
    own: tuple[Question, ...] = ()
    trials: tuple[Trial, ...] = ()


@dataclass(frozen=True, slots=True)
class Unit(Generic[Item]):
    """Cases evaluated together.

    `guard` questions are about other things, which every adapter should still know; each of a case's own questions is
    answered `samples` times.
    """

    base: str
    cases: tuple[Case[Item], ...]
    inner_loop: InnerLoopConfig
    guard: tuple[Context, ...] = ()
    samples: int = 0

    @property
    def key(self) -> str:
        """Content hash: two units with the same key have the same result."""
        return content_hash(asdict(self))


@dataclass(frozen=True, slots=True)
class Asked:
    """What one adapter, or the base model, said about a case; `samples` holds a row for each of its own questions."""

    selecting: tuple[Answer, ...]
    reporting: tuple[Answer, ...] = ()
    guard: tuple[Answer, ...] = ()
    samples: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of a trial: what its adapter said, or why there is none."""

    trial: Trial
    answers: Asked | None
    failure: str = ""
    adapter: str = ""
    """Its folder, where adapters are kept."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case: what the base model said, and what came of every trial, in order."""

    baseline: Asked
    tried: tuple[Tried, ...]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A unit's result, case by case."""

    unit: str
    cases: tuple[CaseResult, ...]


Evaluate = Callable[[Unit[Item], Worker], Evaluated]
"""A domain's own evaluation: train a unit's adapters side by side, ask each of them and the base model everything."""


def kept(adapter: LoraAdapter, worker: Worker) -> str:
    """The folder of a trained adapter, where the worker keeps them; else ""."""
    return files.save(adapter, worker.base.name, worker.base.identity, worker.adapters) if worker.adapters else ""
