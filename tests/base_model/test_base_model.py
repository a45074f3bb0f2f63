"""Base models: loaded from where they lie, told apart by what they hold, refused with the fix."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from zoo.models import ZOO

from seal_agent.base_model import loading
from seal_agent.base_model.gguf import publish
from seal_agent.base_model.loading import identity_of_source, load_model, pick_device, pick_dtype
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import ModelError
from seal_agent.generation.hf import HFEngine
from seal_agent.paths import cache_home
from seal_agent.types import Message, Sampling

Save = Callable[[BaseModel, Path], Path]
TURNS = (Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Yes?"), Message("user", "Go"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def load(folder: Path) -> BaseModel:
    return load_model(folder, device="cpu", dtype="float32")


# ---------------------------------------------------------------- loading


def test_a_folder_loads_without_a_network_frozen_and_the_same(
    tiny_base: BaseModel, tmp_path: Path, save_model: Save
) -> None:
    base = load(save_model(tiny_base, tmp_path / "m"))
    ids = torch.tensor([base.tokens("Tarawa")])
    assert torch.equal(base.module(input_ids=ids).logits, tiny_base.module(input_ids=ids).logits)
    assert not any(p.requires_grad for p in base.module.parameters())
    assert not base.module.training
    assert base.name == str(tmp_path / "m")
    assert base.window == 2048


def test_the_identity_is_that_of_the_files(
    tiny_base: BaseModel, tiny_gpt2_base: BaseModel, tmp_path: Path, save_model: Save
) -> None:
    first, copy = (load(save_model(tiny_base, tmp_path / name)) for name in ("a", "b"))
    assert first.identity == copy.identity
    tiny_base.module.model.layers[1].mlp.up_proj.weight.data += 0.01
    finetuned = load(save_model(tiny_base, tmp_path / "c"))
    other = load(save_model(tiny_gpt2_base, tmp_path / "d"))
    assert len({first.identity, finetuned.identity, other.identity}) == 3


def test_another_chat_template_is_a_setting_and_no_other_model(
    tiny_base: BaseModel, tiny_base_plain: BaseModel, tmp_path: Path, save_model: Save
) -> None:
    with_template, without = save_model(tiny_base, tmp_path / "a"), save_model(tiny_base_plain, tmp_path / "b")
    assert load(with_template).identity == load(without).identity
    assert load(with_template).settings != load(without).settings


def test_a_missing_folder_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model folder at"):
        load(tmp_path / "none")


def test_a_folder_without_a_config_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load(tmp_path)


def test_a_hub_id_that_is_not_here_is_a_model_error_that_says_offline() -> None:
    with pytest.raises(ModelError, match="not on this machine and HF_HUB_OFFLINE is set"):
        load_model("nobody/no-such-model", device="cpu")


@pytest.mark.parametrize(
    "damage", ["truncated weights", "no weights", "broken config", "unknown type", "no tokenizer", "other shapes"]
)
def test_a_damaged_folder_is_a_model_error(tiny_base: BaseModel, tmp_path: Path, save_model: Save, damage: str) -> None:
    folder = save_model(tiny_base, tmp_path / "m")
    weights = folder / "model.safetensors"
    if damage == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "no weights":
        weights.unlink()
    elif damage == "broken config":
        (folder / "config.json").write_text("{not json")
    elif damage == "unknown type":
        (folder / "config.json").write_text('{"model_type": "never_heard_of"}')
    elif damage == "other shapes":
        config = (folder / "config.json").read_text()
        (folder / "config.json").write_text(config.replace('"intermediate_size": 96', '"intermediate_size": 80'))
    else:
        for path in folder.glob("token*"):
            path.unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_code_of_a_models_own_runs_only_if_asked_for(tiny_base: BaseModel, tmp_path: Path, save_model: Save) -> None:
    folder = save_model(tiny_base, tmp_path / "m")
    mark = tmp_path / "ran"
    (folder / "own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    (folder / "config.json").write_text(
        '{"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"}}'
    )
    with pytest.raises(ModelError, match="pass trust_remote_code=True if you trust its authors"):
        load(folder)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["lm_head.weight", "model.layers.1.mlp.up_proj.weight"])
def test_weights_that_a_folder_lacks_are_named_not_drawn(
    name: str, tiny_base: BaseModel, tmp_path: Path, save_model: Save
) -> None:
    path = save_model(tiny_base, tmp_path / "m") / "model.safetensors"
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"lacks 1 of the model's weights \({re.escape(name)}\)"):
        load(tmp_path / "m")


def test_weights_that_are_cut_off_are_one_sentence(tiny_base: BaseModel, tmp_path: Path, save_model: Save) -> None:
    """The identity is read of the files, so a file that only it reads may be damaged, too."""
    folder = save_model(tiny_base, tmp_path / "m")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")
    load(folder)
    with (folder / "consolidated.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)
    with pytest.raises(ModelError, match="cannot be loaded"):
        identity_of_source(folder)


def test_devices_that_are_not_there_are_model_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in ("cuda", "cuda:1"):
        with pytest.raises(ModelError, match=rf"there is no device {device} here; use auto or cpu"):
            pick_device(device)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ModelError, match="there is no device mps here"):
        pick_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ModelError, match="there is no device cuda:9 here; use cuda:0 to cuda:1"):
        pick_device("cuda:9")
    assert [pick_device(device) for device in ("cuda", "cuda:1", "cpu")] == ["cuda", "cuda:1", "cpu"]


def test_devices_and_dtypes_that_are_none_are_model_errors() -> None:
    with pytest.raises(ModelError, match="use auto, cpu, cuda"):
        pick_device("abacus")
    with pytest.raises(ModelError, match="use auto, float32, bfloat16, float16"):
        pick_dtype("float3", "cpu")
    assert pick_dtype("float16", "cpu") is torch.float16
    assert pick_device("auto") in ("cpu", "cuda")


# ---------------------------------------------------------------- prompts


def test_a_chat_template_is_used_where_there_is_one(tiny_base: BaseModel) -> None:
    text = tiny_base.tokenizer.decode(tiny_base.encode(TURNS))
    assert text == (
        "<turn>system\nBe brief.</turn>\n<turn>user\nHi</turn>\n<turn>assistant\nYes?</turn>\n<turn>user\nGo</turn>\n"
        "<turn>assistant\n"
    )


def test_without_one_turns_become_a_transcript(tiny_base_plain: BaseModel) -> None:
    text = tiny_base_plain.tokenizer.decode(tiny_base_plain.encode(TURNS))
    assert text == "Be brief.\nUser: Hi\nAssistant: Yes?\nUser: Go\nAssistant:"


def test_text_is_sent_as_it_stands(tiny_base: BaseModel) -> None:
    assert tiny_base.tokenizer.decode(tiny_base.encode("Tarawa «is» 大")) == "Tarawa «is» 大"


def test_a_text_is_ended_once(tiny_base: BaseModel) -> None:
    end = tiny_base.tokenizer.eos_token_id
    assert tiny_base.tokens_ended([5]) == [5, end]
    assert tiny_base.tokens_ended([5, end]) == [5, end]


# ---------------------------------------------------------------- the cache

PUBLISH = """
import pathlib, sys, time
from seal_agent.base_model.gguf import publish
def write(folder):
    (folder / "weights").write_text(sys.argv[2])
    time.sleep(0.3)
    (folder / "config.json").write_text(sys.argv[2])
publish(pathlib.Path(sys.argv[1]), write)
"""


def test_two_processes_that_convert_at_once_leave_one_good_folder(tmp_path: Path) -> None:
    target = tmp_path / "cache" / "model"
    runs = [subprocess.Popen([sys.executable, "-c", PUBLISH, str(target), name]) for name in ("one", "two")]
    assert [run.wait(60) for run in runs] == [0, 0]
    assert (target / "config.json").read_text() == (target / "weights").read_text()
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "weights").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "model", write)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEAL_CACHE", str(tmp_path))
    assert cache_home() == tmp_path
    monkeypatch.delenv("SEAL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_home() == tmp_path / "xdg" / "seal-agent"


# ---------------------------------------------------------------- what is refused at load


def test_a_tokenizer_with_more_tokens_than_the_model_embeds_is_refused(
    tiny_base: BaseModel, tmp_path: Path, save_model: Save
) -> None:
    tiny_base.module.resize_token_embeddings(200)
    with pytest.raises(ModelError, match=r"has ids up to \d+, but the model embeds only 200 tokens"):
        load(save_model(tiny_base, tmp_path / "m"))


@pytest.mark.parametrize("special", [True, False])
def test_added_tokens_that_the_model_does_not_embed_are_letters_in_every_text(
    special: bool, tiny_base: BaseModel, tmp_path: Path, save_model: Save
) -> None:
    """Text-only Gemma 3 has one: the token that stands for a picture."""
    tiny_base.tokenizer.add_tokens([f"<extra_{i}>" for i in range(80)], special_tokens=special)
    base = load(save_model(tiny_base, tmp_path / "m"))
    assert len(base.tokenizer) > base.embeddings == 320
    text = "A <extra_79> picture<extra_78>"
    of_turns = base.turns((Message("user", text),), answer_next=True)
    for ids in (base.encode(text), base.tokens(text), base.content_ids(text), of_turns):
        assert max(ids) < base.embeddings
        assert text in base.tokenizer.decode(ids)
    assert base.encode("</turn>") == [base.tokenizer.eos_token_id]
    assert HFEngine(base).generate([text], Sampling(4))[0].tokens == 4


def test_added_tokens_that_the_template_or_padding_needs_have_an_embedding(
    tiny_base: BaseModel, tmp_path: Path, save_model: Save
) -> None:
    tiny_base.tokenizer.add_tokens([f"<extra_{i}>" for i in range(80)], special_tokens=True)
    tiny_base.tokenizer.pad_token = "<extra_79>"
    assert load(save_model(tiny_base, tmp_path / "m")).pad_id < 320
    tiny_base.tokenizer.chat_template = "<extra_79>" + tiny_base.tokenizer.chat_template
    with pytest.raises(ModelError, match=r"has ids up to \d+, but the model embeds only 320 tokens"):
        load(save_model(tiny_base, tmp_path / "n"))


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "gpt2", "gemma", "gpt-neox"])
def test_a_folder_without_a_tokenizer_is_refused(model_type: str, tmp_path: Path) -> None:
    model = next(model for model in ZOO if model.name == model_type)
    model.module().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="save the tokenizer"):
        load(tmp_path)


def test_a_template_that_shows_no_text_is_refused(tiny_base: BaseModel, tmp_path: Path, save_model: Save) -> None:
    tiny_base.tokenizer.chat_template = "{% for m in messages %}{{ m['text'] }}{% endfor %}"
    with pytest.raises(ModelError, match="shows nothing of a user's turn"):
        load(save_model(tiny_base, tmp_path / "m"))


def test_a_tokenizer_that_ends_every_text_does_not_end_prompts(tiny_base: BaseModel) -> None:
    tiny_base.tokenizer.add_eos_token = True
    end = tiny_base.tokenizer.eos_token_id
    assert tiny_base.tokenizer("Suva")["input_ids"][-1] == end, "what the tokenizer does by itself"
    assert tiny_base.tokens("Suva")[-1] != end
    assert tiny_base.encode("Suva")[-1] != end


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float32), ((8, 0), torch.bfloat16)])
def test_auto_precision_follows_the_chosen_device(
    capability: tuple[int, int], expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that only emulates bfloat16 computes in float32, whatever stands in the first slot."""
    capabilities = {"cuda:0": (9, 0), "cuda:1": capability}
    monkeypatch.setattr(torch.cuda, "get_device_capability", capabilities.__getitem__)
    assert pick_dtype("auto", "cuda:1") is expected


def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="export SEAL_CACHE="):
        publish(tmp_path / "file" / "model", lambda _: None)


def test_weights_are_read_straight_to_a_gpu(
    tiny_base: BaseModel, tmp_path: Path, save_model: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loading._placed("cpu") == {}
    assert loading._placed("cuda:1") == {"device_map": {"": "cuda:1"}}
    # The processor stands in for the GPU: what such a map makes is the plain module, without hooks.
    monkeypatch.setattr(loading, "_placed", lambda _: {"device_map": {"": "cpu"}})
    module = load(save_model(tiny_base, tmp_path / "m")).module
    assert not any(hasattr(part, "_hf_hook") for part in module.modules())
    assert not any("forward" in vars(part) for part in module.modules() if isinstance(part, nn.Linear))
