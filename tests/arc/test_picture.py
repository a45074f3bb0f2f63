"""How tasks look: as a PNG, and with `seal arc` in a terminal, as JSON, and where something is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from command_line import Call, caller
from PIL import Image
from PIL.ImageColor import getrgb
from rich.console import Console

from seal_agent.arc.data import load_split, load_task
from seal_agent.arc.grids import ArcTask, Example, Grid, format_grid
from seal_agent.arc.picture import PALETTE, RIGHT, WRONG, cell_colours, draw_task, write_png
from seal_agent.arc.toy import toy_task
from seal_agent.cli import console
from seal_agent.errors import InputError, MissingDependency

TOY = toy_task("toy-flip-000")
GOLD = TOY.test[0].output
NEAR = Grid.of([*GOLD.rows[:2], tuple((cell + 1) % 10 for cell in GOLD.rows[2])])


@pytest.fixture
def seal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs `seal …` in this process."""
    monkeypatch.setenv("COLUMNS", "120")
    return caller(monkeypatch, capsys)


@pytest.fixture
def attempts(tmp_path: Path) -> Path:
    path = tmp_path / "attempts.json"
    path.write_text(json.dumps({"attempts": [GOLD.rows, NEAR.rows, None]}), encoding="utf-8")
    return path


def colours_of(image: Image.Image) -> set[tuple[int, int, int]]:
    return {colour for _, colour in image.getcolors(maxcolors=1 << 24)}


# ---------------------------------------------------------------- pictures


def test_every_colour_of_arc_has_its_own() -> None:
    assert len(set(PALETTE)) == 10
    assert cell_colours(Grid((tuple(range(10)),))) == (PALETTE,)


def test_a_picture_shows_every_cell_in_its_colour() -> None:
    grid = Grid(((1, 2), (3, 4)))
    task = ArcTask("t", (Example(grid, Grid(((5, 6, 7),))),), (Example(Grid(((8,),)), Grid(((9,), (0,)))),))
    shown = colours_of(draw_task(task))
    assert {getrgb(colour) for colour in PALETTE} <= shown
    assert not {getrgb(RIGHT), getrgb(WRONG)} & shown


def test_attempts_are_marked_right_or_wrong() -> None:
    for attempt, mark in ((GOLD, RIGHT), (NEAR, WRONG), (None, WRONG)):
        image = draw_task(TOY, [attempt])
        assert getrgb(mark) in colours_of(image)
        assert getrgb({RIGHT: WRONG, WRONG: RIGHT}[mark]) not in colours_of(image)
        assert image.width > draw_task(TOY).width


def test_the_largest_tasks_and_those_of_several_tests_can_be_drawn() -> None:
    tasks = load_split("train1")
    by_size = sorted(tasks, key=lambda task: max(max(one.input.shape) for one in task.train))
    several = next(task for task in tasks if len(task.test) > 1)
    for task in (by_size[0], by_size[-1], several):
        image = draw_task(task, [None])
        assert max(image.size) < 4000


def test_a_png_is_written(tmp_path: Path) -> None:
    write_png(tmp_path / "toy.png", TOY, [GOLD, None])
    with Image.open(tmp_path / "toy.png") as image:
        assert image.format == "PNG"
        assert image.size == draw_task(TOY, [GOLD, None]).size
    with pytest.raises(InputError, match="cannot be written"):
        write_png(tmp_path / "none" / "toy.png", TOY)
    with pytest.raises(InputError, match="cannot be written"):
        write_png(tmp_path, TOY)


def test_without_pillow_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingDependency, match=r"pip install 'seal-agent\[arc\]'"):
        draw_task(TOY)


# ---------------------------------------------------------------- seal arc show


def test_where_there_are_no_colours_digits_are_shown(seal: Call, attempts: Path, tmp_path: Path) -> None:
    png = tmp_path / "toy.png"
    ran = seal("arc", "show", TOY.id, "--attempts", attempts, "--png", png)
    assert ran.code == 0
    assert png.exists()
    for row in format_grid(GOLD, "compact").split("\n"):
        assert row in ran.out
    assert "attempt 1 ✓" in ran.out
    assert "attempt 2 ✗ 67% of cells" in ran.out
    assert "attempt 3 ✗ no grid" in ran.out
    assert f"wrote {png}" in " ".join(ran.out.split())


def test_a_terminal_with_colours_shows_two_characters_a_cell(
    seal: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Console(force_terminal=True, color_system="truecolor", width=120, highlight=False)
    monkeypatch.setattr(console, "out", terminal)
    ran = seal("arc", "show", TOY.id)
    (red, green, blue) = getrgb(PALETTE[max(max(row) for row in GOLD.rows)])
    assert f"48;2;{red};{green};{blue}m  \x1b[0m" in ran.out
    assert format_grid(GOLD, "compact").split("\n")[0] not in ran.out


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_grid_is_never_folded(seal: Call, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    largest = max(load_split("train1"), key=lambda task: task.train[0].input.shape[1])
    ran = seal("arc", "show", largest.id)
    for row in format_grid(largest.train[0].input, "compact").split("\n"):
        assert row in ran.out


def test_json_is_the_task_as_arc_writes_it_and_each_attempt_judged(seal: Call, attempts: Path) -> None:
    shown = seal("arc", "show", TOY.id, "--attempts", attempts, "--json").json
    assert shown["id"] == TOY.id
    assert Grid.of(shown["test"][0]["output"]) == GOLD
    assert [one["right"] for one in shown["attempts"]] == [True, False, False]
    assert [round(one["cell_accuracy"], 2) for one in shown["attempts"]] == [1.0, 0.67, 0.0]
    assert shown["attempts"][2]["grid"] is None
    assert shown["png"] is None


def test_what_is_printed_as_json_is_a_task_file(seal: Call, tmp_path: Path) -> None:
    path = tmp_path / "copy.json"
    path.write_text(seal("arc", "show", "6150a2bd", "--json").out, encoding="utf-8")
    again = seal("arc", "show", path, "--json").json
    assert again["id"] == "copy"
    assert Grid.of(again["train"][0]["input"]) == load_task("6150a2bd").train[0].input


def test_attempts_at_many_tasks_are_found_by_the_id(seal: Call, attempts: Path) -> None:
    for of_task in ([GOLD.rows], {"attempts": [GOLD.rows]}):
        attempts.write_text(json.dumps({"toy-tile-000": [None, None], TOY.id: of_task}), encoding="utf-8")
        shown = seal("arc", "show", TOY.id, "--attempts", attempts, "--json").json
        assert [one["right"] for one in shown["attempts"]] == [True]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "holds no attempts at toy-flip-000"),
        ('{"toy-tile-000": []}', "holds no attempts at toy-flip-000"),
        ('{"attempts": [[[0]], [[0, 10]]]}', "attempt 2 in"),
        ('{"attempts": [3]}', "attempt 1 in"),
    ],
)
def test_attempts_that_cannot_be_read_are_one_sentence(seal: Call, attempts: Path, content: str, says: str) -> None:
    attempts.write_text(content, encoding="utf-8")
    ran = seal("arc", "show", TOY.id, "--attempts", attempts)
    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert "give" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("6150a2be", "did you mean 6150a2bd"),
        ("none.json", "there is no file"),
        ("toy-spin-000", "there is no toy task"),
    ],
)
def test_a_task_that_there_is_not_is_one_sentence(seal: Call, name: str, says: str) -> None:
    ran = seal("arc", "show", name)
    assert ran.code == 2
    assert says in " ".join(ran.err.split())


# ---------------------------------------------------------------- seal arc list


def test_splits_and_their_tasks_are_listed(seal: Call) -> None:
    assert "ARC-AGI-2 evaluation" in seal("arc", "list").out
    assert seal("arc", "list", "--json").json["splits"]["toy"] == "invented small tasks"
    lines = seal("arc", "list", "--split", "paper-train").out.splitlines()
    assert len(lines) == 12
    assert "6150a2bd\texamples 2\ttests 1\tlargest 3 × 3" in lines
    (first, *_) = seal("arc", "list", "--split", "toy", "--json").json["tasks"]
    assert (first["id"], first["test"], first["largest"]) == ("toy-recolour-000", 1, [3, 3])
    ran = seal("arc", "list", "--split", "train3")
    assert (ran.code, "use train1, eval1" in ran.err) == (2, True)


@pytest.mark.parametrize("command", [("show",), ("list",)])
def test_every_help_shows_an_example(seal: Call, command: tuple[str, ...]) -> None:
    ran = seal("arc", *command, "--help")
    assert ran.code == 0
    assert "Example:" in ran.out
    assert "--json" in ran.out
