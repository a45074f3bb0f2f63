"""GGUF files load as they are, with the ends of texts that their metadata names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from gguf_file import BOS, write_gguf

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import ModelError
from seal_agent.types import Message


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def load(path: Path | str) -> BaseModel:
    return load_model(path, device="cpu", dtype="float32")


@pytest.mark.parametrize("add_bos", [True, False])
def test_a_text_begins_as_the_metadata_says(tmp_path: Path, add_bos: bool) -> None:
    base = load(write_gguf(tmp_path / "Tiny.Q4.gguf", add_bos))
    ids = base.tokens("Suva")
    assert (ids[0] == base.tokenizer.convert_tokens_to_ids(BOS)) is add_bos
    assert base.tokenizer.decode(ids, skip_special_tokens=True) == "Suva"
    assert base.tokens("Suva") == base.encode("Suva")
    assert (base.turns((Message("user", "Hi"),), True)[0] == ids[0]) is add_bos


def test_a_file_is_converted_once_and_another_one_anew(tmp_path: Path, own_cache: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", True)
    first = load(path)
    (folder,) = own_cache.iterdir()
    before = (folder / "model.safetensors").stat().st_mtime_ns
    again = load(str(path))
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert again.identity == first.identity
    ids = torch.tensor([first.tokens("Tarawa")])
    assert torch.equal(first.module(input_ids=ids).logits, again.module(input_ids=ids).logits)
    assert load(write_gguf(path, True, seed=1)).identity != first.identity
    assert len(list(own_cache.iterdir())) == 2


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        load(tmp_path / "none.gguf")


def test_a_file_that_is_no_gguf_is_one_sentence_and_leaves_nothing(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(ModelError, match="cannot be converted"):
        load(tmp_path / "broken.gguf")
    assert list(own_cache.iterdir()) == []


def test_a_file_of_the_hub_is_asked_for_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", True)
    asked: list[tuple[str, str]] = []

    def download(repo: str, file: str) -> str:
        asked.append((repo, file))
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert load("someone/Tiny-GGUF:tiny.Q4_K_M.gguf").identity == load(path).identity
    assert asked == [("someone/Tiny-GGUF", "tiny.Q4_K_M.gguf")]


def test_a_file_that_the_hub_does_not_give_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"the hub gave no tiny\.gguf of someone/none"):
        load("someone/none:tiny.gguf")
