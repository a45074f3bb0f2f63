"""A unit that fails in part: what fails is a score with a failure, and the rest is measured all the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tuning_fakes import CONFIG, DEFAULT, ROOTS, TuningEngine, split, worker

from seal_agent.adaptation.lesson import Lesson
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import EngineError, StoreError, TrainingError
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.judge import JudgeGrader
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import FinishedUnit, InlineExecutor
from seal_agent.outer_loop.tuning.archive import PassageScore
from seal_agent.outer_loop.tuning.laboratory import CPU_PASSAGES, MEASURE, RunLaboratory
from seal_agent.outer_loop.tuning.measure import RecipeTrial, TuneUnit, WriteUnit, evaluate, write
from seal_agent.outer_loop.tuning.run import Budget, tune
from seal_agent.outer_loop.tuning.stages import Probe
from seal_agent.outer_loop.units import Worker
from seal_agent.types import Completion, Context, Verdict

GOOD = split().selecting
DIVERGING = replace(DEFAULT, inner_loop=replace(DEFAULT.inner_loop, learning_rate=1e30, epochs=3))


def test_what_diverges_is_lost_and_has_its_failure(tiny_base: BaseModel) -> None:
    trials = (RecipeTrial(DEFAULT, GOOD), RecipeTrial(DIVERGING, GOOD))
    good, lost = evaluate(TuneUnit("b", trials, split().neutral, 0), worker(tiny_base)).scores
    assert [score.failure for score in good] == ["", ""]
    assert [score.accuracy for score in lost] == [0.0, 0.0]
    assert all("loss" in score.failure for score in lost)


def test_one_bad_passage_costs_no_other_its_score(tiny_base: BaseModel) -> None:
    empty = Context("   ", "Nothing", GOOD[0].questions)
    trials = (RecipeTrial(DEFAULT, (GOOD[0], empty)), RecipeTrial(ROOTS[1].recipe, GOOD))
    result = evaluate(TuneUnit("b", trials, split().neutral, 0), worker(tiny_base))
    (first, bad), others = result.scores
    assert first.accuracy is not None
    assert not first.failure
    assert bad.accuracy == 0.0
    assert "InputError" in bad.failure
    assert not any(score.failure for score in others)
    assert len(result.seconds) == 2


class BrokenEngine(TuningEngine):
    """Cannot be reached."""

    def generate(self, *args: object, **more: object) -> list[object]:
        raise EngineError("nothing answers at this address")


def test_an_engine_that_fails_ends_the_run(tiny_base: BaseModel) -> None:
    unit = TuneUnit("b", (RecipeTrial(DEFAULT, GOOD),), split().neutral, 0)
    with pytest.raises(EngineError):
        evaluate(unit, Worker(tiny_base, BrokenEngine(), LexicalGrader()))


@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (OSError(28, "No space left on device"), True),
        (StoreError("the cache of verdicts cannot be written"), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be …"), True),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
    ],
)
def test_what_the_machine_failed_in_is_no_recipes_loss(tiny_base: BaseModel, error: Exception, ends: bool) -> None:
    class FailingEngine(TuningEngine):
        def generate(self, *args: object, **more: object) -> list[Completion]:
            raise error

    unit = TuneUnit("b", (RecipeTrial(DEFAULT, GOOD[:1]),), split().neutral, 0)
    at_work = Worker(tiny_base, FailingEngine(), LexicalGrader())
    if ends:
        with pytest.raises((EngineError, StoreError), match=re.escape(str(error).splitlines()[0])):
            evaluate(unit, at_work)
    else:
        (((score,),)) = evaluate(unit, at_work).scores
        assert score.accuracy == 0.0


def test_texts_that_show_harm_are_cut_to_the_window(tiny_base: BaseModel) -> None:
    neutral = ("  Tarawa is in Kiribati.  ", "The river is long and slow. " * tiny_base.window)
    unit = TuneUnit("b", (RecipeTrial(DEFAULT, GOOD[:1]),), neutral, 0)
    at_work = Worker(tiny_base, HFEngine(tiny_base), LexicalGrader())
    ((score,),) = evaluate(unit, at_work).scores
    assert not score.failure
    assert score.harm != 0


def test_a_default_that_learns_nothing_ends_the_run_with_the_reason(tiny_base: BaseModel, tmp_path: Path) -> None:
    roots = (replace(ROOTS[0], recipe=DIVERGING), ROOTS[1])
    run, at_work = Run(tmp_path, {}, {}), worker(tiny_base)
    with pytest.raises(TrainingError, match=r"default could learn none of the first 1 passages .*another --run"):
        tune(roots, split(), CONFIG, Budget(steps=1), worker=at_work, executor=InlineExecutor(at_work), run=run)
    run.close()


class Judge(JudgeGrader):
    """A judge that can be away."""

    is_away = False

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        return Verdict.UNGRADED if self.is_away else LexicalGrader().grade(question, golds, answer)


def test_what_a_judge_that_was_away_did_not_grade_is_measured_again(tiny_base: BaseModel, tmp_path: Path) -> None:
    judge = Judge("a-judge")
    at_work = replace(worker(tiny_base), grader=judge)

    def digest(folder: str) -> str:
        run = Run(tmp_path / folder, {}, {})
        try:
            budget = Budget(steps=0)
            return tune(
                ROOTS, split(), CONFIG, budget, worker=at_work, executor=InlineExecutor(at_work), run=run
            ).digest
        finally:
            run.close()

    judge.is_away = True
    with pytest.raises(TrainingError, match=r"could be graded \(no answer could be graded\).*the same command again"):
        digest("away")
    judge.is_away = False
    assert digest("away") == digest("never-away")


def test_on_a_processor_units_are_small_and_progress_is_told_within_them(tiny_base: BaseModel, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run, at_work = Run(tmp_path, {}, {}), worker(tiny_base)
    config = replace(CONFIG, adapters=16)
    laboratory = RunLaboratory(
        at_work, InlineExecutor(at_work), run, config, (), progress=lambda step, done, total: told.append((done, total))
    )
    contexts = tuple(replace(GOOD[0], text=f"{GOOD[0].text} Part {part}.") for part in range(8))
    laboratory.measure(0, [Probe(ROOTS[0], contexts)])
    assert run.counts()[0, MEASURE] == 8
    run.close()
    assert told[0] == (0, 8)
    assert told[-1] == (8, 8)
    assert {done for done, _ in told} > {0, CPU_PASSAGES, 8}, "and between the units"
    assert sorted(told) == told


@dataclass
class CountingExecutor:
    """An executor of this process that counts what it was asked for: notes to be written, passages to be learnt."""

    worker: Worker
    written: int = 0
    learnt: int = 0

    def map(self, units: Sequence[Any], evaluate: Callable[..., Any]) -> Iterator[FinishedUnit[Any, Any]]:
        for unit in units:
            if isinstance(unit, WriteUnit):
                self.written += len(unit.passages)
            else:
                self.learnt += sum(len(trial.passages) for trial in unit.trials)
        yield from InlineExecutor(self.worker).map(units, evaluate)

    def close(self) -> None:
        """Does nothing."""


def test_a_recipe_learns_a_passage_once_whatever_else_is_measured_with_it(tiny_base: BaseModel, tmp_path: Path) -> None:
    contexts = tuple(replace(GOOD[0], text=f"{GOOD[0].text} Part {part}.") for part in range(5))
    run, executor = Run(tmp_path, {}, {}), CountingExecutor(worker(tiny_base))

    def measured(*probes: Probe) -> list[tuple[PassageScore, ...]]:
        laboratory = RunLaboratory(worker(tiny_base), executor, run, CONFIG, split().neutral)  # type: ignore[arg-type]
        return laboratory.measure(-1, probes)

    default, paper = ROOTS
    (first,) = measured(Probe(default, contexts[:3]))
    paper_scores, default_scores = measured(Probe(paper, contexts), Probe(default, contexts))
    run.close()
    assert executor.learnt == 3 + 5 + 2
    assert executor.written == 5, "both recipes write alike, and share the notes"
    assert default_scores[:3] == first
    assert len(paper_scores) == len(default_scores) == 5


def test_recipes_that_only_learn_otherwise_have_the_same_notes(tiny_base: BaseModel, tmp_path: Path) -> None:
    """Also in another step, beside other passages, and after the run was begun again."""
    lessons: list[Lesson | None] = []

    class Watching(CountingExecutor):
        def map(self, units: Sequence[Any], evaluate: Callable[..., Any]) -> Iterator[FinishedUnit[Any, Any]]:
            trials = [trial for unit in units if isinstance(unit, TuneUnit) for trial in unit.trials]
            pairs = [pair for trial in trials for pair in zip(trial.passages, trial.lessons, strict=True)]
            lessons.extend(lesson for passage, lesson in pairs if passage == GOOD[1])
            return super().map(units, evaluate)

    run = Run(tmp_path, {}, {})
    for step, (root, passages) in enumerate(((ROOTS[0], GOOD), (ROOTS[1], GOOD[1:]))):
        laboratory = RunLaboratory(worker(tiny_base), Watching(worker(tiny_base)), run, CONFIG, ())  # type: ignore[arg-type]
        laboratory.measure(step, [Probe(root, passages)])
    run.close()
    first, second = lessons
    assert first == second
    assert first
    assert first.self_edits[0].completion


def test_a_passage_without_notes_costs_no_other_its_own(tiny_base: BaseModel) -> None:
    empty = Context("   ", "Nothing", GOOD[0].questions)
    result = write(WriteUnit("b", DEFAULT.self_edit, (GOOD[0], empty, GOOD[1]), 0), worker(tiny_base))
    assert [lesson is None for lesson in result.lessons] == [False, True, False]
    given = RecipeTrial(DEFAULT, (GOOD[0], empty), result.lessons[:2])
    ((good, bad),) = evaluate(TuneUnit("b", (given,), (), 0), worker(tiny_base)).scores
    assert not good.failure
    assert "InputError" in bad.failure


def test_a_units_key_is_of_what_decides_its_result() -> None:
    key = TuneUnit("b", (RecipeTrial(DEFAULT, GOOD),), (), 0).key
    assert TuneUnit("b", (RecipeTrial(replace(DEFAULT, summary="of a later version"), GOOD),), (), 0).key == key
    slower = replace(DEFAULT, inner_loop=replace(DEFAULT.inner_loop, learning_rate=1e-5))
    assert TuneUnit("b", (RecipeTrial(slower, GOOD),), (), 0).key != key
