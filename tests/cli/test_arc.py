"""`seal arc solve`: trains, answers, draws, and leaves attempts that `seal arc show` reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Call, Ran, caller

FAST = ("--max-sequences", 4, "--views", 2)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(monkeypatch, capsys)


def solve(call: Call, model: Path, *arguments: object) -> Ran:
    return call("arc", "solve", "toy-count-000", *FAST, "--model", model, *arguments)


@pytest.mark.parametrize("mode", ["base", "ttt", "random", "self_edit"])
def test_every_mode_answers(call: Call, model: Path, mode: str) -> None:
    ran = solve(call, model, "--mode", mode, "--json")
    assert ran.code == 0, ran.err
    said = ran.json
    assert said["task"] == "toy-count-000"
    assert 0 <= said["cell_accuracy"] <= 1
    assert (said["choice"] is None) == (mode == "base")


def test_attempts_go_to_a_file_that_show_reads(call: Call, model: Path, tmp_path: Path) -> None:
    ran = solve(call, model, "--out", tmp_path / "a.json", "--png", tmp_path / "a.png")
    assert ran.code == 0, ran.err
    assert "solved" in ran.out
    assert "self-edit: {" in ran.out
    assert (tmp_path / "a.png").stat().st_size > 1000
    shown = call("arc", "show", "toy-count-000", "--attempts", tmp_path / "a.json", "--json")
    assert shown.code == 0, shown.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--mode", "guess"), "use ttt, self_edit, random, base"),
        (("--policy", "runs/x"), "add --mode self_edit"),
        (("--views", 0), "views must be at least 1"),
    ],
)
def test_misuse_is_one_sentence(call: Call, model: Path, arguments: tuple[object, ...], says: str) -> None:
    ran = solve(call, model, *arguments)
    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_help_shows_an_example(call: Call) -> None:
    assert "Example: seal arc solve" in call("arc", "solve", "--help").out
