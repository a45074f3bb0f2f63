"""The unit of work: some contexts, the adapters to try on each, and the questions for those adapters.

A unit holds everything that decides its result. Any worker may run it, also again after a crash, and gets the same
result: its adapters share one batch whose members never depend on what else there is to do.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Generic, TypeVar

from seal_agent.base_model.model import BaseModel
from seal_agent.config import InnerLoopConfig, recorded_settings
from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import Grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.store import files
from seal_agent.types import Answer, Context, Question, SelfEdit, content_hash

Item = TypeVar("Item")
"""A domain's own kind of context: a passage, a puzzle."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A loaded base model, the engine that answers with it, and the grader."""

    base: BaseModel
    engine: Engine
    grader: Grader
    adapters: Path | None = None
    """Folder for trained adapters; None drops each adapter once it is evaluated."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One adapter to train and question: on a self-edit and the context, or (None) on the context alone."""

    edit: SelfEdit | None
    seed: int


@dataclass(frozen=True, slots=True)
class Case(Generic[Item]):
    """One context with its trials and its questions.

    `selecting` questions decide which self-edits are kept; `reporting` questions never do. The model wrote the `own`
    questions itself, so their answers are not graded against a gold answer.
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

    `guard` questions are about unrelated topics that every adapter should still know. Each of a case's own questions
    is answered `samples` times.
    """

    base: str
    cases: tuple[Case[Item], ...]
    inner_loop: InnerLoopConfig
    guard: tuple[Context, ...] = ()
    samples: int = 0

    @property
    def key(self) -> str:
        """Content hash: two units with the same key have the same result."""
        return content_hash(recorded_settings(asdict(self)))


@dataclass(frozen=True, slots=True)
class CaseAnswers:
    """What one adapter, or the base model, answered about a case; `samples` has one row per own question."""

    selecting: tuple[Answer, ...]
    reporting: tuple[Answer, ...] = ()
    guard: tuple[Answer, ...] = ()
    samples: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class TrialResult:
    """A trial's answers, or the reason why there are none."""

    trial: Trial
    answers: CaseAnswers | None
    failure: str = ""
    adapter: str = ""
    """Name of the adapter's folder, where adapters are kept."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The base model's answers to one case, and the result of every trial, in order."""

    baseline: CaseAnswers
    tried: tuple[TrialResult, ...]


@dataclass(frozen=True, slots=True)
class UnitResult:
    """A unit's results, one per case; `unit` is the unit's key."""

    unit: str
    cases: tuple[CaseResult, ...]


def save_adapter(adapter: LoraAdapter, worker: Worker) -> str:
    """Save a trained adapter and return its folder's name; "" where the worker keeps no adapters."""
    return files.save(adapter, worker.base.name, worker.base.identity, worker.adapters) if worker.adapters else ""
