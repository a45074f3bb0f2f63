"""Measuring with the real model: finished work is read from the run's ledger, the rest is done and recorded there."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from seal_agent.config import TuneConfig
from seal_agent.grading.judge import JudgeGrader
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import Executor, InlineExecutor
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.measure import RecipeTrial, TuneResult, TuneUnit, evaluate
from seal_agent.outer_loop.tuning.mutations import Propose
from seal_agent.outer_loop.tuning.proposals import MAX_TOKENS, TEMPERATURE, proposal_prompt
from seal_agent.outer_loop.tuning.settings import change_schema
from seal_agent.outer_loop.tuning.stages import Probe
from seal_agent.outer_loop.units import Worker
from seal_agent.seeds import derived_seed
from seal_agent.types import Context, Grammar, Message, Sampling, content_hash

MEASURE, PROPOSE, SECONDS = "measure", "propose", "seconds"
"""Kinds of pieces in the ledger."""

CPU_PASSAGES = 6  # in a unit on a processor, where one takes minutes: what a kill may lose; not tuned

_CHAT_TOKENS = 64  # room for what a chat template adds; not tuned

TuneProgress = Callable[[int, int, int], None]
"""Called with the step, and with how many of its passages are learnt, of how many."""


def no_progress(step: int, done: int, total: int) -> None:
    """Reports nothing."""


@dataclass(frozen=True, slots=True)
class _Scores:
    """What the ledger keeps of a unit: nothing that a clock decides."""

    scores: tuple[tuple[PassageScore, ...], ...]


@dataclass(frozen=True, slots=True)
class _Proposal:
    text: str


@dataclass(frozen=True, slots=True)
class Timed:
    """Whose seconds a piece of the ledger holds, for how many passages, in which step."""

    candidate: str
    passages: int
    step: int


class RunLaboratory:
    """Measures candidates on an executor. Implements Laboratory.

    The seconds of each candidate stand in the ledger's own column, beside what is hashed: they decide when a budget in
    minutes is used up, and nothing else.
    """

    def __init__(
        self,
        worker: Worker,
        executor: Executor,
        run: Run,
        config: TuneConfig,
        neutral: tuple[str, ...],
        *,
        proposes: bool = True,
        progress: TuneProgress = no_progress,
    ) -> None:
        self.worker, self.executor, self.run, self.config = worker, executor, run, config
        self.neutral, self.proposes, self.progress = neutral, proposes, progress
        on_cpu = worker.base.device.type == "cpu"
        self._unit_size = min(config.adapters, CPU_PASSAGES) if on_cpu else config.adapters

    def measure(self, step: int, probes: Sequence[Probe]) -> list[tuple[PassageScore, ...]]:
        """The scores of each probe's passages, from the ledger or measured now and recorded as they come in.

        Where a judge graded nothing of a passage, its unit is measured again: the judge may be back.
        """
        groups = self._groups(probes)
        units = [self._unit(group) for group in groups]
        group_by_key = {unit.key: group for unit, group in zip(units, groups, strict=True)}
        found = {key: kept for key in group_by_key if (kept := self.run.find(key, _Scores)) and self._stands(kept)}
        total = sum(map(_passages, group_by_key.values()))

        def report(learnt: int = 0, _: int = 0) -> None:
            """The passages of finished units, and those of the unit at work."""
            self.progress(step, sum(_passages(group_by_key[key]) for key in found) + learnt, total)

        report()
        missing = [unit for unit in units if unit.key not in found]
        is_here = isinstance(self.executor, InlineExecutor)  # elsewhere a unit tells nothing before its end
        for finished in self.executor.map(missing, partial(evaluate, progress=report) if is_here else evaluate):
            key = finished.unit.key
            found[key] = self._record(step, key, group_by_key[key], finished.result, finished.seconds)
            report()
        scores: dict[str, tuple[PassageScore, ...]] = {probe.candidate.id: () for probe in probes}
        for unit, group in zip(units, groups, strict=True):
            for probe, of_probe in zip(group, found[unit.key].scores, strict=True):
                scores[probe.candidate.id] += of_probe
        return [scores[probe.candidate.id] for probe in probes]

    def proposer(self, archive: Archive, step: int, place: int) -> Propose | None:
        """What the model proposes, decoded under the schema of a change; recorded in the ledger."""
        if not self.proposes:
            return None

        def propose(parent: Candidate) -> str:
            prompt = proposal_prompt(archive, parent)
            seed = derived_seed(self.config.seed, "propose", step, place)
            key = content_hash([PROPOSE, self.worker.base.identity, prompt, seed, TEMPERATURE])
            if kept := self.run.find(key, _Proposal):
                return kept.text
            started = time.perf_counter()
            text = self._complete(prompt, seed)
            self.run.record(key, PROPOSE, step, _Proposal(text), time.perf_counter() - started)
            return text

        return propose

    def seconds(self, before: int) -> float:
        """Seconds of the work of all steps before one."""
        spent = self.run.seconds().items()
        return sum(seconds for (step, kind), seconds in spent if 0 <= step < before and kind != SECONDS)

    def overhead(self, before: int) -> float:
        """By how much a unit takes longer than writing and training: questions and texts, in all steps before one."""
        spent = {MEASURE: 0.0, SECONDS: 0.0}
        for (step, kind), seconds in self.run.seconds().items():
            if kind in spent and 0 <= step < before:
                spent[kind] += seconds
        return spent[MEASURE] / spent[SECONDS] if spent[SECONDS] else 1.0

    def judged(self, step: int) -> set[str]:
        """The candidates that a step measured, in this run and in those that it goes on from."""
        return {piece.candidate for piece, _ in self.run.pieces(SECONDS, Timed) if piece.step == step}

    def paces(self, before: int | None = None) -> dict[str, float]:
        """Mean seconds that each candidate took to write and train one passage, in all steps before one (None: in all).

        Confirming counts in all of them alone.
        """
        passages, spent = defaultdict[str, int](int), defaultdict[str, float](float)
        for piece, seconds in self.run.pieces(SECONDS, Timed):
            if before is None or 0 <= piece.step < before:
                passages[piece.candidate] += piece.passages
                spent[piece.candidate] += seconds
        return {name: spent[name] / count for name, count in passages.items()}

    def _groups(self, probes: Sequence[Probe]) -> list[list[Probe]]:
        """The probes in parts of a unit's size: what one bank trains, and what a kill may lose."""
        rows = [(probe.candidate, passage) for probe in probes for passage in probe.passages]
        groups: list[list[Probe]] = []
        for start in range(0, len(rows), self._unit_size):
            passages: dict[str, tuple[Candidate, list[Context]]] = {}
            for candidate, passage in rows[start : start + self._unit_size]:
                passages.setdefault(candidate.id, (candidate, []))[1].append(passage)
            groups.append([Probe(candidate, tuple(own)) for candidate, own in passages.values()])
        return groups

    def _unit(self, probes: Sequence[Probe]) -> TuneUnit:
        trials = tuple(RecipeTrial(probe.candidate.recipe, probe.passages) for probe in probes)
        return TuneUnit(self.worker.base.identity, trials, self.neutral, self.config.seed)

    def _stands(self, kept: _Scores) -> bool:
        """Whether a unit need not be measured again."""
        grades = not isinstance(self.worker.grader, JudgeGrader)
        return grades or all(score.accuracy is not None for of_trial in kept.scores for score in of_trial)

    def _record(self, step: int, key: str, probes: Sequence[Probe], result: TuneResult, seconds: float) -> _Scores:
        """The seconds first: a unit whose scores are on file has them."""
        for number, (probe, spent) in enumerate(zip(probes, result.seconds, strict=True)):
            timed = Timed(probe.candidate.id, len(probe.passages), step)
            self.run.record(content_hash([SECONDS, key, number]), SECONDS, step, timed, spent, again=True)
        scores = _Scores(result.scores)
        self.run.record(key, MEASURE, step, scores, seconds, again=True)
        return scores

    def _complete(self, prompt: str, seed: int) -> str:
        """The model's completion; "" where the prompt does not fit its window, which counts as a failed proposal."""
        if len(self.worker.base.tokens(prompt)) + MAX_TOKENS + _CHAT_TOKENS > self.worker.base.window:
            return ""
        schema: dict[str, Any] = change_schema()
        sampling = Sampling(MAX_TOKENS, TEMPERATURE, seed=seed, grammar=Grammar("json_schema", json.dumps(schema)))
        (completion,) = self.worker.engine.generate([(Message("user", prompt),)], sampling)
        return completion.text


def _passages(group: Sequence[Probe]) -> int:
    return sum(len(probe.passages) for probe in group)
