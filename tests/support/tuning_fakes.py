"""Tuning without weights: a landscape of recipes, and tiny recipes that a scripted engine learns by."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from outer_loop_fakes import TINY, AdapterEngine, domain

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_ANSWERS, Recipe, SelfEditConfig, TuneConfig
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.executors.executor import FinishedUnit
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.costs import relative_cost
from seal_agent.outer_loop.tuning.measure import TuneResult, TuneUnit, WriteResult, WriteUnit
from seal_agent.outer_loop.tuning.mutations import Propose
from seal_agent.outer_loop.tuning.passages import Split
from seal_agent.outer_loop.tuning.stages import Probe, passage_id
from seal_agent.outer_loop.units import Worker
from seal_agent.types import Context, Prompt, Question

NOTES = SelfEditConfig(formats=("rewrite",), temperature=1.0, verify="off")
DEFAULT = Recipe(NOTES, TINY, PLAIN_ANSWERS)
PAPER = Recipe(NOTES, replace(TINY, epochs=2, rank=4), PLAIN_ANSWERS)
ROOTS = (Candidate.named("default", DEFAULT), Candidate.named("paper", PAPER))
CONFIG = TuneConfig(stages=(1, 2), confirming=2, neutral=2, children=2, adapters=4, max_harm=1e9)


def passages(count: int) -> list[Context]:
    """Passages with a question each, which no model reads."""
    return [Context(f"Passage {i} says so.", f"Title {i}", (Question("What?", ("so",)),)) for i in range(count)]


def split() -> Split:
    """Four passages about keepers of keys: two select and two confirm."""
    contexts = domain(4).contexts
    return Split(contexts[:2], contexts[2:], ("Tarawa is in Kiribati.", "The river is long and slow."))


@dataclass
class Landscape:
    """A laboratory whose recipes are the better, the nearer their epochs are to 8 and their rate to 2e-3."""

    noise: float = 0.1
    harmful_epochs: int = 100
    measured: list[tuple[int, str, int]] = field(default_factory=list)

    def measure(self, step: int, probes: Sequence[Probe]) -> list[tuple[PassageScore, ...]]:
        self.measured += [(step, probe.candidate.id, len(probe.passages)) for probe in probes]
        return [tuple(self._score(probe.candidate, passage) for passage in probe.passages) for probe in probes]

    def proposer(self, archive: Archive, step: int, place: int) -> Propose | None:
        return None

    def quality(self, recipe: Recipe) -> float:
        """The true accuracy, 0..1."""
        epochs, rate = recipe.inner_loop.epochs, recipe.inner_loop.learning_rate
        return 0.9 * math.exp(-((math.log(epochs / 8) / 1.5) ** 2) - (math.log(rate / 2e-3) / 2) ** 2)

    def _score(self, candidate: Candidate, passage: Context) -> PassageScore:
        name = passage_id(passage)
        luck = random.Random(f"{candidate.id} {name}").gauss(0, self.noise)
        accuracy = min(1.0, max(0.0, self.quality(candidate.recipe) + luck))
        harm = 0.5 if candidate.recipe.inner_loop.epochs > self.harmful_epochs else 0.01
        return PassageScore(name, accuracy, harm, 100 * candidate.recipe.inner_loop.epochs)


@dataclass
class ClockedExecutor:
    """An executor on which a landscape's recipes take time that only the ledger knows of. Implements Executor."""

    landscape: Landscape
    reference: Recipe
    seconds_per_passage: float
    questions: float = 0.2  # of those seconds, that go into questions and texts
    learnt: int = 0

    def map(self, units: Sequence[Any], evaluate: Callable[..., Any]) -> Iterator[FinishedUnit[Any, Any]]:
        for unit in units:
            yield self._written(unit) if isinstance(unit, WriteUnit) else self._learnt(unit)

    def _written(self, unit: WriteUnit) -> FinishedUnit[WriteUnit, WriteResult]:
        return FinishedUnit(unit, WriteResult((None,) * len(unit.passages)), 0.0)

    def _learnt(self, unit: TuneUnit) -> FinishedUnit[TuneUnit, TuneResult]:
        own = [Candidate.named("", trial.recipe) for trial in unit.trials]
        counts = [len(trial.passages) for trial in unit.trials]
        self.learnt += sum(counts)
        probes = [Probe(each, trial.passages) for each, trial in zip(own, unit.trials, strict=True)]
        measured = self.landscape.measure(0, probes)
        seconds = [
            count * self.seconds_per_passage * relative_cost(trial.recipe, self.reference)
            for count, trial in zip(counts, unit.trials, strict=True)
        ]
        writing = tuple(spent * (1 - self.questions) for spent in seconds)
        return FinishedUnit(unit, TuneResult(tuple(measured), writing), sum(seconds))

    def close(self) -> None:
        """Does nothing."""


class TuningEngine(AdapterEngine):
    """Proposes a change by the seed when it is shown settings; otherwise as the outer loop's engine."""

    def _write(self, prompt: Prompt, adapter: LoraAdapter | None, seed: int) -> str:
        last = prompt if isinstance(prompt, str) else prompt[-1].content
        if "Propose one to three changes" in last:
            rank = random.Random(seed).choice((2, 3, 5, 6, 7))
            return json.dumps({"changes": [{"setting": "inner_loop.rank", "value": rank}]})
        return super()._write(prompt, adapter, seed)


def worker(base: BaseModel) -> Worker:
    return Worker(base, TuningEngine(), LexicalGrader())
