"""A budget in minutes is shared out: roots, children, further stages, and a confirming that fits."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from tuning_fakes import ClockedExecutor, Landscape, passages, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.config import TuneConfig
from seal_agent.grading.judge import JudgeGrader
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.budget import MinutesOrSteps, confirming_plan, least_passages, shortage
from seal_agent.outer_loop.tuning.forecast import reckon
from seal_agent.outer_loop.tuning.laboratory import RunLaboratory
from seal_agent.outer_loop.tuning.passages import Split
from seal_agent.outer_loop.tuning.run import Budget, TuneOutcome, named_candidates, tune
from seal_agent.outer_loop.units import Worker
from seal_agent.types import Context

CONFIG = TuneConfig()
ROOTS = named_candidates()
PLACES = passages(48)
SPLIT = Split(tuple(PLACES[:24]), tuple(PLACES[24:]), ("The river is long.",))


def tuned(
    base: BaseModel,
    folder: Path,
    minutes: float,
    pace: float,
    landscape: Landscape | None = None,
    at_work: Worker | None = None,
) -> tuple[TuneOutcome, float]:
    """A run in which a passage takes the default so many seconds, and the minutes of all its work."""
    run = Run(folder, {}, {})
    try:
        at_work = at_work or worker(base)
        executor = ClockedExecutor(landscape or Landscape(), ROOTS[0].recipe, pace)
        budget = Budget(minutes=minutes)
        outcome = tune(ROOTS, SPLIT, CONFIG, budget, worker=at_work, executor=executor, run=run, proposes=False)  # type: ignore[arg-type]
        spent = sum(seconds for (_, kind), seconds in run.seconds().items() if kind == "measure")
        return outcome, spent / 60
    finally:
        run.close()


def test_ninety_minutes_at_two_minutes_a_passage_are_a_real_search(tiny_base: BaseModel, tmp_path: Path) -> None:
    outcome, spent = tuned(tiny_base, tmp_path, 90, 120)
    archive = outcome.archive
    named = [candidate.name for candidate in archive if not candidate.parents]
    assert named[:2] == ["default", "paper"]
    assert len(named) >= 3
    assert len(archive) - len(named) >= 4, "several children"
    assert sum(len(archive.scores(candidate.id)) >= 6 for candidate in archive) >= 1, "and a second stage"
    confirmed = outcome.confirmation.comparisons[0].difference
    assert confirmed.count >= 6
    assert 60 < spent <= 90
    text = outcome.markdown.read_text(encoding="utf-8")
    assert f"room for {confirmed.count} of 24 confirming passages" in text


@pytest.mark.parametrize("minutes", [35, 90])
def test_the_same_command_decides_the_same_and_a_larger_budget_goes_on(
    tiny_base: BaseModel, tmp_path: Path, minutes: float
) -> None:
    first, _ = tuned(tiny_base, tmp_path, minutes, 120)
    again, _ = tuned(tiny_base, tmp_path, minutes, 120)
    assert again.digest == first.digest
    larger, spent = tuned(tiny_base, tmp_path, 200, 120)
    ids = [candidate.id for candidate in first.archive]
    assert [candidate.id for candidate in larger.archive][: len(ids)] == ids
    assert len(larger.archive) > len(ids)
    assert 90 < spent <= 200 + 24 * 2 * 2, "what was confirmed before is learnt again where the banks differ"


@pytest.mark.parametrize(("minutes", "pace"), [(40, 120), (60, 120), (90, 30), (180, 100), (300, 60)])
def test_a_budget_is_kept(tiny_base: BaseModel, tmp_path: Path, minutes: float, pace: float) -> None:
    outcome, spent = tuned(tiny_base, tmp_path, minutes, pace)
    assert len(outcome.archive) >= 2
    assert 0.6 * minutes <= spent <= 1.1 * minutes or len(outcome.confirmation.archive.scores(ROOTS[0].id)) == 24


def test_a_budget_that_has_no_room_says_so(
    tiny_base: BaseModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        outcome, spent = tuned(tiny_base, tmp_path, 10, 120)
    assert "10 minutes are too few: at 120 s a passage the smallest search takes 28" in caplog.text
    assert [candidate.name for candidate in outcome.archive] == ["default"]
    assert outcome.confirmation.kept.name == "default"
    assert spent <= 10 + 5 * 2
    assert shortage(28, CONFIG, 120) == ""
    assert least_passages(replace(CONFIG, confirming=2)) == 8


class Away(Landscape):
    """A landscape in which the judge is away after the first passages."""

    def _score(self, candidate: Candidate, passage: Context) -> PassageScore:
        score = super()._score(candidate, passage)
        return (
            score if sum(count for *_, count in self.measured) <= 4 else replace(score, accuracy=None, failure="away")
        )


def test_a_plan_about_candidates_that_are_no_more_is_made_anew(tiny_base: BaseModel, tmp_path: Path) -> None:
    """What a judge grades when it is back changes the parents of the steps that were planned while it was away."""
    at_work = replace(worker(tiny_base), grader=JudgeGrader("a-judge"))
    tuned(tiny_base, tmp_path, 90, 120, Away(), at_work)
    back, _ = tuned(tiny_base, tmp_path, 200, 120, Landscape(), at_work)
    assert all(score.accuracy is not None for candidate in back.archive for score in back.archive.scores(candidate.id))
    assert len([candidate for candidate in back.archive if candidate.parents]) >= 4


def test_a_step_is_asked_once_whether_it_grows(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its children change what it would answer, and the plan on file must hold what they were made by."""
    rooms = iter((-1.0, 1e9))
    monkeypatch.setattr(MinutesOrSteps, "_room_to_grow", lambda self, archive, step: next(rooms))
    run, at_work, archive = Run(tmp_path, {}, {}), worker(tiny_base), Archive(1.0)
    archive.add(ROOTS[0])
    laboratory = RunLaboratory(at_work, InlineExecutor(at_work), run, CONFIG, ())
    allowance = MinutesOrSteps(90, None, CONFIG, laboratory)
    assert [allowance.grows(archive, 2) for _ in range(2)] == [False, False]
    run.close()


def test_the_forecast_follows_the_same_rules(tiny_base: BaseModel, tmp_path: Path) -> None:
    expected = reckon(ROOTS, CONFIG, Budget(minutes=90), seconds_per_passage=120)
    assert expected.seconds <= 90 * 60
    assert (expected.roots, expected.confirmed_on, expected.confirming) == (5, 9, 18)
    assert not expected.shortage
    assert "too few" in reckon(ROOTS, CONFIG, Budget(minutes=10), seconds_per_passage=120).shortage


def test_confirming_takes_what_fits_and_leaves_out_the_paper_before_it_is_too_short() -> None:
    assert confirming_plan(1000, [1, 1, 1], 24) == (24, 3)
    assert confirming_plan(40, [1, 1, 1], 24) == (13, 3)
    assert confirming_plan(18, [1, 1, 1], 24) == (9, 2)
    assert confirming_plan(1, [1, 1, 1], 24) == (5, 2), "the least, whatever the room"
    assert confirming_plan(1, [1], 2) == (2, 1)
