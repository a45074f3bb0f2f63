"""A budget in minutes is shared out: roots, children, further stages, and a confirming that fits."""

from __future__ import annotations

import logging
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tuning_fakes import ClockedExecutor, Landscape, passages, worker

from seal_agent.base_model.model import BaseModel
from seal_agent.config import Recipe, TuneConfig, recipe_named
from seal_agent.grading.judge import JudgeGrader
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, PassageScore
from seal_agent.outer_loop.tuning.budget import MinutesOrSteps, confirming_plan, least_passages, reserve, shortage
from seal_agent.outer_loop.tuning.forecast import reckon
from seal_agent.outer_loop.tuning.laboratory import RunLaboratory
from seal_agent.outer_loop.tuning.passages import Split
from seal_agent.outer_loop.tuning.run import Budget, TuneOutcome, named_candidates, tune
from seal_agent.outer_loop.tuning.stages import passage_id
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
    assert 90 < spent <= 200 * 1.05, "what was confirmed before is not learnt again"


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


class DefaultBest(Landscape):
    """Nothing is as good as the default."""

    def quality(self, recipe: Recipe) -> float:
        return 0.8 if recipe == ROOTS[0].recipe else 0.3


class DefaultOnly(DefaultBest):
    """Whatever is not the default ruins the model."""

    def _score(self, candidate: Candidate, passage: Context) -> PassageScore:
        return replace(super()._score(candidate, passage), harm=0.0 if candidate.id == ROOTS[0].id else 9.0)


def test_while_the_default_leads_the_search_has_most_of_what_was_kept_for_confirming(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    outcome, spent = tuned(tiny_base, tmp_path, 90, 120, DefaultBest())
    confirmation = outcome.confirmation
    assert confirmation.winner.id != ROOTS[0].id
    assert confirmation.kept.id == ROOTS[0].id
    assert [len(confirmation.archive.scores(c.id)) for c in confirmation.archive] == [5, 5], "the least"
    assert outcome.archive.passages_measured() > 32, "and 28 with two fifths kept for confirming"
    assert 80 < spent <= 92
    assert "(the best other)" in outcome.markdown.read_text(encoding="utf-8")


def test_where_only_the_default_can_be_used_nothing_is_confirmed(tiny_base: BaseModel, tmp_path: Path) -> None:
    outcome, spent = tuned(tiny_base, tmp_path, 90, 120, DefaultOnly())
    assert outcome.archive.viable() == [ROOTS[0].id]
    assert len(outcome.confirmation.archive) == 0
    assert spent > 60, "nothing waits for a further stage, and its share goes to new recipes"
    assert spent <= 90
    assert set(recipe_named(str(tmp_path)).searched or ()) == {passage_id(context) for context in SPLIT.selecting}
    assert "nothing but default can be used" in outcome.markdown.read_text(encoding="utf-8")


@pytest.mark.parametrize("landscape", [Landscape, DefaultBest])
def test_a_larger_budget_is_kept_too_and_learns_nothing_again(
    tiny_base: BaseModel, tmp_path: Path, landscape: type[Landscape]
) -> None:
    smaller, _ = tuned(tiny_base, tmp_path, 90, 120, landscape())
    larger, spent = tuned(tiny_base, tmp_path, 110, 120, landscape())
    assert 92 < spent <= 110 * 1.02
    assert len(larger.archive) > len(smaller.archive) or len(larger.confirmation.archive.scores(ROOTS[0].id)) > 5
    confirmed = [len(outcome.confirmation.archive.scores(ROOTS[0].id)) for outcome in (smaller, larger)]
    assert confirmed[1] >= min(confirmed[0], 5)


class Killed(BaseException):
    """As if the process ended here."""


@pytest.mark.parametrize("landscape", [Landscape, DefaultBest])
def test_killed_between_any_two_pieces_of_the_ledger_a_run_in_minutes_ends_the_same(
    tiny_base: BaseModel, tmp_path: Path, landscape: type[Landscape], monkeypatch: pytest.MonkeyPatch
) -> None:
    record, left = Run.record, [10**9]

    def until(self: Run, *facts: Any, **more: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        record(self, *facts, **more)

    monkeypatch.setattr(Run, "record", until)
    whole = [tuned(tiny_base, tmp_path / "whole", minutes, 300, landscape())[0] for minutes in (150, 200)]
    expected = [(outcome.digest, outcome.archive.as_json()) for outcome in whole]
    pieces = 10**9 - left[0]
    draw, kills = random.Random(0), 0
    got = []
    for minutes in (150, 200):
        while True:
            left[0] = draw.randint(1, pieces // 4)
            try:
                outcome, _ = tuned(tiny_base, tmp_path / "killed", minutes, 300, landscape())
            except Killed:
                kills += 1
                continue
            got.append((outcome.digest, outcome.archive.as_json()))
            break
    assert kills >= 4
    assert got == expected


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
    assert confirming_plan(18, [1, 1, 1], 24, [0, 14, 14]) == (15, 3), "what is learnt already costs nothing"
    assert confirming_plan(-5, [1, 1], 24, [9, 9]) == (9, 2)
    assert reserve(100, [1, 1], 24) == 40
    assert reserve(100, [1, 1], 24, [0, 14]) == 26, "of which 14 were spent"
    assert reserve(100, [1, 1], 24, [24, 24]) == 0
