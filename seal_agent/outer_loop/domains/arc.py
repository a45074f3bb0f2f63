"""ARC as a domain of the outer loop: tasks, JSON choices of how to train on them, solved or not."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any, Literal

from seal_agent.arc.grids import ArcTask, Grid, format_grid
from seal_agent.arc.picture import draw_task
from seal_agent.arc.self_edits import FORMAT, write_self_edits
from seal_agent.arc.solve import Attempted, Trial, solve, trial_of
from seal_agent.arc.text import attempts_in, attempts_text
from seal_agent.config import ArcConfig
from seal_agent.errors import InputError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.units import Asked, Case, CaseResult, Evaluated, Tried, Unit, Worker, kept
from seal_agent.progress import Progress
from seal_agent.types import Answer, Context, Question, SelfEdit, Verdict, content_hash

Measure = Literal["solved", "cells"]
"""What a self-edit is rewarded for: every test output right, as in the paper; or the share of their cells, which is
denser."""


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A task, and all that decides how it is trained on and judged."""

    task: ArcTask
    config: ArcConfig
    measure: Measure


@dataclass(frozen=True)
class ArcDomain:
    """Tasks of ARC. Raises InputError where there are none."""

    tasks: tuple[ArcTask, ...]
    config: ArcConfig = field(default_factory=ArcConfig)
    measure: Measure = "solved"

    def __post_init__(self) -> None:
        if not self.tasks:
            raise InputError("there are no tasks to train on; give at least one")

    @property
    def formats(self) -> tuple[str, ...]:
        return (FORMAT,)

    def settings(self) -> dict[str, Any]:
        """The domain, its config, and a hash of its tasks."""
        facts = {"domain": "arc", "measure": self.measure, "arc": asdict(self.config)}
        return {**facts, "data": content_hash([asdict(task) for task in self.tasks])}

    def items(self, count: int, skip: int, seed: int) -> list[ArcTask]:
        """Tasks in the seed's order."""
        shuffled = random.Random(seed).sample(self.tasks, len(self.tasks))
        return [shuffled[(skip + i) % len(shuffled)] for i in range(min(count, len(shuffled)))]

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        """None: an adapter for a task is thrown away after it. Raises InputError where some are asked for."""
        if count:
            raise InputError("tasks of ARC have no guard set; leave --guard out")
        return ()

    def cases(self, worker: Worker, items: Sequence[ArcTask], seed: int) -> tuple[Case[Puzzle], ...]:
        """What is asked are the test outputs; all of them select, since most tasks have one."""
        return tuple(
            Case(Puzzle(task, self.config, self.measure), task.id, _questions(task, self.config, self.measure))
            for task in items
        )

    def own_questions(
        self, worker: Worker, cases: Sequence[Case[Puzzle]], seed: int
    ) -> tuple[tuple[Question, ...], ...]:
        """Raises InputError: a task has no other questions than its own."""
        raise InputError("a task of ARC has no other questions than its own; use --reward questions")

    def propose(
        self,
        worker: Worker,
        cases: Sequence[Case[Puzzle]],
        count: int,
        *,
        writer: LoraAdapter | None,
        seed: int,
        progress: Progress | None = None,
    ) -> tuple[tuple[SelfEdit, ...], ...]:
        """JSON choices, valid by construction."""
        tasks = [case.item.task for case in cases]
        return write_self_edits(
            worker.engine, worker.base, tasks, count, self.config, writer=writer, seed=seed, progress=progress
        )

    def rejected(self, case: Case[Puzzle], edit: SelfEdit) -> str:
        """Nothing can be given away by a choice of settings."""
        return ""

    def picture(self, case: Case[Puzzle], answers: Asked | None) -> bytes:
        """The task as a PNG, with the attempts at its first test input and whether they are right.

        Raises MissingDependency where Pillow is not installed.
        """
        file = BytesIO()
        draw_task(case.item.task, _attempts(case.item, answers) if answers else ()).save(file, format="PNG")
        return file.getvalue()

    @staticmethod
    def evaluate(unit: Unit[Puzzle], worker: Worker) -> Evaluated:
        """All adapters of a unit in one bank; the fixed choice where a trial has no self-edit."""
        config = unit.cases[0].item.config  # all cases of a domain have the same
        trials = [
            trial
            for case in unit.cases
            for trial in (
                Trial(case.item.task, None),
                *(trial_of(case.item.task, trial.edit, trial.seed) for trial in case.trials),
            )
        ]
        results = iter(solve(worker.engine, worker.base, trials, config, unit.inner_loop))
        return Evaluated(unit.key, tuple(_result(case, results, worker) for case in unit.cases))


def _result(case: Case[Puzzle], results: Iterator[Attempted], worker: Worker) -> CaseResult:
    """The next results are of the base model and of the case's trials."""
    config = case.item.config
    baseline = _asked(case, next(results), config)
    tried = []
    for trial in case.trials:
        result = next(results)
        folder = kept(result.adapter, worker) if result.adapter else ""
        asked = None if result.failure else _asked(case, result, config)
        tried.append(Tried(trial, asked, result.failure, folder))
    return CaseResult(baseline, tuple(tried))


def _questions(task: ArcTask, config: ArcConfig, measure: Measure) -> tuple[Question, ...]:
    """One for each test output, or for each of their cells."""
    found = []
    for number, example in enumerate(task.test):
        if measure == "solved":
            found.append(Question(f"output {number}", (format_grid(example.output, config.style),)))
            continue
        height, width = example.output.shape
        found += [
            Question(f"output {number}, row {row}, column {column}", (str(example.output.rows[row][column]),))
            for row in range(height)
            for column in range(width)
        ]
    return tuple(found)


def _asked(case: Case[Puzzle], result: Attempted, config: ArcConfig) -> Asked:
    """The questions with what was predicted: solved by any attempt, cells by the best one."""
    puzzle, answers = case.item, list[Answer]()
    questions = iter(case.selecting)
    attempts = result.attempts(config.attempts) or [()] * len(puzzle.task.test)
    for example, tried in zip(puzzle.task.test, attempts, strict=True):
        if puzzle.measure == "solved":
            said = attempts_text(tried, config.style)
            answers.append(Answer(next(questions), said, _verdict(example.output in tried)))
            continue
        best = _nearest(tried, example.output)
        for row, cells in enumerate(example.output.rows):
            for column, cell in enumerate(cells):
                said = str(best.rows[row][column]) if best else ""
                answers.append(Answer(next(questions), said, _verdict(said == str(cell))))
    return Asked(tuple(answers))


def _attempts(puzzle: Puzzle, answers: Asked) -> list[Grid | None]:
    """What `_asked` wrote down of the first test output: every attempt, or of cells the best one; None: no grid."""
    said = [answer.text for answer in answers.selecting]
    if puzzle.measure == "solved":
        return [*attempts_in(said[0], puzzle.config.style, puzzle.config.attempts)] or [None]
    height, width = puzzle.task.test[0].output.shape
    cells = said[: height * width]
    if not all(cells):
        return [None]
    return [Grid.of([[int(cell) for cell in cells[row * width : (row + 1) * width]] for row in range(height)])]


def _nearest(tried: Sequence[Grid], gold: Grid) -> Grid | None:
    """The attempt of the right shape with most cells right."""
    fitting = [grid for grid in tried if grid.shape == gold.shape]
    return max(fitting, key=lambda grid: int((grid.array == gold.array).sum()), default=None)


def _verdict(right: bool) -> Verdict:
    return Verdict.CORRECT if right else Verdict.WRONG
