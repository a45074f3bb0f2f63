"""benchmarks/answers.py: what is on file is not done again, and the default is what won where it was confirmed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def answers(benchmarks: Path) -> ModuleType:
    import answers

    return answers


def measurements(answers: ModuleType, out: Path, seed: int = 0) -> Any:
    return answers.Measurements(argparse.Namespace(out=out, seed=seed, model="default", squad=None))


def row(right: int, verdicts: tuple[str, str] = ("correct", "wrong")) -> dict[str, Any]:
    """Four answers, of which so many are right, with the verdicts that right and wrong ones are given."""
    asked = {"question": "Who won?", "golds": ["Lee"]}
    said = [
        {**asked, "answer": "Lee", "verdict": verdicts[0]}
        if number < right
        else {**asked, "answer": "Poe", "verdict": verdicts[1]}
        for number in range(4)
    ]
    return {"seconds_to_write": 1.0, "seconds_to_train": 2.0, "answers": said}


def test_a_stopped_run_goes_on(answers: ModuleType, tmp_path: Path) -> None:
    spans = {answers.NOVEL: (24, 27)}
    first = measurements(answers, tmp_path / "a.json")
    assert first.missing(answers.DEFAULT, spans) == [(answers.NOVEL, number) for number in (24, 25, 26)]
    first.add(answers.DEFAULT, answers.NOVEL, 25, row(4))
    again = measurements(answers, tmp_path / "a.json")
    assert again.missing(answers.DEFAULT, spans) == [(answers.NOVEL, 24), (answers.NOVEL, 26)]
    assert len(again.missing(answers.REFERENCES[0], spans)) == 3
    assert all(one["commit"] for one in json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["rows"])
    with pytest.raises(SystemExit, match=r"other settings \(seed\); give --out"):
        measurements(answers, tmp_path / "a.json", seed=1)


def test_answers_on_file_are_graded_again_by_the_current_grader(answers: ModuleType, tmp_path: Path) -> None:
    measurements(answers, tmp_path / "a.json").add(answers.DEFAULT, answers.NOVEL, 24, row(3, ("wrong", "correct")))
    (found,) = measurements(answers, tmp_path / "a.json").rows
    assert [answer["verdict"] for answer in found["answers"]] == ["correct"] * 3 + ["wrong"]


def test_gains_are_paired_over_the_passages_that_both_have(answers: ModuleType, tmp_path: Path) -> None:
    one = measurements(answers, tmp_path / "a.json")
    base = answers.REFERENCES[0]
    for number, (right, of_base) in enumerate([(4, 1), (3, 1), (2, None)], 24):
        one.add(answers.DEFAULT, answers.NOVEL, number, row(right))
        if of_base is not None:
            one.add(base, answers.NOVEL, number, row(of_base))
    summary = answers.report.summarise(one, {answers.NOVEL: (24, 27)})
    gain = next(gain for gain in summary["gains"] if (gain["over"], gain["measure"]) == ("base", "conveys"))
    assert (gain["passages"], gain["difference"], gain["ratio"]) == (2, pytest.approx(0.625), pytest.approx(3.5))
    reached = {figures["recipe"]: figures["conveys"] for figures in summary["confirmed"]}
    assert reached == {"base": pytest.approx(0.25), answers.DEFAULT.name: pytest.approx(0.75)}
    assert "75.0" in answers.report.table(summary)


def test_the_default_is_the_recipe_that_won_where_it_was_confirmed(answers: ModuleType) -> None:
    from parts.answer_recipes import recipe_key

    key = recipe_key(answers.DEFAULT)
    results = answers.results_file.read(answers.results_file.RESULTS / "recipes.json")
    confirmed = [row for row in results["rows"] if row["recipe"] == key and row["passage"] >= answers.EXPLORED]
    assert {domain: sum(row["domain"] == domain for row in confirmed) for domain in ("squad", "seal_novel")} == {
        "squad": 100,
        "seal_novel": 16,
    }
    assert results["summary"]["choice"][0]["recipe"] == answers.DEFAULT.name
    assert len(results["summary"]["choice"]) == 2
