"""The board's own pictures: the front, names that can be read, and ticks that say where one is."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from bench_rows import novel_row

from seal_agent.evaluation.leaderboard.axes import (
    BOTTOM,
    HEIGHT,
    LEFT,
    LETTER,
    LINE,
    LONGEST,
    WIDTH,
    Box,
    Frame,
    axes,
    shortened,
    ticks,
)
from seal_agent.evaluation.leaderboard.pareto import Point, front, pareto_svg, points_of
from seal_agent.evaluation.leaderboard.site import entries_of
from seal_agent.evaluation.leaderboard.standings import standings


def names_in(svg: str) -> list[tuple[str, Box]]:
    """Every name of a point, and where it lies."""
    found = re.findall(r'class="name" x="([^"]+)" y="([^"]+)" text-anchor="(start|end)">([^<]*)<', svg)
    boxes = []
    for x, y, anchor, text in found:
        width = LETTER * len(text)
        left = float(x) - (width if anchor == "end" else 0)
        boxes.append((text, Box(left, float(y) + 5 - LINE, left + width, float(y) + 5)))
    return boxes


def test_the_front_has_the_rows_that_no_other_beats() -> None:
    points = [Point(0, 10, "base"), Point(1, 50, "cheap"), Point(2, 40, "beaten"), Point(100, 70, "best")]
    assert [point.name for point in front(points)] == ["base", "cheap", "best"]
    assert 'class="beaten"' in pareto_svg(points)
    assert pareto_svg(points[:1]) == ""


def test_points_of_two_models_have_their_names(tmp_path: Path) -> None:
    novel_row(tmp_path / "one", "default", [6, 5])
    (board,) = standings(entries_of([tmp_path]))
    assert [point.name for point in points_of(board)] == ["default"]
    other = novel_row(tmp_path / "two", "default", [3, 2])
    other.write_text(other.read_text().replace("owner/model", "google/gemma-3-270m").replace("f" * 64, "e" * 64))
    (board,) = standings(entries_of([tmp_path]))
    assert [point.name for point in points_of(board)] == ["default · model", "default · gemma-3-270m"]


def test_names_of_near_points_do_not_cover_each_other() -> None:
    svg = pareto_svg([Point(100, 50, "first"), Point(100, 51, "second"), Point(101, 50.5, "third")])
    heights = sorted(float(y) for y in re.findall(r'class="name" x="[^"]+" y="([^"]+)"', svg))
    assert len(heights) == 3
    assert all(b - a >= 18 for a, b in pairwise(heights))


LONG = "default (answer_style=plain, epochs=5, formats=implications+self-qa)"
CROWDED = [
    [Point(0, 10, "base"), Point(30, 50, LONG), Point(200, 70, "default")],
    [*(Point(0, 5 + i, f"recipe {i}") for i in range(16)), Point(100, 70, "default")],
    [Point(3 * i, 100 - i, f"a recipe of some length {i}") for i in range(20)],
    [Point(0, 0, "nothing"), Point(5000, 100, LONG)],
]


@pytest.mark.parametrize("points", CROWDED)
def test_names_lie_inside_the_axes_and_cover_neither_names_nor_dots(points: list[Point]) -> None:
    svg = pareto_svg(points)
    names = names_in(svg)
    assert names
    for text, box in names:
        assert box.left >= LEFT, text
        assert box.right <= WIDTH, text
        assert box.top >= 0, text
        assert box.bottom <= HEIGHT - BOTTOM, text
    assert not any(a.meets(b) for (_, a), (_, b) in combinations(names, 2))
    dots = [(float(x), float(y)) for x, y in re.findall(r'cx="([^"]+)" cy="([^"]+)"', svg)]
    assert not any(box.meets(Box(x - 4, y - 4, x + 4, y + 4)) for _, box in names for x, y in dots)


def test_every_point_has_its_whole_name_for_the_pointer() -> None:
    for points in CROWDED:
        svg = pareto_svg(points)
        assert all(f"<title>{point.name}</title>" in svg for point in points)


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shortened("default") == "default"
    short = shortened(LONG)
    assert len(short) <= LONGEST
    assert (short.startswith("default (answer"), short.endswith("self-qa)")) == (True, True)


@pytest.mark.parametrize(("least", "most"), [(120, 720), (11, 96), (210, 240), (0, 115), (0, 1), (0, 250_000)])
def test_an_axis_has_several_ticks_whose_numbers_do_not_touch(least: float, most: float) -> None:
    frame = Frame(most, 80, least)
    found = ticks(frame)
    assert len(found) >= 3
    assert all(least <= tick <= most for tick in found)
    assert all(frame.x(b) - frame.x(a) > LETTER * len(f"{b:,.0f}") for a, b in pairwise(found))


def test_ticks_are_round_numbers() -> None:
    texts = [re.sub("<[^>]+>", "", part) for part in axes(Frame(12_000, 80, 100), "tokens") if 'class="tick"' in part]
    assert texts[:-5] == ["100", "200", "500", "1,000", "2,000", "5,000", "10,000"]
