"""The figures of a sequence of edits follow from its accuracy matrix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seal_agent.config import recipe_named
from seal_agent.data.bundled import novel
from seal_agent.evaluation.asked import sequences_hash, sequences_of
from seal_agent.evaluation.assemble import Measured, Setting, assemble, recipe_facts
from seal_agent.evaluation.continual import matrix_of, mean_matrix, sequence_scores
from seal_agent.evaluation.pictures import draw_run
from seal_agent.evaluation.results import DataFacts, ModelFacts, RunFacts, Unit, write_results
from seal_agent.evaluation.samples import BASE, Sample
from seal_agent.evaluation.suites import SUITES
from seal_agent.types import Verdict

MATRIX = [[1.0], [0.5, 1.0], [0.5, 0.0, 1.0]]
BASE_ROW = [0.0, 0.5, 0.0]


def samples_of(matrix: list[list[float]], base: list[float], unit: str = "s", seed: int = 0) -> list[Sample]:
    """Two questions about each passage, of which none, one or both are right."""
    rows = [(BASE, base), *enumerate(matrix)]
    return [
        Sample(
            unit, seed, f"question {n}", ("gold",), "x", Verdict.CORRECT if n < 2 * value else Verdict.WRONG,
            "correct" if n < 2 * value else "wrong", passage=f"p{j}", step=step,
        )
        for step, row in rows
        for j, value in enumerate(row)
        for n in range(2)
    ]  # fmt: skip


def test_answers_give_the_matrix_back() -> None:
    base, matrix = matrix_of(samples_of(MATRIX, BASE_ROW))
    assert base == BASE_ROW
    assert matrix == [[1.0, None, None], [0.5, 1.0, None], [0.5, 0.0, 1.0]]


def test_forgetting_is_told_in_figures() -> None:
    scores = sequence_scores(samples_of(MATRIX, BASE_ROW))["s"]
    assert scores["base"] == pytest.approx(0.5 / 3)
    assert scores["final"] == pytest.approx(0.5)
    assert scores["just_after"] == 1.0
    assert scores["kept"] == pytest.approx(0.5)
    assert scores["backward_transfer"] == pytest.approx((-0.5 - 1.0) / 2)
    assert scores["smallest_lead"] == pytest.approx(0.5 - 0.5 / 3)


def test_an_edit_that_ruins_the_model_shows_as_a_lead_below_zero() -> None:
    ruined = [[1.0], [0.0, 0.0], [1.0, 1.0, 1.0]]
    assert sequence_scores(samples_of(ruined, BASE_ROW))["s"]["smallest_lead"] == pytest.approx(-0.25)


def test_ungraded_answers_leave_a_hole_and_no_zero() -> None:
    samples = samples_of(MATRIX, BASE_ROW)
    holed = [
        Sample(s.unit, s.seed, s.question, s.golds, s.answer, Verdict.UNGRADED, "", passage=s.passage, step=s.step)
        if (s.step, s.passage) == (2, "p1")
        else s
        for s in samples
    ]
    assert matrix_of(holed)[1][2] == [0.5, None, 1.0]
    assert sequence_scores(holed)["s"]["final"] == pytest.approx(0.75)


def test_a_passage_whose_base_answers_were_not_graded_is_in_no_comparison() -> None:
    samples = samples_of([[1.0], [0.5, 1.0], [0.5, 0.0, 1.0]], [0.5, 0.5, 0.0])
    holed = [
        replace(s, verdict=Verdict.UNGRADED, direct="") if (s.step, s.passage) == (BASE, "p0") else s for s in samples
    ]
    assert matrix_of(holed)[0] == [None, 0.5, 0.0]
    scores = sequence_scores(holed)["s"]
    assert (scores["base"], scores["final"]) == (pytest.approx(0.25), pytest.approx(0.5))
    assert scores["smallest_lead"] == pytest.approx(0.25)


def test_a_sequence_that_stopped_early_is_in_no_mean() -> None:
    whole = samples_of(MATRIX, BASE_ROW)
    stopped = [s for s in samples_of(MATRIX, BASE_ROW, unit="t") if s.step != 2]
    assert sequence_scores([*whole, *stopped]) == sequence_scores(whole)
    assert mean_matrix([*whole, *stopped]) == mean_matrix(whole)
    assert mean_matrix(stopped) == {}


def test_other_sequences_of_the_same_passages_have_another_hash() -> None:
    short, long = sequences_of(novel(), 2, 4), sequences_of(novel(), 8, 1)
    assert sequences_hash(short) != sequences_hash(long)
    assert sequences_hash(short) != sequences_hash(short[::-1])


def test_matrices_of_sequences_and_seeds_are_averaged() -> None:
    samples = [*samples_of(MATRIX, BASE_ROW), *samples_of([[0.0], [0.5, 1.0], [0.5, 1.0, 1.0]], BASE_ROW, seed=1)]
    found = mean_matrix(samples)
    assert found["accuracy"] == [[0.5, None, None], [0.5, 1.0, None], [0.5, 0.5, 1.0]]
    assert found["base"] == [BASE_ROW]


def test_passages_that_fill_no_sequence_are_left_out() -> None:
    found = sequences_of(novel(), 8, 10)
    assert [len(sequence) for sequence in found] == [8] * 5
    assert len(sequences_of(novel()[:17], 8, 10)) == 2


def test_the_forgetting_matrix_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    samples = samples_of(MATRIX, BASE_ROW)
    units = (Unit("s", "sequence 1", sequence_scores(samples)["s"]),)
    setting = Setting(
        SUITES["squad_continual"], ModelFacts("m", "f", 1, None, "hf"),
        recipe_facts("default", recipe_named("default"), {}), (0,), DataFacts("d", "h", 1, 3, 0), "lexical", "p",
    )  # fmt: skip
    run = RunFacts("2026-11-29", "seal bench", None, "p", 2, [], "Linux", "3.11", {}, None)
    path = tmp_path / "row.json"
    write_results(assemble(setting, Measured(units, {}, curves=mean_matrix(samples)), run, None), path)
    drawn = draw_run(path)
    assert {file.name for file in drawn} == {"row-forgetting.svg", "row-forgetting.png"}
    assert "<svg" in (tmp_path / "row-forgetting.svg").read_text()
