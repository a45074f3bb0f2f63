"""Rows that another version of the grader graded hold again once their answers are graded again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from bench_rows import arc_row, novel_row, rewrite_answers

from seal_agent import durable
from seal_agent.errors import InputError
from seal_agent.evaluation.lm_eval_figures import contradiction
from seal_agent.evaluation.regrade import regrade
from seal_agent.evaluation.results import Results, read_results, write_results
from seal_agent.evaluation.samples import Sample, read_samples
from seal_agent.evaluation.submit import check_submission
from seal_agent.types import Verdict


def turned(sample: Sample) -> Sample:
    """As a grader would have graded it that takes wrong answers for right ones, and right ones for wrong ones."""
    wrong = sample.verdict is Verdict.WRONG
    return replace(sample, verdict=Verdict.CORRECT if wrong else Verdict.WRONG, direct="correct" if wrong else "wrong")


@pytest.mark.parametrize("make", [lambda folder: novel_row(folder, "default", [4, 2]), arc_row])
def test_a_row_of_another_grader_is_refused_and_holds_after_regrading(
    tmp_path: Path, make: Callable[[Path], Path]
) -> None:
    row = make(tmp_path)
    honest = read_results(row)
    rewrite_answers(row, turned)
    with pytest.raises(InputError, match="seal submit --regrade"):
        check_submission(row)
    done = regrade(row)
    assert done.changed == done.answers > 0
    assert check_submission(row)
    assert read_results(row) == honest
    assert regrade(row).changed == 0


def answers_of(row: Path) -> tuple[Results, list[Sample]]:
    results = read_results(row)
    assert results.samples
    return results, read_samples(row.with_name(results.samples.file), results.samples.sha256)


def test_figures_of_lm_eval_that_no_longer_follow_are_left_out(tmp_path: Path) -> None:
    row = novel_row(tmp_path, "default", [4, 2])
    results, _ = answers_of(row)
    figures: dict[str, float | str] = {"name": "seal_novel", "acc,none": 0.5, "ungraded,none": 0.0}
    with_figures = replace(results, results={"seal_novel": figures}, task_hashes={"seal_novel": "abc"})
    write_results(with_figures, row)
    regrade(row)
    assert read_results(row) == with_figures, "they follow"
    write_results(replace(with_figures, results={"seal_novel": {**figures, "acc,none": 0.6}}), row)
    assert "acc,none is 0.6, but the answers give 0.5" in contradiction(*answers_of(row))
    regrade(row)
    assert read_results(row) == replace(with_figures, results={})


def test_a_row_whose_grader_is_a_judge_is_left_as_it_is(tmp_path: Path) -> None:
    row = novel_row(tmp_path, "default", [4, 2])
    write_results(replace(read_results(row), grader="judge: m @ api.openai.com"), row)
    before = row.read_bytes()
    with pytest.raises(InputError, match=r"graded by 'judge: m @ api\.openai\.com', which is not asked again"):
        regrade(row)
    assert row.read_bytes() == before


def test_a_row_without_answers_gets_its_means_anew(tmp_path: Path) -> None:
    row = novel_row(tmp_path, "default", [4, 2])
    honest = replace(read_results(row), samples=None)
    means = {name: replace(measure, low=0.0, high=1.0) for name, measure in honest.measures.items()}
    write_results(replace(honest, measures=means), row)
    assert regrade(row).answers == 0
    assert read_results(row) == honest


def test_a_full_disk_leaves_row_and_answers_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = novel_row(tmp_path, "default", [4, 2])
    rewrite_answers(row, turned)
    before = answers_of(row)

    def full(step: str) -> None:
        if step.startswith("write .novel_n1-default.json"):
            raise OSError("no space left on device")

    monkeypatch.setattr(durable, "hook", full)
    with pytest.raises(OSError, match="no space"):
        regrade(row)
    monkeypatch.setattr(durable, "hook", None)
    assert answers_of(row) == before
    assert json.loads(row.read_text()) == json.loads(json.dumps(asdict(before[0])))
