"""Measuring with the real model: finished work is read from the run's ledger, the rest is done and recorded there.

The ledger has one piece for each recipe and passage, and one for the notes about a passage, which all recipes share
that write alike. Units are filled from what is missing.
"""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from seal_agent.adaptation.lesson import Lesson
from seal_agent.config import SelfEditConfig, TuneConfig
from seal_agent.grading.judge import JudgeGrader
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import Executor, InlineExecutor
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.measure import RecipeTrial, TuneResult, TuneUnit, WriteUnit, evaluate, write
from seal_agent.outer_loop.tuning.mutations import Propose
from seal_agent.outer_loop.tuning.proposals import MAX_TOKENS, TEMPERATURE, proposal_prompt
from seal_agent.outer_loop.tuning.settings import change_schema
from seal_agent.outer_loop.tuning.stages import Probe
from seal_agent.outer_loop.units import Worker
from seal_agent.seeds import derived_seed
from seal_agent.types import Context, Grammar, Message, Sampling, content_hash

MEASURE, PROPOSE, SECONDS, WRITE, MISSING = "measure", "propose", "seconds", "write", "missing"
"""Kinds of pieces in the ledger."""

CPU_PASSAGES = 6  # in a unit on a processor, where one takes minutes: what a kill may lose; not tuned

_CHAT_TOKENS = 64  # room for what a chat template adds; not tuned

TuneProgress = Callable[[int, int, int], None]
"""Called with the step, and with how many of its passages are learnt, of how many."""


def no_progress(step: int, done: int, total: int) -> None:
    """Reports nothing."""


@dataclass(frozen=True, slots=True)
class _Missing:
    """What was not on file when some measurements were begun: keys of pieces, and of lessons.

    It says which units they are done in, so that a run that is begun again does them in the same ones.
    """

    pieces: tuple[str, ...]
    lessons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Written:
    """A lesson under its key; None where it could not be written."""

    key: str
    lesson: Lesson | None


@dataclass(frozen=True, slots=True)
class _Piece:
    """A recipe on a passage, with the keys under which the ledger has its score and its lesson."""

    candidate: Candidate
    passage: Context
    key: str
    lesson: str


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
        self._lessons = {piece.key: (piece.lesson, seconds) for piece, seconds in run.pieces(WRITE, _Written)}

    def measure(self, step: int, probes: Sequence[Probe]) -> list[tuple[PassageScore, ...]]:
        """The scores of each probe's passages, from the ledger or measured now and recorded as they come in.

        Where a judge graded nothing of a passage, its unit is measured again: the judge may be back.
        """
        rows = [[self._piece(probe.candidate, passage) for passage in probe.passages] for probe in probes]
        pieces = {piece.key: piece for row in rows for piece in row}
        missing = self._missing(step, pieces)
        banks = self._parts([pieces[key] for key in missing.pieces])
        units = {self._unit(bank).key: bank for bank in banks if not all(map(self._stands, bank))}
        done = len(pieces) - sum(map(len, units.values()))

        def report(learnt: int = 0, _: int = 0) -> None:
            """The passages of finished units, and those of the unit at work."""
            self.progress(step, done + learnt, len(pieces))

        report()
        if units:
            self._write(step, [pieces[key] for key in missing.pieces], missing.lessons)
        is_here = isinstance(self.executor, InlineExecutor)  # elsewhere a unit tells nothing before its end
        at_work = [self._unit(bank) for bank in units.values()]
        for finished in self.executor.map(at_work, partial(evaluate, progress=report) if is_here else evaluate):
            bank = units[finished.unit.key]
            self._record(step, bank, finished.result, finished.seconds)
            done += len(bank)
            report()
        return [tuple(self._score(piece) for piece in row) for row in rows]

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
        """Seconds of the work of all steps before one, and of all confirming on file."""
        spent = self.run.seconds().items()
        return sum(seconds for (step, kind), seconds in spent if step < before and kind != SECONDS)

    def overhead(self, before: int) -> float:
        """By how much work takes longer than writing and training: questions and texts, in all steps before one."""
        work = charged = 0.0
        for (step, kind), seconds in self.run.seconds().items():
            if 0 <= step < before:
                work += seconds if kind in (MEASURE, WRITE) else 0.0
                charged += seconds if kind == SECONDS else 0.0
        return work / charged if charged else 1.0

    def judged(self, step: int) -> Counter[str]:
        """How many passages each candidate learnt in a step, in this run and in those that it goes on from."""
        counts = Counter[str]()
        for piece, _ in self.run.pieces(SECONDS, Timed):
            counts[piece.candidate] += piece.passages if piece.step == step else 0
        return +counts

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

    def _piece(self, candidate: Candidate, passage: Context) -> _Piece:
        base, seed = self.worker.base.identity, self.config.seed
        score = TuneUnit(base, (RecipeTrial(candidate.recipe, (passage,)),), self.neutral, seed).key
        lesson = WriteUnit(base, candidate.recipe.self_edit, (passage,), seed).key
        return _Piece(candidate, passage, content_hash([MEASURE, score]), content_hash([WRITE, lesson]))

    def _missing(self, step: int, pieces: Mapping[str, _Piece]) -> _Missing:
        """What some measurements lack, or lacked when they were begun."""
        key = content_hash([MISSING, step, list(pieces)])
        if kept := self.run.find(key, _Missing):
            return kept
        own = tuple(name for name, piece in pieces.items() if not self._stands(piece))
        lessons = dict.fromkeys(pieces[name].lesson for name in own)
        missing = _Missing(own, tuple(name for name in lessons if name not in self._lessons))
        if own:
            self.run.record(key, MISSING, step, missing)
        return missing

    def _write(self, step: int, pieces: Sequence[_Piece], lessons: Sequence[str]) -> None:
        """Write and record the lessons with these keys, those of the same settings in one batch."""
        first = {piece.lesson: piece for piece in reversed(pieces) if piece.lesson in lessons}
        by_settings = defaultdict[SelfEditConfig, list[_Piece]](list)
        for key in lessons:
            by_settings[first[key].candidate.recipe.self_edit].append(first[key])
        units: dict[str, list[_Piece]] = {}
        for settings, own in by_settings.items():
            for part in self._parts(own):
                if not all(piece.lesson in self._lessons for piece in part):
                    units[self._write_unit(settings, part).key] = part
        at_work = [self._write_unit(part[0].candidate.recipe.self_edit, part) for part in units.values()]
        for finished in self.executor.map(at_work, write):
            part = units[finished.unit.key]
            seconds = finished.seconds / len(part)
            for piece, lesson in zip(part, finished.result.lessons, strict=True):
                self.run.record(piece.lesson, WRITE, step, _Written(piece.lesson, lesson), seconds, again=True)
                self._lessons[piece.lesson] = lesson, seconds

    def _write_unit(self, settings: SelfEditConfig, pieces: Sequence[_Piece]) -> WriteUnit:
        passages = tuple(piece.passage for piece in pieces)
        return WriteUnit(self.worker.base.identity, settings, passages, self.config.seed)

    def _unit(self, pieces: Sequence[_Piece]) -> TuneUnit:
        of_recipes: dict[str, list[_Piece]] = {}
        for piece in pieces:
            of_recipes.setdefault(piece.candidate.id, []).append(piece)
        trials = tuple(
            RecipeTrial(
                own[0].candidate.recipe,
                tuple(piece.passage for piece in own),
                tuple(self._lessons.get(piece.lesson, (None, 0.0))[0] for piece in own),
            )
            for own in of_recipes.values()
        )
        return TuneUnit(self.worker.base.identity, trials, self.neutral, self.config.seed)

    def _parts(self, pieces: Sequence[_Piece]) -> list[list[_Piece]]:
        """The pieces in parts of a unit's size: what one bank trains, and what a kill may lose."""
        return [list(pieces[i : i + self._unit_size]) for i in range(0, len(pieces), self._unit_size)]

    def _stands(self, piece: _Piece) -> bool:
        """Whether a piece is on file and need not be measured again."""
        score = self.run.find(piece.key, PassageScore)
        return score is not None and (score.accuracy is not None or not isinstance(self.worker.grader, JudgeGrader))

    def _score(self, piece: _Piece) -> PassageScore:
        score = self.run.find(piece.key, PassageScore)
        assert score, "what was missing is measured"
        return score

    def _record(self, step: int, pieces: Sequence[_Piece], result: TuneResult, seconds: float) -> None:
        """The seconds first: a piece whose score is on file has them. Writing counts for each recipe that uses it."""
        of_recipes = dict.fromkeys(piece.candidate.id for piece in pieces)
        scores = {name: iter(own) for name, own in zip(of_recipes, result.scores, strict=True)}
        shares = {
            name: spent / len(own) for name, own, spent in zip(of_recipes, result.scores, result.seconds, strict=True)
        }
        for piece in pieces:
            name = piece.candidate.id
            spent = shares[name] + self._lessons.get(piece.lesson, (None, 0.0))[1]
            self.run.record(content_hash([SECONDS, piece.key]), SECONDS, step, Timed(name, 1, step), spent, again=True)
            self.run.record(piece.key, MEASURE, step, next(scores[name]), seconds / len(pieces), again=True)

    def _complete(self, prompt: str, seed: int) -> str:
        """The model's completion; "" where the prompt does not fit its window, which counts as a failed proposal."""
        if len(self.worker.base.tokens(prompt)) + MAX_TOKENS + _CHAT_TOKENS > self.worker.base.window:
            return ""
        schema: dict[str, Any] = change_schema()
        sampling = Sampling(MAX_TOKENS, TEMPERATURE, seed=seed, grammar=Grammar("json_schema", json.dumps(schema)))
        (completion,) = self.worker.engine.generate([(Message("user", prompt),)], sampling)
        return completion.text
