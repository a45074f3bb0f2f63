"""A results file: its schema, its answers, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from bench_rows import novel_row, three_rows

from seal_agent.errors import InputError
from seal_agent.evaluation.results import published_schema, read_results, results_in, schema, to_json
from seal_agent.evaluation.samples import read_samples


def test_the_published_schema_is_the_one_of_the_classes() -> None:
    assert published_schema() == schema()


def test_a_written_row_fits_the_schema_and_comes_back_unchanged(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [4, 2])
    results = read_results(path)
    jsonschema.validate(json.loads(path.read_text()), published_schema())
    assert to_json(results) == json.loads(path.read_text())
    assert results.measures["contains"].count == 8
    assert results.measures["contains"].value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"suite": 3}, "suite"),
        ({"colour": "red"}, "colour"),
        ({"schema_version": "0"}, "no results file of schema 1"),
        ({"seeds": ["zero"]}, "seeds"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_with_the_place(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    path = novel_row(tmp_path, "default", [4])
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=complaint):
        read_results(path)


def test_a_missing_field_is_refused(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [4])
    row = json.loads(path.read_text())
    del row["prompt_hash"]
    path.write_text(json.dumps(row))
    with pytest.raises(InputError, match="prompt_hash"):
        read_results(path)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(row, published_schema())


def test_a_folder_gives_its_rows_and_passes_over_other_files(tmp_path: Path) -> None:
    paths = three_rows(tmp_path / "rows")
    (tmp_path / "rows" / "other.json").write_text('{"rows": []}')
    assert [path for path, _ in results_in(tmp_path)] == sorted(paths)
    with pytest.raises(InputError, match="neither a folder nor a results file"):
        results_in(tmp_path / "nowhere")


def test_changed_answers_are_refused(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [4])
    samples = read_results(path).samples
    assert samples
    answers = path.with_name(samples.file)
    assert len(read_samples(answers, samples.sha256)) == 48
    answers.write_bytes(answers.read_bytes() + b"x")
    with pytest.raises(InputError, match="SHA-256 differs"):
        read_samples(answers, samples.sha256)
    answers.unlink()
    with pytest.raises(InputError, match="answers are missing"):
        read_samples(answers, samples.sha256)


def test_the_same_answers_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (novel_row(tmp_path / name, "default", [4]) for name in ("a", "b"))
    assert read_results(first) == read_results(second)
