"""The toy model's pictures: what is said of a scene is what its pixels show."""

from __future__ import annotations

from collections import Counter, deque

import numpy as np
import pytest

from benchmarks.parts.shapes import COLOURS, COLUMNS, MOST, ROWS, SHAPES, Scene, scene, scenes, title_of
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.types import Verdict

Region = tuple[str, tuple[float, float], int]


def regions(picture: Scene) -> list[Region]:
    """Connected regions of one colour, from the pixels alone: its name, the middle of its box, its number of pixels."""
    pixels = np.asarray(picture.image())
    by_colour = {shade: name for name, shade in COLOURS.items()}
    names = [[by_colour.get(tuple(map(int, pixel)), "") for pixel in row] for row in pixels]
    seen, found = set(), []
    for y in range(picture.side):
        for x in range(picture.side):
            if names[y][x] and (x, y) not in seen:
                region = connected(names, x, y)
                seen |= region
                xs, ys = [place[0] for place in region], [place[1] for place in region]
                middle = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
                found.append((names[y][x], middle, len(region)))
    return found


def connected(names: list[list[str]], x: int, y: int) -> set[tuple[int, int]]:
    region, queue, side = {(x, y)}, deque([(x, y)]), len(names)
    while queue:
        px, py = queue.popleft()
        for qx, qy in ((px + 1, py), (px - 1, py), (px, py + 1), (px, py - 1)):
            if 0 <= qx < side and 0 <= qy < side and (qx, qy) not in region and names[qy][qx] == names[y][x]:
                region.add((qx, qy))
                queue.append((qx, qy))
    return region


@pytest.mark.parametrize(("grid", "side"), [(2, 64), (3, 96)])
def test_pixels_show_what_was_placed(grid: int, side: int) -> None:
    for picture in scenes(20, seed=1, grid=grid, side=side):
        found = sorted(regions(picture), key=lambda region: (region[1][1] * grid // side, region[1][0] * grid // side))
        assert [region[0] for region in found] == [placed.colour for placed in picture.placed]
        for (_, (x, y), size), placed in zip(found, picture.placed, strict=True):
            assert (int(y * grid // side), int(x * grid // side)) == (placed.row, placed.column)
            assert size > 0.02 * side * side / grid / grid * 4


def test_shapes_fill_different_shares_of_their_box() -> None:
    shares = {shape: [] for shape in SHAPES}  # type: ignore[var-annotated]
    for picture in scenes(60, seed=2):
        for (_, _, size), placed in zip(
            sorted(regions(picture), key=lambda region: (region[1][1] > 32, region[1][0] > 32)),
            picture.placed,
            strict=True,
        ):
            shares[placed.shape].append(size / (2 * placed.radius + 1) ** 2)
    means = {shape: float(np.mean(values)) for shape, values in shares.items()}
    assert means["circle"] > means["square"] + 0.02 > means["cross"]
    assert 0.4 < means["triangle"] < 0.6
    assert 0.4 < means["diamond"] < 0.6


def test_the_same_seed_gives_the_same_scene_and_another_seed_another() -> None:
    assert scene(3, 5) == scene(3, 5)
    assert scene(3, 5).image().tobytes() == scene(3, 5).image().tobytes()
    assert scene(3, 5).placed != scene(4, 5).placed
    assert list(scenes(3, seed=0, start=4)) == [scene(0, 4), scene(0, 5), scene(0, 6)]


def test_titles_are_invented_and_each_is_of_one_number() -> None:
    titles = [title_of(number) for number in range(2_000)]
    assert len({*titles}) == len(titles)
    assert all(title.split()[0].isalpha() for title in titles)


def test_the_caption_says_all_that_was_placed() -> None:
    for picture in scenes(50, seed=5, grid=3):
        assert picture.caption.count(" at the ") == len(picture.placed)
        for placed in picture.placed:
            assert f"{placed.colour} {placed.shape} at the {picture.place_of(placed)}" in picture.caption
        assert picture.caption.endswith(".")


def test_a_question_has_one_answer_that_follows_from_the_scene() -> None:
    for picture in scenes(100, seed=6):
        for asked in picture.questions:
            text, gold = asked.question.text, asked.question.golds[0]
            if asked.about == "colour":
                (placed,) = [one for one in picture.placed if f"the {one.shape}?" in text]
                assert gold == placed.colour
            elif asked.about == "count":
                number = int(asked.question.golds[1])
                assert number in (len(picture.placed), *Counter(one.shape for one in picture.placed).values())
            else:
                (placed,) = [one for one in picture.placed if one.colour in text]
                assert gold == placed.shape if asked.about == "shape" else gold in picture.place_of(placed)


def test_questions_of_each_kind_have_many_answers() -> None:
    answers: dict[str, Counter[str]] = {}
    for picture in scenes(300, seed=7):
        assert 1 <= len(picture.placed) <= MOST
        for asked in picture.questions:
            answers.setdefault(asked.about, Counter())[asked.question.golds[0]] += 1
    assert {about: len(counted) for about, counted in answers.items()} == {
        "colour": 8,
        "shape": 5,
        "height": 2,
        "side": 2,
        "count": 4,
    }
    for counted in answers.values():
        assert max(counted.values()) < 2.2 * sum(counted.values()) / len(counted)


def test_the_grader_tells_the_answers_apart() -> None:
    grader = LexicalGrader()
    for picture in scenes(15, seed=8):
        for asked in picture.questions:
            wrong = {
                "colour": [*COLOURS],
                "shape": [*SHAPES],
                "height": [*ROWS[2]],
                "side": [*COLUMNS[2]],
                "count": ["one", "four"],
            }
            for answer in asked.question.golds:
                assert grader.grade(asked.question.text, asked.question.golds, answer) is Verdict.CORRECT, asked
            for answer in wrong[asked.about]:
                if answer not in asked.question.golds:
                    assert grader.grade(asked.question.text, asked.question.golds, answer) is Verdict.WRONG, (
                        asked,
                        answer,
                    )
