"""What people see in a terminal: bars that are drawn, texts as they are, questions that can be read and answered."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from command_line import Call, caller
from rich.console import Console

from seal_agent.adaptation.gate import approval
from seal_agent.cli import console
from seal_agent.types import Revision

QUICK = ("--recipe", "paper", "--format", "passage", "--epochs", 1, "--self-test", 0)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """Standard error as a terminal."""
    drawn = StringIO()
    monkeypatch.setenv("TERM", "xterm")  # nothing moves in a dumb one
    monkeypatch.setattr(console, "err", Console(file=drawn, force_terminal=True, width=100, emoji=False))
    return drawn


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    return caller(monkeypatch, capsys, tmp_path / "home")


def test_a_stage_has_a_bar_before_its_length_is_known(screen: StringIO) -> None:
    with console.stage_bars() as bars:
        bars("train", 0, 1)
        bars("train", 3, 10)
        bars("ask", 1, 1)
    drawn = screen.getvalue()
    assert "0/?" in drawn
    assert " 3/10" in drawn
    assert "1/1" in drawn


def test_a_round_has_bars_with_rewards(screen: StringIO) -> None:
    with console.round_bars(2, lambda _, done: float(done)) as bars:
        bars(0, "propose", 0, 4)
        bars(0, "evaluate", 2, 4, [0.25, 0.5])
        bars(1, "propose", 4, 4)
    drawn = screen.getvalue()
    assert "round 2/2 · propose" in drawn
    assert "best +0.50 mean +0.38" in drawn


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "mill.txt"
    path.write_text("The mill of Orrin turns by night.", encoding="utf-8")
    return path


def test_a_text_is_learnt_and_forgotten_before_ones_eyes(run: Call, model: Path, screen: StringIO, text: Path) -> None:
    learnt = run("adapt", text, "--model", model, *QUICK, "--no-gate")
    assert learnt.code == 0, learnt.err
    for stage in ("write", "train"):
        assert stage in screen.getvalue()
    revision = run("history", "--json").json["revisions"][0]["id"]
    assert run("forget", revision, "--yes", "--model", model).code == 0


def test_titles_and_texts_are_shown_as_they_are_in_eighty_columns(
    run: Call, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Square brackets are no markup, and :ab: is no blood group."""
    (tmp_path / "api.txt").write_text("GET [/users] lists all users. See :ab: in array[i].", encoding="utf-8")
    run("adapt", tmp_path / "api.txt", "--model", model, *QUICK, "--no-gate")
    run("adapt", tmp_path / "api.txt", "--model", model, *QUICK, "--no-gate", "--title", "The [bold]i[/bold] operator")
    monkeypatch.setattr(console.out, "width", 80)
    shown = run("history")
    assert shown.code == 0, shown.err
    assert max(map(len, shown.out.splitlines())) <= 80
    seen = " ".join(shown.out.split())
    assert "[/users]" in seen
    assert "[bold]i[/bold]" in seen


def test_an_answer_with_colons_has_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    for screen in (console.out, console.err):
        screen.print("02:ab:11:cd:22:ef", markup=False)
    assert capsys.readouterr() == ("02:ab:11:cd:22:ef\n",) * 2


def test_lines_of_a_pipe_are_not_broken(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console.err, "width", 80)
    console.err.print("one word after the other " * 10)
    assert capsys.readouterr().err == "one word after the other " * 10 + "\n"


@pytest.mark.skipif(os.name == "nt", reason="opens a pseudo-terminal")
@pytest.mark.parametrize(("typed", "state"), [("yes", "active"), ("no", "rejected")])
def test_approval_is_asked_where_it_can_be_read(
    run: Call, model: Path, screen: StringIO, text: Path, monkeypatch: pytest.MonkeyPatch, typed: str, state: str
) -> None:
    bars_are_drawn = []
    ask = approval.ask_on_terminal

    def watched(candidate: Revision) -> bool:
        bars_are_drawn.append(bool(console.err._live_stack))
        return ask(candidate)

    monkeypatch.setattr(approval, "ask_on_terminal", watched)
    keyboard, terminal = os.openpty()
    with os.fdopen(terminal) as stdin:
        os.write(keyboard, f"{typed}\n".encode())
        ran = run("adapt", text, "--model", model, *QUICK, "--minimum-gain", -1, "--approve", stdin=stdin)
    os.close(keyboard)
    assert ran.code == 0, ran.err
    assert "Make it active? [y/N]" in ran.err
    assert bars_are_drawn == [False]
    assert run("history", "--json").json["revisions"][0]["state"] == state


def test_approval_without_a_terminal_is_refused_before_anything_is_loaded(run: Call, text: Path) -> None:
    for command in (("adapt", text), ("learn",)):
        ran = run(*command, "--model", "/nowhere", "--approve")
        assert ran.code == 2
        assert "--approve asks on the terminal" in ran.err
