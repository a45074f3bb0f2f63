"""Grids as values and as text, and reading what a model says, whatever that is."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict

import numpy as np
import pytest
from arc_grids import grids
from hypothesis import given, settings
from hypothesis import strategies as st

from seal_agent.arc.data import load_split
from seal_agent.arc.grids import STYLES, ArcTask, Example, Grid, Style, Unparsed, cell_accuracy, format_grid, parse_grid
from seal_agent.errors import InputError
from seal_agent.types import content_hash

GRID = Grid(((0, 1, 2), (3, 4, 5)))
LISTS, COMPACT = "[[0, 1, 2], [3, 4, 5]]", "012\n345"


# ---------------------------------------------------------------- values


def test_a_grid_is_its_content() -> None:
    same = Grid.of(np.array([[0, 1, 2], [3, 4, 5]]))
    assert same == GRID
    assert hash(same) == hash(GRID)
    assert Grid.of(GRID.array.T) != GRID
    assert GRID.shape == (2, 3)
    assert GRID.array.dtype == np.uint8


def test_a_grid_cannot_be_changed_through_its_array() -> None:
    GRID.array[0, 0] = 9
    assert GRID.rows[0][0] == 0
    with pytest.raises(AttributeError):
        GRID.rows = ((1,),)  # type: ignore[misc]


def test_a_task_survives_pickle_and_json_and_has_a_content_hash() -> None:
    task = ArcTask("t", (Example(GRID, GRID),), (Example(GRID, GRID),))
    assert pickle.loads(pickle.dumps(task)) == task
    assert Grid.of(json.loads(json.dumps(asdict(task)))["train"][0]["input"]["rows"]) == GRID
    assert content_hash(asdict(task)) == content_hash(asdict(pickle.loads(pickle.dumps(task))))
    assert content_hash(asdict(task)) != content_hash(asdict(ArcTask("u", task.train, task.test)))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "empty"),
        ([[]], "empty"),
        ([[0], [1, 2]], "ragged"),
        ([[0] * 31], "too large"),
        ([[0]] * 31, "too large"),
        ([[10]], "other than digits"),
        ([[-1]], "other than digits"),
        ([[1.0]], "other than digits"),
        ([[True]], "other than digits"),
        (["01"], "other than digits"),
        ([[[0]]], "other than digits"),
        ([0, 1], "not iterable"),
        (None, "not iterable"),
    ],
)
def test_what_is_no_grid_is_refused_with_the_fix(rows: object, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        Grid.of(rows)
    assert "give" in str(error.value)


def test_cell_accuracy_is_the_share_of_right_cells() -> None:
    assert cell_accuracy(GRID, GRID) == 1.0
    assert cell_accuracy(Grid(((0, 1, 2), (3, 4, 9))), GRID) == pytest.approx(5 / 6)
    assert cell_accuracy(Grid.of(GRID.array.T), GRID) == 0.0
    assert cell_accuracy(None, GRID) == 0.0


# ---------------------------------------------------------------- text


def test_the_two_styles() -> None:
    assert format_grid(GRID, "lists") == LISTS
    assert format_grid(GRID, "compact") == COMPACT
    for unknown in (lambda: format_grid(GRID, "csv"), lambda: parse_grid("", "csv")):  # type: ignore[arg-type]
        with pytest.raises(InputError, match="use lists or compact"):
            unknown()


def test_every_grid_of_arc_survives_both_styles() -> None:
    tasks = [task for split in ("train1", "eval1", "train2", "eval2") for task in load_split(split)]
    assert len(tasks) == 1920
    seen = {grid for task in tasks for example in (*task.train, *task.test) for grid in (example.input, example.output)}
    assert len(seen) > 9_000
    for grid in seen:
        for style in STYLES:
            assert parse_grid(format_grid(grid, style), style) == grid


@settings(max_examples=100, deadline=None)
@given(grids(), st.sampled_from(STYLES))
def test_any_grid_survives_both_styles(grid: Grid, style: Style) -> None:
    assert parse_grid(format_grid(grid, style), style) == grid


@pytest.mark.parametrize(
    ("text", "style"),
    [
        (f"Sure! The output is {LISTS}. It was a [1, 2] shift.", "lists"),
        ("[[0,1,2],\n [3,4,5]\n]", "lists"),
        (f"{LISTS}{LISTS}", "lists"),
        (f"[ {LISTS[1:]}", "lists"),
        (f"Output:\n{COMPACT}\n\nBecause 0 moves.", "compact"),
        (f"```\r\n{COMPACT}\r\n```", "compact"),
        (f"{COMPACT}\nDone", "compact"),
        (f"  {COMPACT}  \n\n999", "compact"),
    ],
)
def test_prose_around_a_grid_is_passed_over(text: str, style: Style) -> None:
    assert parse_grid(text, style) == GRID


@pytest.mark.parametrize(
    ("text", "style", "says"),
    [
        ("", "lists", "no grid found"),
        ("[0, 1]", "lists", "no grid found"),
        ("[[]]", "lists", "row 1 holds ''"),
        ("[[0, 1], [2]]", "lists", "ragged"),
        ("[[0, 1], [2, 3]", "lists", "breaks off after 2 rows"),
        ("[[0, 1], [2,", "lists", "breaks off after 1 rows"),
        ("[[0, 10]]", "lists", "row 1 holds '10'"),
        ("[[0, 1], [a, 1]]", "lists", "row 2 holds 'a'"),
        ("[[0, , 1]]", "lists", "row 1 holds ''"),
        ("[[0, ²]]", "lists", "row 1 holds '²'"),
        ("[[[0]]]", "lists", "breaks off"),
        (str([[0] * 31]), "lists", "too large, 1 × 31"),
        (str([[0]] * 31), "lists", "too large, 31 × 1"),
        ("", "compact", "no grid found"),
        ("I do not know.", "compact", "no grid found"),
        ("٣٤", "compact", "no grid found"),
        ("012\n34", "compact", "ragged"),
        ("012\n3x5", "compact", "row 2 is not all digits"),
        ("0" * 31, "compact", "too large"),
        ("0\n" * 31, "compact", "too large"),
    ],
)
def test_what_holds_no_grid_has_a_reason(text: str, style: Style, says: str) -> None:
    found = parse_grid(text, style)
    assert isinstance(found, Unparsed)
    assert says in found.reason


@settings(max_examples=1000, deadline=None)
@given(st.text() | st.text(alphabet="[], 0123456789\n²a٣"), st.sampled_from(STYLES))
def test_no_text_makes_parsing_raise(text: str, style: Style) -> None:
    found = parse_grid(text, style)
    assert found.reason if isinstance(found, Unparsed) else found.shape


@settings(max_examples=300, deadline=None)
@given(grids(6), st.sampled_from(STYLES), st.integers(0, 200), st.text(max_size=3))
def test_no_damaged_answer_makes_parsing_raise(grid: Grid, style: Style, at: int, dirt: str) -> None:
    text = format_grid(grid, style)
    parse_grid(text[:at] + dirt + text[at + 1 :], style)
    parse_grid(text[:at], style)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("piece", ["[", "[ ", "[[", "[[0],", "9", "9\n", " ", "[[" + "9" * 5000 + "]]"])
def test_long_nonsense_is_read_in_no_time(piece: str, style: Style) -> None:
    parse_grid(piece * (200_000 // len(piece)), style)
