"""Adaptations over HTTP: watched, approved, cancelled, undone, forgotten; and what is left of them after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from served import ADMIN_KEY, PASSAGE, QUICK, Served, ended, serving

from seal_agent.base_model.model import BaseModel
from seal_agent.config import ServerConfig
from seal_agent.errors import InputError
from seal_agent.integrations.keys import Keys
from seal_agent.integrations.server.app import Settings, create_app
from seal_agent.integrations.server.jobs import Jobs
from seal_agent.integrations.server.journal import JobRecord, Journal
from seal_agent.integrations.server.metrics import Metrics
from seal_agent.model import SelfAdaptingModel

TEXT = "Tarnby Light stands on Ossel. <script>alert(1)</script>"
SETTINGS = Settings(Keys(None, ADMIN_KEY), self_edit=PASSAGE, inner_loop=QUICK)


@pytest.fixture
def seal(tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SelfAdaptingModel:
    """A tiny model, whose answers no gate would let pass."""
    model, adapt = SelfAdaptingModel(tiny_base, home=tmp_path), SelfAdaptingModel.adapt
    monkeypatch.setattr(SelfAdaptingModel, "adapt", lambda self, *a, **k: adapt(self, *a, **{**k, "gate": None}))
    return model


@pytest.fixture
def served(seal: SelfAdaptingModel) -> Iterator[Served]:
    with serving(seal, SETTINGS) as address:
        yield address


def test_a_text_is_learnt_beside_serving_and_undone(served: Served, seal: SelfAdaptingModel) -> None:
    with served.http(ADMIN_KEY) as http:
        begun = http.post("/v1/adapters/alice/adapt", json={"text": TEXT, "title": "Tarnby"})
        assert begun.status_code == 202
        assert served.openai().completions.create(model="tiny", prompt="One", max_tokens=3).choices
        with http.stream("GET", f"{begun.headers['location']}/events") as events:
            steps = [json.loads(line.removeprefix("data: ")) for line in events.iter_lines() if line]
        assert steps[-1]["state"] == "finished", steps[-1]
        assert steps[-1]["status"] == "active"
        assert len(steps) > 1
        assert any(step["stage"] for step in steps)
        revision = steps[-1]["revision"]
        assert http.get("/v1/adapters").json()["data"] == [{"name": "alice", "active": revision}]
        listed = http.get("/v1/adapters/alice").json()["revisions"]
        assert [(row["id"], row["in_use"], row["title"]) for row in listed] == [(revision, True, "Tarnby")]
        provenance = http.get(f"/v1/adapters/alice/revisions/{revision}").json()
        assert provenance["context"]["text"] == TEXT
        assert ["job", begun.json()["id"]] in provenance["metadata"]
        assert http.post("/v1/adapters/alice/rollback", json={}).json() == {"name": "alice", "active": None}
        assert http.post("/v1/adapters/alice/rollback", json={}).status_code == 404
        gone = http.post("/v1/adapters/alice/forget", json={"revision": revision})
        assert ended(http, gone.headers["location"])["state"] == "finished"
        assert http.get(f"/v1/adapters/alice/revisions/{revision}").status_code == 404
        assert http.get("/v1/adapters/alice").json()["forgotten"][0]["id"] == revision
    assert "Ossel" not in "".join(path.read_text() for path in (seal.home / "server").rglob("*.json"))


def test_what_is_quarantined_is_listed_and_can_be_forgotten(served: Served) -> None:
    with served.http(ADMIN_KEY) as http:
        begun = http.post("/v1/adapters/alice/adapt", json={"text": TEXT, "trust": "untrusted"})
        job = ended(http, begun.headers["location"])
        assert job["detail"] == "quarantined"
        assert http.get("/v1/adapters").json()["data"] == [{"name": "alice", "active": None}]
        assert [row["id"] for row in http.get("/v1/adapters/alice").json()["revisions"]] == [job["revision"]]
        gone = http.post("/v1/adapters/alice/forget", json={"revision": job["revision"]})
        assert ended(http, gone.headers["location"])["state"] == "finished"


def test_no_record_holds_what_is_learnt_or_asked_about_it(tiny_base: BaseModel, tmp_path: Path) -> None:
    question = {"question": "Where does Tarnby Light stand?", "answer": "on Ossel"}
    strict = replace(SETTINGS, limits=ServerConfig(kept_jobs=2))
    with serving(SelfAdaptingModel(tiny_base, home=tmp_path), strict) as served, served.http(ADMIN_KEY) as http:
        places = [
            http.post("/v1/adapters/alice/adapt", json={"text": text, "questions": [question]}).headers["location"]
            for text in ("?!", TEXT, TEXT)
        ]
        jobs = [ended(http, place) for place in places[1:]]
        assert {job["status"] for job in jobs} == {"rejected"}
        assert all(job["detail"].startswith("rejected; checks that failed: ") for job in jobs)
        until = time.monotonic() + 10  # the end of a job is told before what is dropped for it is gone
        while http.get(places[0]).status_code != 404:
            assert time.monotonic() < until, "the oldest of those that ended is dropped"
            time.sleep(0.05)
        kept = [path.read_text() for path in (tmp_path / "server" / "jobs").glob("*.json")]
    assert len(kept) == 2
    assert not any(word in "".join(kept) for word in ("Tarnby", "Ossel"))


def test_reasons_that_earlier_versions_wrote_down_are_dropped(tmp_path: Path, seal: SelfAdaptingModel) -> None:
    journal = Journal(tmp_path, kept=5)
    said = "learned: 'Where does Tarnby Light stand?' is answered wrongly"
    old = JobRecord(
        "a", "adapt", "alice", "2026", "finished", revision="r", status="rejected", detail=said, ended="2026"
    )
    journal.write(old)
    (read,) = journal.recover(seal.ledger)
    assert read == replace(old, detail="rejected")
    assert "Tarnby" not in (tmp_path / "server" / "jobs" / "a.json").read_text()


def test_a_job_is_cancelled_and_nothing_is_changed(served: Served, seal: SelfAdaptingModel) -> None:
    with served.http(ADMIN_KEY) as http:
        places = [
            http.post("/v1/adapters/alice/adapt", json={"text": f"{TEXT} {i}" * 30}).headers["location"]
            for i in range(2)
        ]
        for place in reversed(places):
            assert http.post(f"{place}/cancel", json={}).status_code == 200
        assert [ended(http, place)["state"] for place in places] == ["cancelled", "cancelled"]
        assert http.get("/v1/adapters/alice/jobs").json()["data"][0]["state"] == "cancelled"
    assert not seal.adapters()


@pytest.mark.parametrize("approve", [True, False])
def test_a_revision_waits_for_approval(served: Served, approve: bool) -> None:
    with served.http(ADMIN_KEY) as http:
        place = http.post("/v1/adapters/alice/adapt", json={"text": TEXT, "ask_before_use": True}).headers["location"]
        until = time.monotonic() + 120
        while (job := http.get(place).json())["state"] != "asking":
            assert time.monotonic() < until
            time.sleep(0.05)
        assert job["candidate"]["context"]["text"] == TEXT
        assert http.post(f"{place}/approve", json={"approve": approve}).status_code == 200
        assert ended(http, place)["status"] == ("active" if approve else "rejected")
        assert http.post(f"{place}/approve", json={"approve": True}).status_code == 409


def test_names_and_bodies_are_checked(served: Served, tmp_path: Path) -> None:
    with served.http(ADMIN_KEY) as http:
        for name in ("..%2f..%2fetc", "%00", "a b", "-a", "a" * 65, "tiny", "é"):
            assert http.post(f"/v1/adapters/{name}/adapt", json={"text": TEXT}).status_code in (400, 404, 405)
        for body in ({}, {"text": ""}, {"text": "?!"}, {"text": TEXT, "home": "/etc"}, {"text": TEXT, "trust": "x"}):
            place = http.post("/v1/adapters/alice/adapt", json=body)
            assert place.status_code == 400 or ended(http, place.headers["location"])["state"] == "failed"
        assert http.post("/v1/adapters/alice/forget", json={"revision": "none"}).status_code == 404
        assert http.get("/v1/adapters/nobody").status_code == 404
        assert http.get("/v1/adapters/alice/jobs/none").status_code == 404
    assert {path.name for path in tmp_path.iterdir()} <= {
        "ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.lock", "server", "locks", "adapters",
        "adapters.lock",
    }  # fmt: skip


def test_one_server_changes_a_store_at_a_time(served: Served, seal: SelfAdaptingModel) -> None:
    with pytest.raises(InputError, match="another server"):
        create_app(seal, SETTINGS)


def test_the_store_is_free_again_whichever_thread_ends_the_server(seal: SelfAdaptingModel) -> None:
    jobs = Jobs(seal, ServerConfig(), Metrics(), "tiny")
    ending = threading.Thread(target=jobs.close)
    ending.start()
    ending.join()
    Jobs(seal, ServerConfig(), Metrics(), "tiny").close()


PROGRAM = """
import os, sys, threading
from conftest import llama, tokenizer, with_reader
from served import PASSAGE, QUICK
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ServerConfig
from seal_agent.integrations.server.jobs import Jobs
from seal_agent.integrations.server.metrics import Metrics
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Context
base = with_reader(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny-identity"))
seal, kill_at = SelfAdaptingModel(base, home=sys.argv[1]), sys.argv[2]
adapt = SelfAdaptingModel.adapt
SelfAdaptingModel.adapt = lambda self, *a, **k: adapt(self, *a, **{**k, "gate": None})
jobs = Jobs(seal, ServerConfig(), Metrics(), "tiny", PASSAGE, QUICK)
if kill_at == "recorded":
    record = seal.ledger.record
    seal.ledger.record = lambda *a, **k: (record(*a, **k), os.kill(os.getpid(), 9))
else:
    def die(job, stage, done, total):
        if stage == "train" and done:
            os.kill(os.getpid(), 9)
    import seal_agent.integrations.server.jobs as module
    module._Job.progress = die
jobs.adapt("alice", Context("Tarnby Light stands on Ossel."), ask=False)
jobs.adapt("bob", Context("Tarnby Light stands on Ossel."), ask=False)
threading.Event().wait(300)
"""


@pytest.mark.parametrize(("kill_at", "state"), [("training", "interrupted"), ("recorded", "finished")])
def test_a_killed_servers_jobs_are_settled(tiny_base: BaseModel, tmp_path: Path, kill_at: str, state: str) -> None:
    tests = Path(__file__).parents[2]
    path = os.pathsep.join([str(tests), str(tests / "support"), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "SEAL_CACHE": str(tmp_path / "cache")}
    home = tmp_path / "home"
    killed = subprocess.run([sys.executable, "-c", PROGRAM, str(home), kill_at], env=environment, timeout=300)
    assert killed.returncode == -9
    seal = SelfAdaptingModel(tiny_base, home=home)
    with serving(seal, SETTINGS) as served, served.http(ADMIN_KEY) as http:
        (of_alice,) = http.get("/v1/adapters/alice/jobs").json()["data"]
        (of_bob,) = http.get("/v1/adapters/bob/jobs").json()["data"]
    assert of_alice["state"] == state, of_alice
    assert of_bob["state"] == "interrupted"
    assert of_alice["revision"] == seal.ledger.active("alice")
    assert (of_alice["revision"] is not None) == (state == "finished")


def test_a_damaged_record_is_left_out(tmp_path: Path, seal: SelfAdaptingModel) -> None:
    journal: Any = Journal(tmp_path, kept=5)
    (tmp_path / "server" / "jobs" / "x.json").write_text("{")
    assert journal.recover(seal.ledger) == []
