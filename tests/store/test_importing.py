"""Adapters of strangers: read right or refused in a sentence, whatever the bytes."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from conftest import random_adapter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import AdapterError
from seal_agent.lora.peft_files import CONFIG, WEIGHTS, write_peft
from seal_agent.store.importing import check_file_name, checked_config, checked_tensors, read_foreign

HERE = Path("theirs")


@pytest.fixture
def folder(tiny_base: BaseModel, tmp_path: Path) -> Path:
    write_peft(random_adapter(tiny_base, 1), "tiny", tiny_base.identity, tmp_path / "theirs")
    return tmp_path / "theirs"


def test_a_plain_adapter_is_read_as_it_is(folder: Path, tiny_base: BaseModel) -> None:
    theirs, ours = read_foreign(folder).adapter, random_adapter(tiny_base, 1)
    assert theirs.pairs.keys() == ours.pairs.keys()
    assert all(torch.equal(theirs.pairs[name].b_RO, ours.pairs[name].b_RO) for name in ours.pairs)


class Bomb:
    """Writes a file where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("name", ["adapter_model.bin", "optimizer.pt", "x.PKL", "training.pth", "modeling.py"])
def test_a_pickle_is_refused_even_beside_safetensors(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(AdapterError, match="can run code"):
        read_foreign(folder)
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_under_the_name_of_safetensors_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": 1}, folder / WEIGHTS)
    with pytest.raises(AdapterError, match="no safetensors file"):
        read_foreign(folder)
    (folder / WEIGHTS).write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(AdapterError):
        read_foreign(folder)
    assert not (tmp_path / "exploded").exists()


def test_links_folders_and_unknown_files_are_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("hello")
    with pytest.raises(AdapterError, match=r"notes\.txt is not part of an adapter"):
        read_foreign(folder)
    (folder / "notes.txt").unlink()
    (folder / "README.md").symlink_to("/etc/passwd")
    with pytest.raises(AdapterError, match="is a link"):
        read_foreign(folder)
    (folder / "README.md").unlink()
    (folder / "LICENSE").mkdir()
    with pytest.raises(AdapterError, match="a folder"):
        read_foreign(folder)
    (folder / "LICENSE").rmdir()
    os.mkfifo(folder / "LICENSE")
    with pytest.raises(AdapterError, match="a device"):
        read_foreign(folder)
    (folder / "LICENSE").unlink()
    os.rename(folder / WEIGHTS, tmp_path / "elsewhere")
    (folder / WEIGHTS).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AdapterError, match="is a link"):
        read_foreign(folder)


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "../x", "/etc/passwd", "a\\b", "a\0b", "%2e%2e", "con", "NUL.txt", "lpt1", "a:b", "a ", "a.", "é"],
)
def test_names_that_leave_the_folder_or_mean_something_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(AdapterError, match="is refused"):
        check_file_name(name)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "names code to run"),
        ({"auto_mapping": {"base_model_class": "X"}}, "names code to run"),
        ({"brand_new": 1}, "unknown setting 'brand_new'"),
        ({"r": 0}, "r must be"),
        ({"r": True}, "r must be"),
        ({"r": 10**9}, "r must be"),
        ({"lora_alpha": "16"}, "lora_alpha must be"),
        ({"use_dora": True}, "not plain LoRA"),
        ({"peft_type": "IA3"}, "not plain LoRA"),
    ],
)
def test_settings_that_are_not_plain_lora_are_refused(folder: Path, change: dict[str, object], why: str) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **change}))
    with pytest.raises(AdapterError, match=why):
        read_foreign(folder)


def test_what_is_not_finite_or_of_another_rank_is_refused(folder: Path, tiny_base: BaseModel) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, "r": 8}))
    with pytest.raises(AdapterError, match="not of rank 8"):
        read_foreign(folder)
    (folder / CONFIG).write_text(json.dumps(config))
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-4:] = struct.pack("<f", float("nan"))
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(AdapterError, match="not finite"):
        read_foreign(folder)


# ---------------------------------------------------------------- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)
KEYS = st.sampled_from(["r", "lora_alpha", "peft_type", "target_modules", "bias", "rank_pattern", "auto_map", "x"])


def survives(read: object, *given: object) -> None:
    """Nothing but an AdapterError comes out, in one sentence."""
    try:
        read(*given)  # type: ignore[operator]
    except AdapterError as err:
        if "\n" in str(err):
            raise AssertionError("more than one line") from err


def fuzz_names(name: str) -> None:
    survives(check_file_name, name)


def fuzz_config(change: dict[str, object], raw: bytes, tear: int) -> None:
    good = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "bias": "none"}
    survives(checked_config, HERE, json.dumps({**good, **change}, default=str).encode())
    survives(checked_config, HERE, json.dumps(good).encode()[:tear] + raw)
    survives(checked_config, HERE, raw)


def fuzz_weights(good: bytes, header: object, raw: bytes, flips: list[tuple[int, int]]) -> None:
    written = json.dumps(header, default=str).encode()
    survives(checked_tensors, HERE, len(written).to_bytes(8, "little") + written + raw)
    survives(checked_tensors, HERE, raw)
    mutated = bytearray(good)
    for place, value in flips:
        mutated[place % min(len(mutated), 2048)] = value
    survives(checked_tensors, HERE, bytes(mutated))


NAMES = st.text(max_size=40)
CONFIGS = (st.dictionaries(KEYS | st.text(max_size=20), JSON, max_size=4), st.binary(max_size=60), st.integers(0, 90))
HEADERS = st.dictionaries(
    st.text(max_size=30) | st.just("base_model.model.a.lora_A.weight"),
    JSON
    | st.fixed_dictionaries({"dtype": st.sampled_from(["F32", "BF16", "I64"]), "shape": JSON, "data_offsets": JSON}),
    max_size=3,
)
FLIPS = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8)
FEW, MANY = 100, 1700  # of each of the three kinds
QUIET = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


def run_fuzz(folder: Path, cases: int) -> None:
    good = (folder / WEIGHTS).read_bytes()
    few = settings(max_examples=cases, deadline=None, suppress_health_check=QUIET, database=None)
    few(given(NAMES)(fuzz_names))()
    few(given(*CONFIGS)(fuzz_config))()
    few(given(HEADERS | JSON, st.binary(max_size=80), FLIPS)(lambda h, r, f: fuzz_weights(good, h, r, f)))()


def test_300_names_settings_and_headers_crash_nothing(folder: Path) -> None:
    run_fuzz(folder, FEW)


@pytest.mark.slow
def test_5000_names_settings_and_headers_crash_nothing(folder: Path) -> None:
    run_fuzz(folder, MANY)
