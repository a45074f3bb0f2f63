"""`seal doctor` tells what works from what does not, and mends by a line."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
from command_line import Call, caller
from conftest import random_adapter
from stored_adapters import store

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.doctor import packages
from seal_agent.model import SelfAdaptingModel


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    return caller(monkeypatch, capsys, tmp_path / "home")


def found(ran: Any) -> dict[str, dict[str, Any]]:
    return {finding["name"]: finding for finding in ran.json["findings"]}


def test_it_says_what_works_and_makes_nothing(call: Call, tmp_path: Path) -> None:
    ran = call("doctor", "--json")
    assert (ran.code, ran.json["works"]) == (0, True)
    findings = found(ran)
    assert findings["device"]["state"] == "ok"
    assert f"torch {importlib.metadata.version('torch')}" in findings["packages"]["detail"]
    assert "nothing has been learnt yet" in findings["store"]["detail"]
    assert not (tmp_path / "home").exists()
    shown = call("doctor").out
    assert "✓ python" in shown
    assert shown.strip().endswith("seal works here")


def test_a_store_is_looked_at(call: Call, tiny_base: BaseModel, tmp_path: Path) -> None:
    seal = SelfAdaptingModel(tiny_base, home=tmp_path / "home")
    store(seal, "alice", random_adapter(tiny_base, 1))
    assert "1 adapters in use" in found(call("doctor", "--json"))["store"]["detail"]
    for weights in (tmp_path / "home").rglob("adapter_model.safetensors"):
        weights.unlink()
    ran = call("doctor", "--json")
    assert (ran.code, ran.json["works"]) == (1, False)
    assert found(ran)["store"]["fix"] == "seal rollback --adapter alice"


def test_a_store_that_is_no_database(call: Call, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "ledger.sqlite").write_text("this is no database, and long enough to be none " * 9)
    ran = call("doctor")
    assert ran.code == 1
    assert "✗ store" in ran.out
    assert "Traceback" not in ran.out + ran.err


def test_a_home_that_is_a_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    ran = call("doctor", "--json")
    assert ran.code == 1
    assert "SEAL_HOME" in found(ran)["store"]["fix"]


def test_packages_that_are_missing_or_old(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.0", "mcp": None}
    known = packages._version
    monkeypatch.setattr(packages, "_version", lambda name: versions.get(name, known(name)))
    findings = {finding.name: finding for finding in packages.check_packages()}
    assert findings["packages"].fails
    assert "torch is 2.0" in findings["packages"].detail
    extra = packages._extra("mcp", [packages.Requirement("mcp>=2.3")])
    assert (extra.state, extra.fix) == ("absent", "pip install 'seal-agent[mcp]'")
    assert not extra.fails
