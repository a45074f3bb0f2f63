"""Invented tasks: always the same for a seed, small, and with one rule that the examples show."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from seal_agent.arc.augment import LEFT_RIGHT, UP_DOWN, flip
from seal_agent.arc.grids import ArcTask, Cells, Example
from seal_agent.arc.toy import KINDS, toy_task, toy_tasks
from seal_agent.errors import InputError

TASKS = [task for seed in range(10) for task in toy_tasks(20, seed)]
Rule = Callable[[Cells], Cells]


def kind_of(task: ArcTask) -> str:
    return task.id.split("-")[1]


def of_kind(kind: str) -> list[ArcTask]:
    return [task for task in TASKS if kind_of(task) == kind]


def rules(kind: str) -> list[Rule]:
    """What a task of a kind may do, written out again."""
    quarters: list[Rule] = [
        lambda c, top=top, left=left: c[top : top + len(c) // 2, left : left + len(c) // 2]
        for top in (0, 2)
        for left in (0, 2)
    ]
    return {
        "flip": [np.flipud, np.fliplr],
        "crop": quarters,
        "count": [lambda c: c[c > 0][None]],
        "tile": [lambda c, times=times: np.tile(c, times) for times in ((1, 2), (2, 1), (2, 2))],
    }[kind]


def test_the_seed_decides_and_the_count_does_not() -> None:
    assert toy_tasks() == toy_tasks(20, 0)
    assert toy_tasks(7) == toy_tasks()[:7]
    assert len(toy_tasks()) == 20
    assert [task.train for task in toy_tasks(20, 1)] != [task.train for task in toy_tasks()]
    assert toy_tasks(0) == ()


def test_these_very_tasks_come_out_on_every_machine() -> None:
    from dataclasses import asdict

    from seal_agent.types import content_hash

    assert content_hash([asdict(task) for task in toy_tasks()])[:16] == "820618b9141781e4"


def test_kinds_come_in_turn_and_ids_are_unique_over_seeds() -> None:
    assert [task.id for task in toy_tasks(6)] == [*(f"toy-{kind}-000" for kind in KINDS), "toy-recolour-001"]
    assert len({task.id for task in TASKS}) == len(TASKS)
    assert toy_tasks(6, 3)[5].id == "toy-recolour-001-s3"


def test_a_task_is_found_by_its_id() -> None:
    for task in TASKS[::7]:
        assert toy_task(task.id) == task
    assert toy_task("toy-crop-999").id == "toy-crop-999"
    for wrong in ("toy-flip", "toy-flip-3", "toy-spin-003", "toy-flip-003-s0", "toy-flip-003x", "toy-flip-٣٣٣"):
        with pytest.raises(InputError, match=r"there is no toy task .* recolour, flip"):
            toy_task(wrong)


def test_a_toy_is_small_and_its_test_is_new() -> None:
    for task in TASKS:
        assert re.fullmatch(r"toy-[a-z]+-[0-9]{3}(-s[0-9])?", task.id)
        assert len(task.train) in (3, 4)
        (test,) = task.test
        inputs = [example.input for example in (*task.train, test)]
        assert len(set(inputs)) == len(inputs)
        assert test.output not in [example.output for example in task.train]
        assert all(example.input != example.output for example in (*task.train, test))
        assert {side for grid in inputs for side in grid.shape} == ({4} if kind_of(task) == "crop" else {3})
        assert max(max(example.output.shape) for example in (*task.train, test)) <= 6
        colours = {cell for grid in inputs for row in grid.rows for cell in row} - {0}
        assert 1 <= len(colours) <= 3


def test_one_rule_of_its_kind_explains_every_example() -> None:
    def explains(rule: Rule, example: Example) -> bool:
        return np.array_equal(rule(example.input.array), example.output.array)

    for task in (task for kind in KINDS[1:] for task in of_kind(kind)):
        of_its_kind = rules(kind_of(task))
        (rule,) = [rule for rule in of_its_kind if all(explains(rule, example) for example in task.train)]
        assert explains(rule, task.test[0])
        for example in task.train:
            assert sum(explains(other, example) for other in of_its_kind) == 1, "each shows it alone"


def test_each_example_shows_the_whole_map_of_colours() -> None:
    for task in of_kind("recolour"):
        every = (*task.train, *task.test)
        maps = {frozenset(zip(one.input.array.flat, one.output.array.flat, strict=True)) for one in every}
        assert len(maps) == 1, "the test's colours all occur in training"
        (colours,) = maps
        assert len(colours) == 3
        assert (0, 0) in colours
        assert len({old for old, _ in colours}) == len({new for _, new in colours}) == 3


def test_a_count_was_seen_with_another_colour() -> None:
    for task in of_kind("count"):
        seen = [example.output for example in task.train]
        assert task.test[0].output.shape in {grid.shape for grid in seen}
        assert task.test[0].output.rows[0][0] in {grid.rows[0][0] for grid in seen}


def test_what_is_tiled_is_no_mirror_image() -> None:
    for task in of_kind("tile"):
        for example in task.train:
            tall, wide = (out > own for out, own in zip(example.output.shape, example.input.shape, strict=True))
            assert not tall or flip(UP_DOWN).apply(example.output) != example.output
            assert not wide or flip(LEFT_RIGHT).apply(example.output) != example.output


def test_rules_vary_within_a_kind() -> None:
    assert {task.train[0].output.shape for task in of_kind("tile")} == {(3, 6), (6, 3), (6, 6)}
