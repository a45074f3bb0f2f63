"""Rows in the formats of other boards: nothing is lost, and their own validators pass."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from bench_rows import novel_row

from seal_agent.errors import InputError
from seal_agent.evaluation.exports.every_eval_ever import from_every_eval_ever, lower_is_better, to_every_eval_ever
from seal_agent.evaluation.exports.formats import export_results
from seal_agent.evaluation.results import Measure, read_results

VALIDATOR = os.environ.get("EVERY_EVAL_EVER") or shutil.which("every_eval_ever")
"""Needs Python 3.12, so it lives in an environment of its own: `make test-exports`."""


def test_a_row_comes_back_from_every_eval_ever_unchanged(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [4, 2])
    record_path, answers_path = export_results(path, "eee")
    record = json.loads(record_path.read_text())
    assert from_every_eval_ever(record) == read_results(path)
    mean = next(r for r in record["evaluation_results"] if r["evaluation_result_id"] == "novel_n1.contains")
    assert mean["score_details"]["score"] == read_results(path).measures["contains"].value
    assert len(answers_path.read_text().splitlines()) == record["detailed_evaluation_results"]["total_rows"] == 48
    with pytest.raises(InputError, match="no row of ours"):
        from_every_eval_ever({"eval_library": {}})


@pytest.mark.skipif(not VALIDATOR, reason="every_eval_ever is not installed; run make test-exports")
def test_the_validator_of_every_eval_ever_passes(tmp_path: Path) -> None:
    files = export_results(novel_row(tmp_path, "default", [4, 2]), "eee")
    names = [str(file.relative_to(tmp_path / "every_eval_ever")) for file in files]
    command = [str(VALIDATOR), "validate", *names]
    done = subprocess.run(command, cwd=tmp_path / "every_eval_ever", capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_less_is_better_of_perplexities_in_other_tasks(tmp_path: Path) -> None:
    names = ("wikitext.word_perplexity_after", "pubmed.acc_after", "gsm8k.exact_match.strict-match_before")
    measured = {name: Measure(0.5, 0.1, 0.4, 0.6, 8) for name in names}
    row = replace(read_results(novel_row(tmp_path, "default", [4])), measures=measured)
    metrics = [result["metric_config"] for result in to_every_eval_ever(row)["evaluation_results"]]
    assert {m["metric_name"]: m["lower_is_better"] for m in metrics} == dict(
        zip(names, (True, False, False), strict=True)
    )


def test_the_direction_of_every_metric_is_lm_evals() -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.api import metrics
    from lm_eval.api.registry import HIGHER_IS_BETTER_REGISTRY

    assert metrics
    known = dict(HIGHER_IS_BETTER_REGISTRY.items())
    assert known["word_perplexity"] is False
    assert {name: not lower_is_better(f"a_task.{name}_after") for name in known} == known


def test_a_task_named_after_errors_still_has_an_accuracy() -> None:
    assert not lower_is_better("error_detection.acc_after")


def test_the_hub_gets_shares_in_per_cent(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [4, 2])
    with pytest.raises(InputError, match="novel_n1 has none"):
        export_results(path, "eval_results")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suite": "squad_n1"}))
    (written,) = export_results(path, "eval_results")
    entries = yaml.safe_load(written.read_text())
    assert entries[0]["dataset"] == {"id": "rajpurkar/squad", "task_id": "squad_n1"}
    assert entries[0]["value"] == 50.0
    assert entries[0]["date"] == "2026-11-29"
    assert "95 % interval" in entries[0]["notes"]


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use eee or eval_results"):
        export_results(novel_row(tmp_path, "default", [1]), "xml")
