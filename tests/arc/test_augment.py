"""What may be done to grids, and that it can be taken back, on every grid that ARC has published."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict

import numpy as np
import pytest
from arc_grids import grids
from hypothesis import given, settings
from hypothesis import strategies as st

from seal_agent.arc.augment import (
    IDENTITY,
    LEFT_RIGHT,
    MAX_SHIFT,
    SYMMETRIES,
    UP_DOWN,
    Augmentation,
    augment_task,
    chained,
    colour_permutation,
    concatenation,
    flip,
    invertible_views,
    permute_examples,
    reflection,
    repetition,
    rotation,
    scaling,
    select_augmentations,
    translation,
    transposition,
)
from seal_agent.arc.data import load_split
from seal_agent.arc.grids import MAX_SIDE, ArcTask, Example, Grid
from seal_agent.errors import InputError

GRID = Grid(((1, 2, 3), (4, 5, 6)))
WIDE = Grid(((7,) * 20,))
TASK = ArcTask("t", (Example(GRID, WIDE), Example(WIDE, GRID), Example(GRID, GRID)), (Example(WIDE, WIDE),))

OF_THE_PAPER = select_augmentations(seed=5)
OTHERS = (
    IDENTITY,
    transposition(anti=True),
    colour_permutation(1),
    colour_permutation(2, keep_background=False),
    concatenation(LEFT_RIGHT, rotation(180)),
    concatenation(UP_DOWN, scaling(2, 1), original_first=False),
    chained(translation(-1, 2), flip(UP_DOWN), colour_permutation(3), repetition(1, 3)),
)
EVERY = (*OF_THE_PAPER, *OTHERS)
any_augmentation = st.recursive(
    st.sampled_from(EVERY),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda steps: chained(*steps))
        | st.builds(concatenation, st.sampled_from((UP_DOWN, LEFT_RIGHT)), inner, st.booleans())
    ),
    max_leaves=4,
)


def after(grid: Grid, *steps: Augmentation) -> Grid:
    for step in steps:
        changed = step.apply(grid)
        assert changed is not None
        grid = changed
    return grid


# ---------------------------------------------------------------- each does what its name says


@pytest.mark.parametrize(
    ("augmentation", "rows"),
    [
        (IDENTITY, ["123", "456"]),
        (rotation(90), ["36", "25", "14"]),
        (rotation(180), ["654", "321"]),
        (rotation(270), ["41", "52", "63"]),
        (flip(UP_DOWN), ["456", "123"]),
        (flip(LEFT_RIGHT), ["321", "654"]),
        (transposition(), ["14", "25", "36"]),
        (transposition(anti=True), ["63", "52", "41"]),
        (translation(0, 1), ["312", "645"]),
        (translation(1, -1), ["564", "231"]),
        (scaling(2, 1), ["123", "123", "456", "456"]),
        (scaling(1, 2), ["112233", "445566"]),
        (repetition(1, 2), ["123123", "456456"]),
        (repetition(2, 1), ["123", "456", "123", "456"]),
        (reflection(UP_DOWN), ["123", "456", "456", "123"]),
        (reflection(LEFT_RIGHT), ["123321", "456654"]),
        (reflection(LEFT_RIGHT, mirrored_first=True), ["321123", "654456"]),
        (concatenation(LEFT_RIGHT, rotation(180)), ["123654", "456321"]),
        (concatenation(UP_DOWN, translation(1, 0), original_first=False), ["456", "123", "123", "456"]),
        (chained(rotation(90), scaling(1, 2)), ["3366", "2255", "1144"]),
    ],
)
def test_each_does_what_its_name_says(augmentation: Augmentation, rows: list[str]) -> None:
    assert augmentation.apply(GRID) == Grid.of([list(map(int, row)) for row in rows])


def test_colours_are_permuted_and_the_background_stays_where_it_should() -> None:
    colours = Grid((tuple(range(10)),))
    for seed in range(50):
        (row,) = after(colours, colour_permutation(seed)).rows
        assert row[0] == 0
        assert sorted(row) == list(range(10))
    moved = {after(colours, colour_permutation(seed, keep_background=False)).rows[0][0] for seed in range(50)}
    assert len(moved) > 5


# ---------------------------------------------------------------- each can be taken back


@pytest.mark.parametrize("share", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_every_augmentation_is_taken_back_on_every_grid_of_arc(share: int) -> None:
    """Of every 20th task, and of all of them."""
    tasks = [task for split in ("train1", "eval1", "train2", "eval2") for task in load_split(split)][::share]
    every = {
        grid for task in tasks for example in (*task.train, *task.test) for grid in (example.input, example.output)
    }
    inverses = [(one, one.inverse) for one in EVERY]
    done = dict.fromkeys(EVERY, 0)
    for grid in every:
        cells = grid.array
        for one, inverse in inverses:
            if (changed := one.apply_to_cells(cells)) is None:
                continue
            assert max(changed.shape) <= MAX_SIDE
            back = inverse.apply_to_cells(changed)
            assert back is not None, (str(one), grid)
            assert back.shape == cells.shape, (str(one), grid)
            assert back.tobytes() == cells.tobytes(), (str(one), grid)
            done[one] += 1
    assert all(done[one] == len(every) for one in (*SYMMETRIES, colour_permutation(1)) if one in done)
    assert min(done.values()) > len(every) / 4


@settings(max_examples=400, deadline=None)
@given(grids(12), any_augmentation)
def test_whatever_can_be_done_can_be_taken_back_and_stays_within_bounds(grid: Grid, one: Augmentation) -> None:
    changed = one.apply(grid)
    if changed is not None:
        assert max(changed.shape) <= MAX_SIDE
        assert one.inverse.apply(changed) == grid
    assert one.inverse.inverse == one


@settings(max_examples=200, deadline=None)
@given(grids(12), any_augmentation)
def test_an_inverse_does_nothing_to_what_its_augmentation_never_makes(grid: Grid, one: Augmentation) -> None:
    back = one.inverse.apply(grid)
    assert back is None or one.apply(back) == grid


@pytest.mark.parametrize(
    "one", [scaling(2, 1), scaling(1, 2), scaling(2, 2), repetition(2, 1), reflection(UP_DOWN), reflection(LEFT_RIGHT)]
)
def test_what_is_no_upscale_repeat_or_mirror_image_is_not_taken_for_one(one: Augmentation) -> None:
    assert one.inverse.apply(GRID) is None
    spoilt = after(GRID, one).array
    spoilt[0, 0] = 9
    assert one.inverse.apply(Grid.of(spoilt)) is None


def test_what_would_be_too_large_is_not_done() -> None:
    for one in (scaling(1, 2), repetition(2, 2), reflection(LEFT_RIGHT), chained(repetition(1, 2), flip(UP_DOWN))):
        assert one.apply(WIDE) is None
        assert augment_task(one, TASK) is None
    assert scaling(30, 1).apply(WIDE) is not None


# ---------------------------------------------------------------- laws of the square


@settings(max_examples=100, deadline=None)
@given(grids(8))
def test_turns_and_mirrors_keep_their_laws(grid: Grid) -> None:
    quarter = rotation(90)
    assert after(grid, *[quarter] * 4) == grid
    assert after(grid, quarter, quarter) == after(grid, rotation(180))
    assert after(grid, quarter, quarter, quarter) == after(grid, rotation(270))
    for once in (flip(UP_DOWN), flip(LEFT_RIGHT), transposition(), transposition(anti=True), rotation(180)):
        assert after(grid, once, once) == grid
    # A quarter turn counter-clockwise and then upside down is the transpose; left to right, the other one.
    assert after(grid, quarter, flip(UP_DOWN)) == after(grid, transposition())
    assert after(grid, quarter, flip(LEFT_RIGHT)) == after(grid, transposition(anti=True))


def test_the_eight_symmetries_are_all_different_and_closed() -> None:
    images = {after(GRID, one) for one in SYMMETRIES}
    assert len(images) == 8
    assert {after(GRID, one, other) for one in SYMMETRIES for other in SYMMETRIES} == images


# ---------------------------------------------------------------- groups and views


def test_the_groups_are_the_papers() -> None:
    sizes = {
        name: len(select_augmentations(**{**dict.fromkeys(("basic", "size", "chain", "repeat"), False), name: True}))
        for name in ("basic", "size", "chain", "repeat")
    }
    assert sizes == {"basic": 11, "size": 3, "chain": 6, "repeat": 3}
    assert len(set(OF_THE_PAPER)) == len(OF_THE_PAPER) == 23
    assert select_augmentations(basic=False, size=False, chain=False, repeat=False) == ()


def test_the_seed_draws_the_shift_alone() -> None:
    every = [select_augmentations(seed=seed) for seed in range(200)]
    assert every[3] == select_augmentations(seed=3)
    shifts = {one for each in every for one in each if one.name == "translation"}
    assert len(shifts) > 20
    assert all(min(one.parameters) >= 0 and 0 < max(one.parameters) <= MAX_SHIFT for one in shifts)
    assert len({one for each in every for one in each} - shifts) == 22


def test_views_are_the_symmetries_first_then_coloured_ones_and_all_different() -> None:
    views = invertible_views(7, 20)
    assert views[:8] == SYMMETRIES
    assert views[0] == IDENTITY
    assert len(set(views)) == len(views) == 20
    assert views[:3] == invertible_views(7, 3)
    assert views == invertible_views(7, 20)
    assert views[8:] != invertible_views(8, 20)[8:]
    for view in views:
        changed = after(GRID, view)
        assert sorted(changed.shape) == sorted(GRID.shape)
        assert after(changed, view.inverse) == GRID
    with pytest.raises(InputError, match="at least 1"):
        invertible_views(0, 0)


# ---------------------------------------------------------------- tasks


def test_a_task_is_augmented_in_every_grid() -> None:
    turned = augment_task(rotation(90), TASK)
    assert turned is not None
    assert turned.id == TASK.id
    assert turned.train[0] == Example(after(GRID, rotation(90)), after(WIDE, rotation(90)))
    assert augment_task(rotation(270), turned) == TASK


def test_examples_are_permuted_by_the_seed_and_tests_are_left() -> None:
    orders = {permute_examples(TASK, seed).train for seed in range(40)}
    assert len(orders) == 6
    assert all(set(order) == set(TASK.train) for order in orders)
    assert permute_examples(TASK, 1) == permute_examples(TASK, 1)
    assert permute_examples(TASK, 1).test == TASK.test


# ---------------------------------------------------------------- as data


@pytest.mark.parametrize("one", [*EVERY, *(each.inverse for each in EVERY)], ids=str)
def test_an_augmentation_is_data(one: Augmentation) -> None:
    assert Augmentation.from_json(json.loads(json.dumps(asdict(one)))) == one
    assert pickle.loads(pickle.dumps(one)) == one


def test_names_that_are_none_are_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match=r"no augmentation 'spin'; use .*rotation"):
        Augmentation("spin")
    with pytest.raises(InputError, match="90, 180 or 270"):
        rotation(45)


def test_cells_come_back_as_uint8() -> None:
    for one in EVERY:
        changed = one.apply_to_cells(GRID.array)
        assert changed is not None
        assert changed.dtype == np.uint8
