"""`seal train --agent`, as it is typed, in a small world: the loop, its plan, its status, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from command_line import Call, caller
from doors import Doors, DoorsEngine
from judge_server import Server, reply

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.train import agent
from seal_agent.outer_loop.executors import workers
from seal_agent.store.ledger import Ledger


@pytest.fixture
def train(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_base: BaseModel,
    save_model: Callable[[BaseModel, Path], Path],
    tmp_path: Path,
) -> Call:
    """Runs `seal train` in the world of doors, with a tiny model that trains and an engine that acts."""
    monkeypatch.setenv("SEAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(agent, "environment_maker", lambda name: Doors)
    monkeypatch.setattr(workers, "make_engine", lambda *_: DoorsEngine())
    model, seal = save_model(tiny_base, tmp_path / "model"), caller(monkeypatch, capsys)
    sizes = ("--rounds", 1, "--tasks", 3, "--paths", 2, "--candidates", 4)
    return lambda *more: seal("train", "--agent", "doors", "--model", model, "--run", tmp_path / "run", *sizes, *more)


def test_it_runs_tells_its_status_and_goes_on_where_it_was(train: Call, tmp_path: Path) -> None:
    first = train("--json")
    assert first.code == 0, first.err
    (round_,) = first.json["rounds"]
    assert round_["tasks"] == 3
    assert Path(first.json["trajectories"]).is_file()
    assert Path(first.json["report"]["html"]).is_file()
    again = train("--json")
    assert again.json["digest"] == first.json["digest"]
    status = train("--status", tmp_path / "run", "--json").json
    assert status["finished"]
    assert {stage["stage"] for stage in status["stages"]} >= {"explore", "measure", "scorer"}
    shown = train("--status", tmp_path / "run").out
    assert "round 1/1 ✓" in shown
    assert "held out" in train().out
    other = train("--tries", 7)
    assert (other.code, "tries was 2, is 7" in other.err) == (2, True)


def test_a_judge_at_an_endpoint_scores_and_is_asked_nothing_twice(train: Call, tmp_path: Path) -> None:
    def says(handler: BaseHTTPRequestHandler, number: int, body: dict[str, Any]) -> None:
        reply(handler, "yes")

    with Server(says) as server:
        judge = ("--scorer", "judge", "--judge-model", "j", "--judge-url", server.url, "--json")
        first = train(*judge)
        assert first.code == 0, first.err
        assert first.json["rounds"][0]["scorer_f1"] is not None
        asked = [request["messages"][-1]["content"] for request in server.requests]
        assert asked
        assert len(asked) == len(set(asked))
        (tmp_path / "run" / "ledger.sqlite").unlink()
        assert train(*judge).json["digest"] == first.json["digest"]
        assert len(server.requests) == len(asked), "every verdict was found in the run's folder"


def test_a_run_without_a_terminal_says_how_each_round_went(train: Call) -> None:
    ran = train()
    assert ran.err.count("round 1: ") == 1
    assert "tasks done" in ran.err


def test_a_merged_model_needs_an_empty_folder_before_anything_is_done(train: Call, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "note").write_text("mine")
    refused = train("--merge", full)
    assert (refused.code, "not an empty folder" in refused.err) == (2, True)
    assert not (tmp_path / "run").exists()


def test_the_store_knows_of_the_run(train: Call, tmp_path: Path) -> None:
    assert train("--json").code == 0
    known = Ledger(tmp_path / "home").database.connection.execute("SELECT folder FROM policies").fetchall()
    assert known == [(str(tmp_path / "run"),)]


def test_a_dry_run_counts_and_forecasts(train: Call, tmp_path: Path) -> None:
    plan = train("--dry-run", "--json")
    assert plan.code == 0, plan.err
    assert plan.json["explored"] == 24
    assert plan.json["scored"] == 160, "one round has no scorer that chooses, but one that is measured"
    assert plan.json["pace"]["score"] > 0
    two = train("--dry-run", "--json", "--rounds", 2)
    assert two.json["scored"] == 2 * 160 + 24 * 4 + 2 * 160
    assert plan.json["expected_seconds"] > 0
    assert "expected time" in train("--dry-run").out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--arc", "toy"), "an environment with --agent"),
        (("--contexts", 3), "--contexts is not for --agent"),
        (("--format", "rewrite"), "--format is not for --agent"),
        (("--reward", "votes"), "--reward is not for --agent"),
        (("--report-to", "tensorboard"), "--report-to is not for --agent"),
        (("--scorer", "judge"), "belong together"),
        (("--judge-model", "j"), "are for --scorer judge"),
        (("--judge-url", "http://localhost"), "are for --scorer judge"),
        (("--scorer", "judge", "--judge-model", "j", "--judge-url", "localhost"), "must begin with http"),
        (("--scorer", "coin"), "there is no scorer 'coin'"),
        (("--workers", 2), "--address and --workers are Ray's"),
        (("--paths", 0), "paths must be at least 1"),
    ],
)
def test_what_says_nothing_to_an_agent_is_refused(train: Call, options: tuple[object, ...], said: str) -> None:
    refused = train(*options)
    assert refused.code == 2, refused.err
    assert said in refused.err
