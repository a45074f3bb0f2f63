"""Adapters survive on disk or are refused; the ledger is right however it is used at once."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import random_adapter
from revisions import revision
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError, InputError, StoreError
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.peft_files import CONFIG, WEIGHTS, write_peft
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route
from seal_agent.paths import default_home
from seal_agent.store.entries import from_json, to_json
from seal_agent.store.files import load, save
from seal_agent.store.ledger import Ledger
from seal_agent.store.names import check_name


def stored(base: BaseModel, home: Path, adapter: LoraAdapter | None = None) -> Path:
    return home / save(adapter or random_adapter(base, 1), base.name, base.identity, home)


# ---------------------------------------------------------------- adapters


@pytest.mark.parametrize("which", ["tiny_base", "tiny_gpt2_base"])
def test_an_adapter_comes_back_bit_for_bit(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    base: BaseModel = request.getfixturevalue(which)
    adapter = random_adapter(base, 1)
    back = load(stored(base, tmp_path, adapter), base.identity)
    assert (back.rank, back.alpha, back.transposed) == (adapter.rank, adapter.alpha, adapter.transposed)
    assert back.pairs.keys() == adapter.pairs.keys()
    for name, pair in adapter.pairs.items():
        assert torch.equal(back.pairs[name].a_DR, pair.a_DR)
        assert torch.equal(back.pairs[name].b_RO, pair.b_RO)


def test_the_same_adapter_is_stored_once_under_the_name_of_its_content(tiny_base: BaseModel, tmp_path: Path) -> None:
    assert len({stored(tiny_base, tmp_path) for _ in range(8)}) == 1
    assert len(list(tmp_path.iterdir())) == 1, "no draft is left behind"


@pytest.mark.parametrize("which", ["tiny_base", "tiny_gpt2_base"])
@pytest.mark.parametrize("targets", [("default",), ("all",), ("1",)])  # the last: the second layer alone
def test_peft_loads_an_exported_folder_and_says_the_same(
    which: str, targets: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from peft import PeftModel

    base: BaseModel = request.getfixturevalue(which)
    adapter = random_adapter(base, 1, targets=targets)
    ids = torch.arange(10, 30)[None]
    with torch.no_grad(), routed(serving_route(base.module, [adapter], base.device, base.dtype)):
        ours = base.module(input_ids=ids).logits
    write_peft(adapter, base.name, base.identity, tmp_path / "out")
    with torch.no_grad():
        theirs = PeftModel.from_pretrained(base.module, tmp_path / "out")(input_ids=ids).logits
    assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_files_are_readable_by_others(tiny_base: BaseModel, tmp_path: Path) -> None:
    folder = stored(tiny_base, tmp_path)
    assert {path.name for path in folder.iterdir()} >= {CONFIG, WEIGHTS}
    assert all(path.stat().st_mode & 0o044 for path in folder.iterdir() if path.name in (CONFIG, WEIGHTS))
    assert folder.stat().st_mode & 0o055, "safetensors and mkdtemp would keep it to its owner"


def test_one_flipped_bit_is_noticed(tiny_base: BaseModel, tmp_path: Path) -> None:
    weights = stored(tiny_base, tmp_path) / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-7] ^= 1
    weights.write_bytes(content)
    with pytest.raises(AdapterError, match="is damaged: its content changed on disk"):
        load(weights.parent, tiny_base.identity)


def test_a_truncated_file_is_refused_without_the_store_too(tiny_base: BaseModel, tmp_path: Path) -> None:
    weights = stored(tiny_base, tmp_path) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(AdapterError, match="is damaged"):
        load(weights.parent)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tiny_base: BaseModel, tmp_path: Path, value: float) -> None:
    adapter = random_adapter(tiny_base, 1)
    name = next(iter(adapter.pairs))
    bad = LoraPair(adapter.pairs[name].a_DR * value, adapter.pairs[name].b_RO)
    folder = stored(tiny_base, tmp_path, replace(adapter, pairs={**adapter.pairs, name: bad}))
    with pytest.raises(AdapterError, match="not finite"):
        load(folder, tiny_base.identity)


def test_an_adapter_of_another_base_is_refused(tiny_base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="trained on another base model"):
        load(stored(tiny_base, tmp_path), "some-other-identity")


def test_a_folder_of_pickles_is_refused(tiny_base: BaseModel, tmp_path: Path) -> None:
    folder = stored(tiny_base, tmp_path)
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()
    with pytest.raises(AdapterError, match="safetensors only"):
        load(folder)


def test_a_foreign_peft_folder_loads_without_a_base_to_check(tiny_base: BaseModel, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(tiny_base.module, config).save_pretrained(tmp_path / "theirs")
    adapter = load(tmp_path / "theirs")
    assert (adapter.rank, adapter.scale) == (3, 2.0)
    assert len(adapter.pairs) == 2


@pytest.mark.parametrize(
    "change", [{"use_rslora": True}, {"use_dora": True}, {"rank_pattern": {"q_proj": 2}}, {"peft_type": "IA3"}]
)
def test_a_peft_folder_of_a_kind_we_do_not_compute_is_refused(
    tiny_base: BaseModel, tmp_path: Path, change: dict[str, object]
) -> None:
    folder = tmp_path / "theirs"
    write_peft(random_adapter(tiny_base, 1), "tiny", tiny_base.identity, folder)
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(AdapterError, match="plain LoRA"):
        load(folder)


@pytest.mark.parametrize("config", ["{}", "[]", "not json"])
def test_a_broken_config_is_an_adapter_error(tiny_base: BaseModel, tmp_path: Path, config: str) -> None:
    folder = tmp_path / "theirs"
    write_peft(random_adapter(tiny_base, 1), "tiny", tiny_base.identity, folder)
    (folder / CONFIG).write_text(config)
    with pytest.raises(AdapterError):
        load(folder)


def test_half_a_pair_is_an_adapter_error(tiny_base: BaseModel, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    write_peft(random_adapter(tiny_base, 1), "tiny", tiny_base.identity, folder)
    tensors = load_file(folder / WEIGHTS)
    tensors.pop(next(key for key in tensors if "lora_B" in key))
    save_file(tensors, folder / WEIGHTS)
    with pytest.raises(AdapterError):
        load(folder)


def test_a_crash_while_writing_leaves_nothing(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seal_agent.durable.rename", crash)
    with pytest.raises(KeyboardInterrupt):
        stored(tiny_base, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["default", "user-1", "a.b_c", "0", "x" * 64])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up", "a/b", "a\\b", "a b", "-a", ".a", "x" * 65, "é", "a\n", "a\0"]
)
def test_bad_names(name: str) -> None:
    with pytest.raises(InputError, match="cannot name an adapter"):
        check_name(name)


# ---------------------------------------------------------------- the ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "home")


def test_a_revision_survives_json() -> None:
    assert from_json(to_json(revision("r1"))) == revision("r1")


def test_a_recorded_revision_is_active_and_a_refused_one_is_not(ledger: Ledger) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    ledger.record(revision("r2", "r1", accepted=False), "p2", "f2")
    assert ledger.active("a") == "r1"
    assert [r.id for r in ledger.history("a")] == ["r1", "r2"]
    assert ledger.folder("r2") == "f2"
    assert ledger.adapters() == {"a": "r1"}


def test_the_lineage_is_the_active_revision_and_its_ancestors(ledger: Ledger) -> None:
    for id, parent in (("r1", None), ("r2", "r1"), ("r3", "r2"), ("r4", "r1")):
        ledger.record(revision(id, parent), f"p-{id}", f"f-{id}")
    assert [r.id for r in ledger.lineage("a")] == ["r4", "r1"]
    ledger.activate("a", "r3")
    assert [r.id for r in ledger.lineage("a")] == ["r3", "r2", "r1"]
    ledger.activate("a", None)
    assert ledger.lineage("a") == []
    assert ledger.adapters() == {"a": None}


def test_a_proposal_finds_its_revisions_newest_first(ledger: Ledger) -> None:
    ledger.record(revision("r1"), "same", "f1")
    ledger.record(revision("r22"), "same", "f2")
    ledger.record(revision("r3", adapter="b"), "same", "f3")
    assert [r.id for r in ledger.find("a", "same")] == ["r22", "r1"]
    assert ledger.find("a", "other") == []


def test_what_is_unknown_is_an_adapter_error(ledger: Ledger) -> None:
    for ask in (ledger.get, ledger.folder):
        with pytest.raises(AdapterError, match="there is no revision 'nope'"):
            ask("nope")
    assert ledger.active("nobody") is None


def test_another_ledger_on_the_same_home_sees_everything(ledger: Ledger) -> None:
    ledger.record(revision("r1"), "p1", "f1")
    assert Ledger(ledger.path.parent).get("r1") == revision("r1")


def test_a_home_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="set SEAL_HOME to a writable folder"):
        Ledger(tmp_path / "file")


def test_a_file_that_is_no_database_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("this is not a database, and long enough to be looked at " * 50)
    with pytest.raises(StoreError, match="cannot be opened"):
        Ledger(tmp_path)


def test_the_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEAL_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("SEAL_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert default_home() == tmp_path / "xdg" / "seal-agent"


def test_a_failed_transaction_changes_nothing(ledger: Ledger) -> None:
    """A crash between the adapter's files and the ledger leaves the active revision as it was."""
    ledger.record(revision("r1"), "p1", "f1")

    def crash_half_way() -> None:
        with ledger._write() as db:
            db.execute("UPDATE active SET revision = NULL")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        crash_half_way()
    assert ledger.active("a") == "r1"
    ledger.record(revision("r2", "r1"), "p2", "f2")
    assert ledger.active("a") == "r2"


WRITER = """
import dataclasses, pathlib, sys
from seal_agent.store.entries import from_json
from seal_agent.store.ledger import Ledger
ledger, template = Ledger(pathlib.Path(sys.argv[1])), from_json(sys.stdin.read())
for i in range(30):
    ledger.record(dataclasses.replace(template, id=f"{template.adapter}{i}"), f"p{i}", f"f{i}")
"""


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    writers = []
    for name in ("a", "b"):
        command = [sys.executable, "-c", WRITER, str(tmp_path)]
        writers.append(subprocess.Popen(command, stdin=subprocess.PIPE, text=True))
        writers[-1].stdin.write(to_json(revision("r", adapter=name)))
        writers[-1].stdin.close()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    ledger = Ledger(tmp_path)
    assert [len(ledger.history(name)) for name in ("a", "b")] == [30, 30]
    assert ledger.adapters() == {"a": "a29", "b": "b29"}


def test_a_stored_adapter_that_vanished_is_an_adapter_error(tiny_base: BaseModel, tmp_path: Path) -> None:
    folder = stored(tiny_base, tmp_path)
    shutil.rmtree(folder)
    with pytest.raises(AdapterError, match="there is no adapter in"):
        load(folder, tiny_base.identity)
