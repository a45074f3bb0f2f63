"""ARC as a domain of the outer loop: contexts are tasks, self-edits are JSON choices of how to train on them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from io import BytesIO
from typing import Any, Literal

from seal_agent.arc.grids import ArcTask, Grid, format_grid
from seal_agent.arc.picture import draw_task
from seal_agent.arc.self_edits import FORMAT, write_self_edits
from seal_agent.arc.solve import ArcResult, Trial, solve, trial_of
from seal_agent.arc.text import format_attempts, parse_attempts
from seal_agent.config import ArcConfig
from seal_agent.errors import InputError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.units import (
    Case,
    CaseAnswers,
    CaseResult,
    TrialResult,
    Unit,
    UnitResult,
    Worker,
    save_adapter,
)
from seal_agent.progress import Progress
from seal_agent.types import Answer, Context, Question, SelfEdit, Verdict, content_hash

Measure = Literal["solved", "cells"]
"""What earns reward: "solved" test outputs, as in the paper, or the share of their "cells", a denser reward."""


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A task, with everything that decides how it is trained on and judged."""

    task: ArcTask
    config: ArcConfig
    measure: Measure


@dataclass(frozen=True)
class ArcDomain:
    """ARC tasks. Raises InputError where there are none."""

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
        return {
            "domain": "arc",
            "measure": self.measure,
            "arc": asdict(self.config),
            "data": content_hash([asdict(task) for task in self.tasks]),
        }

    def items(self, count: int, skip: int, seed: int) -> list[ArcTask]:
        """Tasks in the seed's order; beyond the last, from the first again."""
        shuffled = random.Random(seed).sample(self.tasks, len(self.tasks))
        return [shuffled[(skip + i) % len(shuffled)] for i in range(min(count, len(shuffled)))]

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        """No questions, since an adapter is dropped after its task. Raises InputError for a `count` above 0."""
        if count:
            raise InputError("tasks of ARC have no guard set; leave --guard out")
        return ()

    def cases(self, worker: Worker, items: Sequence[ArcTask], seed: int) -> tuple[Case[Puzzle], ...]:
        """The questions are the test outputs. All of them select, since most tasks have one."""
        return tuple(
            Case(Puzzle(task, self.config, self.measure), task.id, _questions(task, self.config, self.measure))
            for task in items
        )

    def text_of(self, case: Case[Puzzle]) -> str:
        """A task is no text that a store learns."""
        return ""

    def own_questions(
        self, worker: Worker, cases: Sequence[Case[Puzzle]], seed: int
    ) -> tuple[tuple[Question, ...], ...]:
        """Raises InputError: the model cannot write other questions about a task."""
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
        """`count` JSON choices for each task, valid by construction."""
        tasks = [case.item.task for case in cases]
        return write_self_edits(
            worker.engine, worker.base, tasks, count, self.config, writer=writer, seed=seed, progress=progress
        )

    def rejected(self, case: Case[Puzzle], edit: SelfEdit) -> str:
        """Always "": a choice of settings cannot give an answer away."""
        return ""

    def picture(self, case: Case[Puzzle], answers: CaseAnswers | None) -> bytes:
        """The task as a PNG, with the attempts at its first test input and whether they are right.

        Raises MissingDependency where Pillow is not installed.
        """
        png = BytesIO()
        draw_task(case.item.task, _attempts(case.item, answers) if answers else ()).save(png, format="PNG")
        return png.getvalue()

    @staticmethod
    def evaluate(unit: Unit[Puzzle], worker: Worker) -> UnitResult:
        """Train all adapters of a unit in one bank; a trial without a self-edit takes the fixed choice."""
        config = unit.cases[0].item.config  # every case of a domain has the same config
        trials = [
            trial
            for case in unit.cases
            for trial in (
                Trial(case.item.task, None),
                *(trial_of(case.item.task, trial.edit, trial.seed) for trial in case.trials),
            )
        ]
        results = iter(solve(worker.engine, worker.base, trials, config, unit.inner_loop))
        return UnitResult(unit.key, tuple(_result(case, results, worker) for case in unit.cases))


def _result(case: Case[Puzzle], results: Iterator[ArcResult], worker: Worker) -> CaseResult:
    """The case's result from the next results: the base model's, then one per trial."""
    config = case.item.config
    baseline = _answers(case, next(results), config)
    trial_results = []
    for trial in case.trials:
        result = next(results)
        folder = save_adapter(result.adapter, worker) if result.adapter else ""
        answers = None if result.failure else _answers(case, result, config)
        trial_results.append(TrialResult(trial, answers, result.failure, folder))
    return CaseResult(baseline, tuple(trial_results))


def _questions(task: ArcTask, config: ArcConfig, measure: Measure) -> tuple[Question, ...]:
    """One question per test output, or per cell of each test output."""
    questions = []
    for number, example in enumerate(task.test):
        if measure == "solved":
            questions.append(Question(f"output {number}", (format_grid(example.output, config.style),)))
            continue
        height, width = example.output.shape
        questions += [
            Question(f"output {number}, row {row}, column {column}", (str(example.output.rows[row][column]),))
            for row in range(height)
            for column in range(width)
        ]
    return tuple(questions)


def _answers(case: Case[Puzzle], result: ArcResult, config: ArcConfig) -> CaseAnswers:
    """The predictions as answers: an output is solved by any attempt, cells are those of the best attempt."""
    puzzle, answers = case.item, list[Answer]()
    questions = iter(case.selecting)
    attempts_by_test = result.attempts(config.attempts) or [()] * len(puzzle.task.test)
    for example, attempts in zip(puzzle.task.test, attempts_by_test, strict=True):
        if puzzle.measure == "solved":
            text = format_attempts(attempts, config.style)
            answers.append(Answer(next(questions), text, _verdict(example.output in attempts)))
            continue
        best = _best_attempt(attempts, example.output)
        for row, cells in enumerate(example.output.rows):
            for column, cell in enumerate(cells):
                text = str(best.rows[row][column]) if best else ""
                answers.append(Answer(next(questions), text, _verdict(text == str(cell))))
    return CaseAnswers(tuple(answers))


def _attempts(puzzle: Puzzle, answers: CaseAnswers) -> list[Grid | None]:
    """The attempts at the first test output, read back from `_answers`; [None] where there is no grid.

    Where cells are the measure, only the best attempt was written down.
    """
    texts = [answer.text for answer in answers.selecting]
    if puzzle.measure == "solved":
        return [*parse_attempts(texts[0], puzzle.config.style, puzzle.config.attempts)] or [None]
    height, width = puzzle.task.test[0].output.shape
    cells = texts[: height * width]
    if not all(cells):
        return [None]
    return [Grid.of([[int(cell) for cell in cells[row * width : (row + 1) * width]] for row in range(height)])]


def _best_attempt(attempts: Sequence[Grid], gold: Grid) -> Grid | None:
    """The attempt of the right shape with the most cells right; None where none has that shape."""
    same_shape = [grid for grid in attempts if grid.shape == gold.shape]
    return max(same_shape, key=lambda grid: int((grid.array == gold.array).sum()), default=None)


def _verdict(right: bool) -> Verdict:
    return Verdict.CORRECT if right else Verdict.WRONG
