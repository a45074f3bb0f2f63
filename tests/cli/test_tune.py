"""`seal tune`, as it is typed, on a tiny model: a run, its plan, what it refuses, and its recipe in other commands."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import tuning_fakes
from command_line import Call, Ran
from outer_loop_fakes import domain

from seal_agent.base_model.loading import load_model
from seal_agent.outer_loop.executors import ray as executor_ray
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.executors.workers import MakeWorker
from seal_agent.outer_loop.tuning import forecast
from seal_agent.outer_loop.tuning.archive import Candidate
from seal_agent.outer_loop.units import Worker

RECIPE = """
[self_edit]
formats = ["rewrite"]
verify = "off"
[inner_loop]
rank = 2
alpha = 4.0
epochs = 1
null_space = 0.0
shrink = 0.0
openings = 0
[answer]
style = "plain"
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "light.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six passages about keepers of keys."""
    rows = [
        {"title": c.title, "context": c.text, "questions": [{"question": q.text, "answer": list(q.golds)}]}
        for c in domain(6).contexts
        for q in c.questions[1:2]
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every worker has an engine that answers by its adapter's weights."""

    def made(maker: MakeWorker) -> Any:
        return tuning_fakes.worker(load_model(maker.model, device="cpu", dtype="float32"))

    monkeypatch.setattr(MakeWorker, "__call__", made)


@pytest.fixture
def tune(seal: Call, data: Path, model: Path, recipe: Path, tmp_path: Path) -> Call:
    def call(*more: object) -> Ran:
        sizes = ("--stages", "1,2", "--confirm", 2, "--children", 2)
        return seal(
            "tune", "--data", data, "--run", tmp_path / "run", "--model", model, "--from", recipe, *sizes, *more
        )

    return call


@pytest.mark.usefixtures("scripted")
def test_a_run_gives_a_recipe_that_other_commands_take(tune: Call, seal: Call, tmp_path: Path) -> None:
    ran = tune("--steps", 1, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["kept"]
    assert ran.json["candidates"] >= 2
    assert Path(ran.json["report"]["html"]).is_file()
    again = tune("--steps", 1, "--json")
    assert again.json["digest"] == ran.json["digest"], "the same command goes on in the folder, and finds all done"
    shown = seal("recipes", tmp_path / "run")
    assert shown.code == 0, shown.err
    assert "inner_loop.epochs" in shown.out
    other = tune("--steps", 1, "--seed", 1)
    assert other.code == 2
    assert "begun with other settings" in other.err


class OneProcessRay:
    """Stands for RayExecutor: makes its worker of what was sent, and evaluates in this process."""

    def __init__(self, make_worker: Callable[[], Worker], **_: object) -> None:
        worker = pickle.loads(pickle.dumps(make_worker))()
        self.map, self.close = InlineExecutor(worker).map, lambda: None


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(("options", "times"), [((), 2), (("--address", "10.0.0.1:6379"), 1)])
def test_workers_of_ray_prepare_their_model_before_the_clock_starts(
    tune: Call, monkeypatch: pytest.MonkeyPatch, options: tuple[object, ...], times: int
) -> None:
    prepared: list[int] = []

    def prepare(worker: Worker, roots: Sequence[Candidate]) -> float:
        prepared.append(len(roots))
        return 0.0

    monkeypatch.setattr(forecast, "prepare", prepare)
    monkeypatch.setattr(executor_ray, "RayExecutor", OneProcessRay)
    ran = tune("--steps", 0, "--executor", "ray", *options)
    assert ran.code == 0, ran.err
    assert prepared == [2] * times, "on this machine here first, so that workers find the reader and the directions"


@pytest.mark.usefixtures("scripted")
def test_a_run_without_a_terminal_says_how_far_it_is(tune: Call) -> None:
    ran = tune("--steps", 0)
    assert ran.code == 0, ran.err
    lines = ran.err.splitlines()
    assert "step 0: 0 of 2 passages learnt" in lines
    assert "step 0: 2 of 2 passages learnt" in lines
    assert lines[-1].startswith("confirm: ")
    assert "recipes: the winner, and all that nothing beats" in ran.out


@pytest.mark.usefixtures("scripted")
def test_a_dry_run_warns_of_a_budget_without_room(tune: Call) -> None:
    ran = tune("--budget", 0.0001, "--dry-run")
    assert ran.code == 0, ran.err
    assert "Warning: 0.0001 minutes are too few" in ran.out


@pytest.mark.usefixtures("scripted")
def test_a_dry_run_says_how_long_and_writes_nothing(tune: Call, tmp_path: Path) -> None:
    ran = tune("--budget", 90, "--dry-run")
    assert ran.code == 0, ran.err
    assert "expected time" in ran.out
    assert not (tmp_path / "run").exists()
    assert tune("--budget", 90, "--dry-run", "--json").json["confirming"] == 2 * 2, "the winner and the default"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "an end with --budget or --steps"),
        (("--budget", 0), "above 0 minutes"),
        (("--steps", 1, "--stages", "2,x"), "whole numbers such as 2,6,24"),
        (("--steps", 1, "--stages", "6,2"), "stages rise"),
        (("--steps", 1, "--parents", "best"), "parents is one of clade, dgm"),
        (("--steps", 1, "--workers", 2), "add --executor ray"),
        (("--steps", 1, "--confirm", 20), "the data has 6 with questions"),
        (("--steps", 1, "--from", "in_context"), "learns nothing"),
        (("--steps", 1, "--grader", "judge"), "judge"),
    ],
)
def test_misuse_is_refused_before_a_model_is_loaded(tune: Call, options: tuple[object, ...], words: str) -> None:
    ran = tune(*options)
    assert ran.code == 2
    assert words in ran.err
