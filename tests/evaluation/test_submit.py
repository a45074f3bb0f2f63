"""A row is accepted if it holds, and refused with the reason if it was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from bench_rows import novel_row

from seal_agent.errors import InputError
from seal_agent.evaluation.results import read_results
from seal_agent.evaluation.samples import read_samples, write_samples
from seal_agent.evaluation.submit import check_submission
from seal_agent.types import Verdict


@pytest.fixture
def row(tmp_path: Path) -> Path:
    return novel_row(tmp_path, "default", [4, 2])


def change(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def change_answers(path: Path, edit: Callable[[Any], Any]) -> None:
    """Change every answer, and put the new file's hash into the row, as a forger would."""
    stored = read_results(path).samples
    assert stored
    answers = path.with_name(stored.file)
    sha256 = write_samples([edit(sample) for sample in read_samples(answers, stored.sha256)], answers)
    change(path, lambda value: value["samples"].update(sha256=sha256))


def test_an_honest_row_is_accepted_with_what_was_checked(row: Path) -> None:
    checks = check_submission(row)
    assert "10 answers drawn at random were graded again with the same verdict" in checks
    assert "the questions are those of 8 passages of the suite" in checks


def test_a_raised_mean_is_refused(row: Path) -> None:
    change(row, lambda value: value["measures"]["contains"].update(value=0.9))
    with pytest.raises(InputError, match=r"contains is 0\.9000 .* but the units give 0\.5000"):
        check_submission(row)


def test_a_narrowed_interval_is_refused(row: Path) -> None:
    change(row, lambda value: value["measures"]["contains"].update(low=0.49))
    with pytest.raises(InputError, match="the units give"):
        check_submission(row)


def test_raised_units_are_refused_even_if_the_mean_follows(row: Path) -> None:
    from seal_agent.evaluation.statistics import measures_of

    results = read_results(row)
    units = [replace(unit, scores={**unit.scores, "contains": 1.0}) for unit in results.units]
    means = {name: asdict(measure) for name, measure in measures_of(units).items()}
    change(row, lambda value: value.update(units=[asdict(unit) for unit in units], measures=means))
    with pytest.raises(InputError, match="but its answers give"):
        check_submission(row)


def test_changed_answers_are_refused_by_their_hash(row: Path) -> None:
    stored = read_results(row).samples
    assert stored
    with row.with_name(stored.file).open("ab") as file:
        file.write(b"more")
    with pytest.raises(InputError, match="SHA-256"):
        check_submission(row)


def test_answers_that_do_not_deserve_their_verdict_are_refused(row: Path) -> None:
    change_answers(row, lambda s: replace(s, answer=" ".join(word[::-1] for word in s.answer.split())))
    with pytest.raises(InputError, match=r"is graded wrong.*but the file says correct"):
        check_submission(row)


def test_verdicts_raised_together_with_their_scores_are_refused(row: Path) -> None:
    change_answers(row, lambda sample: replace(sample, verdict=Verdict.CORRECT, direct="correct"))
    with pytest.raises(InputError, match="but its answers give"):
        check_submission(row)


def test_easier_questions_are_refused(row: Path) -> None:
    change_answers(row, lambda sample: replace(sample, golds=(*sample.golds, "something")))
    with pytest.raises(InputError, match="gold answers are not the suite's"):
        check_submission(row)


def test_a_row_about_other_passages_is_refused(row: Path) -> None:
    change(row, lambda value: value["data"].update(hash="0" * 64))
    with pytest.raises(InputError, match="their hash differs"):
        check_submission(row)


def test_a_row_without_answers_is_refused(row: Path) -> None:
    change(row, lambda value: value.update(samples=None))
    with pytest.raises(InputError, match="names no file of answers"):
        check_submission(row)


def test_an_unknown_suite_is_refused(row: Path) -> None:
    change(row, lambda value: value.update(suite="mine"))
    with pytest.raises(InputError, match="'mine', which there is not"):
        check_submission(row)
