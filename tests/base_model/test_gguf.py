"""GGUF files load as they are, with the ends of texts that their metadata names."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from gguf_file import BOS, HEADS, HIDDEN, write_gguf
from transformers import Gemma3TextConfig

from seal_agent.base_model.gguf import begins_by_default
from seal_agent.base_model.gguf_rope import scale_positions
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


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.05, 0.5, 0.99])
def test_a_file_that_was_cut_off_is_to_be_downloaded_again(tmp_path: Path, own_cache: Path, share: float) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", True)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ModelError, match="damaged or incomplete; download it again"):
        load(path)
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


# ---------------------------------------------------------------- what would be another model


def test_weights_that_a_file_lacks_are_named(tmp_path: Path, own_cache: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", True, without=["blk.1.ffn_up.weight"])
    with pytest.raises(ModelError, match=r"lacks 1 of the model's weights \(model\.layers\.1\.mlp\.up_proj\.weight\)"):
        load(path)
    assert list(own_cache.iterdir()) == []


def test_a_part_of_a_model_is_refused_with_the_command_that_merges_it(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "tiny-00001-of-00003.gguf", True, parts=3)
    with pytest.raises(ModelError, match="is one of 3 parts; merge them with `llama-gguf-split --merge`"):
        load(path)


def test_a_conversion_of_an_earlier_version_is_not_used(tmp_path: Path, own_cache: Path) -> None:
    path = write_gguf(tmp_path / "tiny.gguf", True)
    load(path)
    (folder,) = own_cache.iterdir()
    name, _, version = folder.name.rpartition("-")
    earlier = folder.rename(own_cache / f"{name}-{int(version) - 1}")
    (earlier / "model.safetensors").write_bytes(b"weights that were drawn")
    load(path)


def test_a_file_of_the_same_name_in_the_working_directory_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    write_gguf(tmp_path / "here" / "tiny.gguf", True, seed=1)
    path = write_gguf(tmp_path / "tiny.gguf", True)
    expected = load(path)
    monkeypatch.setenv("SEAL_CACHE", str(tmp_path / "another-cache"))
    monkeypatch.chdir(tmp_path / "here")
    assert load(path).identity == expected.identity
    assert load("../tiny.gguf").identity == expected.identity


def test_tensors_that_transformers_leaves_out_are_named(tmp_path: Path) -> None:
    bias = np.ones(HIDDEN, np.float32)
    path = write_gguf(tmp_path / "tiny.gguf", True, more={"blk.0.attn_q.bias": bias})
    with pytest.raises(ModelError, match=r"tensors that transformers leaves out \(blk\.0\.attn_q\.bias\)"):
        load(path)


def llama3_divisors(factor: float, window: int, theta: float = 10000.0) -> list[float]:
    """As llama.cpp's converter works them out (convert_hf_to_gguf.py, LlamaModel)."""
    width = HIDDEN // HEADS
    divisors = []
    for i in range(0, width, 2):
        wavelength = 2 * math.pi * theta ** (i / width)
        if wavelength < window / 4:
            divisors.append(1.0)
        elif wavelength > window:
            divisors.append(factor)
        else:
            smooth = (window / wavelength - 1) / 3
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    assert len(set(divisors)) > 2, "all three branches"
    return divisors


def test_rotary_frequencies_of_a_file_are_those_of_the_model(tmp_path: Path) -> None:
    divisors = np.array(llama3_divisors(8.0, 8192), np.float32)
    base = load(write_gguf(tmp_path / "tiny.gguf", True, more={"rope_freqs.weight": divisors}))
    plain = plain_frequencies()
    assert torch.allclose(base.module.model.rotary_emb.inv_freq, plain / torch.from_numpy(divisors), rtol=1e-5)
    assert dict(base.settings)["rope scaling"] == (
        '{"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192}'
    )


def test_rotary_frequencies_of_no_known_scaling_are_refused(tmp_path: Path) -> None:
    divisors = np.array([1, 1, 3, 3, 2, 2, 5, 5], np.float32)
    path = write_gguf(tmp_path / "tiny.gguf", True, more={"rope_freqs.weight": divisors})
    with pytest.raises(ModelError, match=r"leaves out \(rope_freqs\.weight\)"):
        load(path)


def test_rotary_frequencies_that_change_nothing_are_no_scaling(tmp_path: Path) -> None:
    ones = np.ones(HIDDEN // HEADS // 2, np.float32)
    base = load(write_gguf(tmp_path / "tiny.gguf", True, more={"rope_freqs.weight": ones}))
    assert "rope scaling" not in dict(base.settings)


# ---------------------------------------------------------------- stretched positions


def plain_frequencies() -> torch.Tensor:
    width = HIDDEN // HEADS
    return 10000.0 ** -(torch.arange(0, width, 2) / width)


@pytest.mark.parametrize("kind", [{"type": "linear"}, {}])
def test_linear_scaling_of_the_metadata_divides_every_frequency(tmp_path: Path, kind: dict[str, str]) -> None:
    base = load(write_gguf(tmp_path / "tiny.gguf", True, scaling={**kind, "factor": 8.0}))
    assert torch.allclose(base.module.model.rotary_emb.inv_freq, plain_frequencies() / 8)


def test_yarn_of_the_metadata_is_that_of_llama_cpp(tmp_path: Path) -> None:
    scaling = {
        "type": "yarn",
        "factor": 4.0,
        "original_context_length": 128,
        "yarn_beta_fast": 16.0,
        "attn_factor": 0.5,
    }
    rotary = load(write_gguf(tmp_path / "tiny.gguf", True, scaling=scaling)).module.model.rotary_emb
    width, plain = HIDDEN // HEADS, plain_frequencies()

    def dimension(turns: float) -> float:  # ggml.c, ggml_rope_yarn_corr_dim
        return width * math.log(128 / (turns * 2 * math.pi)) / (2 * math.log(10000.0))

    low, high = max(0, math.floor(dimension(16))), min(width - 1, math.ceil(dimension(1)))
    kept = 1 - ((torch.arange(width // 2) - low) / max(0.001, high - low)).clamp(0, 1)  # ggml.c, rope_yarn_ramp
    assert 0 < kept.sum() < width // 2, "some are stretched, some are not"
    assert torch.allclose(rotary.inv_freq, plain / 4 * (1 - kept) + plain * kept)
    assert rotary.attention_scaling == pytest.approx(0.5 * (1 + 0.1 * math.log(4)))


def test_yarn_without_an_original_window_takes_the_whole_one(tmp_path: Path) -> None:
    base = load(write_gguf(tmp_path / "tiny.gguf", True, scaling={"type": "yarn", "factor": 4.0}))
    assert base.module.config.rope_parameters["original_max_position_embeddings"] == 512


@pytest.mark.parametrize("scaling", [{"type": "none", "factor": 8.0}, {"type": "linear", "factor": 1.0}])
def test_scaling_that_changes_nothing_is_none(tmp_path: Path, scaling: dict[str, str | float]) -> None:
    base = load(write_gguf(tmp_path / "tiny.gguf", True, scaling=scaling))
    assert torch.allclose(base.module.model.rotary_emb.inv_freq, plain_frequencies())
    assert "rope scaling" not in dict(base.settings)


@pytest.mark.parametrize(
    "scaling",
    [
        {"type": "longrope", "factor": 8.0},
        {"type": "linear", "factor": 8.0, "attn_factor": 0.5},
        {"type": "yarn", "factor": 8.0, "yarn_log_multiplier": 0.1},
    ],
)
def test_scaling_that_transformers_does_not_have_is_refused(
    tmp_path: Path, scaling: dict[str, str | float], own_cache: Path
) -> None:
    with pytest.raises(ModelError, match=r"stretches its rotary positions .* \(.*factor 8.0.*\); load the model as"):
        load(write_gguf(tmp_path / "tiny.gguf", True, scaling=scaling))
    assert not list(own_cache.iterdir())


def test_layers_with_a_window_are_not_stretched() -> None:
    config = Gemma3TextConfig()
    module = SimpleNamespace(config=config)
    metadata = {
        "general.architecture": "gemma3",
        "gemma3.rope.scaling.type": "linear",
        "gemma3.rope.scaling.factor": 8.0,
    }
    scale_positions("gemma.gguf", module, metadata.get)  # type: ignore[arg-type]
    assert config.rope_parameters["full_attention"]["factor"] == 8.0
    assert config.rope_parameters["sliding_attention"]["rope_type"] == "default"


# ---------------------------------------------------------------- where the metadata is silent


@pytest.mark.parametrize(("pre", "begins"), [("llama-bpe", True), ("smollm", False)])
def test_without_a_word_on_bos_a_text_begins_as_in_llama_cpp(tmp_path: Path, pre: str, begins: bool) -> None:
    base = load(write_gguf(tmp_path / "tiny.gguf", None, pre=pre))
    assert (base.tokens("Suva")[0] == base.tokenizer.convert_tokens_to_ids(BOS)) is begins


def test_sentencepiece_vocabularies_begin_texts_with_bos() -> None:
    assert begins_by_default("llama", None)
    assert not begins_by_default("gpt2", None)
    assert not begins_by_default("gpt2", "qwen2")
