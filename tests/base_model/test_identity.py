"""Adapters belong to weights: what may change about a model's files, and what makes it another model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import gpt2, llama, tokenizer
from safetensors.torch import load_file, save_file

from seal_agent.base_model.identity import BLOCK_WIDTH, differing_settings, former_identity_of, settings_of
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel

Save = Callable[[BaseModel, Path], Path]
Change = Callable[[Path], None]


def identity(folder: Path, dtype: str = "float32") -> str:
    return load_model(folder, device="cpu", dtype=dtype).identity


@pytest.fixture(params=["llama", "gpt2"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, save_model: Save) -> Path:
    """A saved model: one with tied embeddings and a prefix of its own, and one without."""
    module = {"llama": llama, "gpt2": gpt2}[request.param]()
    return save_model(BaseModel("tiny", module, tokenizer(chat=True), ""), tmp_path / "model")


def edit_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}, indent=7))


def another_transformers(folder: Path) -> None:
    edit_json(folder / "config.json", transformers_version="9.0.0", a_setting_of_later=3)
    edit_json(folder / "generation_config.json", transformers_version="9.0.0")


def reformatted(folder: Path) -> None:
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=3, sort_keys=True))


def resharded(folder: Path) -> None:
    module = load_model(folder, device="cpu", dtype="float32").module
    (folder / "model.safetensors").unlink()
    module.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 3


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def an_unused_file(folder: Path) -> None:
    save_file({"other": torch.ones(3)}, folder / "consolidated.safetensors")


def a_stale_index(folder: Path) -> None:
    """What a larger checkpoint left behind; transformers takes the single file."""
    shards = {"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(shards))


def without_the_prefix(folder: Path) -> None:
    """As the first files of GPT-2 were saved: no "transformer." before the names, and the mask beside the weights."""
    path = folder / "model.safetensors"
    tensors = {name.removeprefix("transformer.").removeprefix("model."): t for name, t in load_file(path).items()}
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 4, 4)
    save_file(tensors, path, metadata={"format": "pt"})


def with_the_tied_head(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    if "transformer.wte.weight" in tensors:
        tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()
    save_file(tensors, path, metadata={"format": "pt"})


def another_template(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    path.write_text("Be brief.\n" + path.read_text())


def other_generation_settings(folder: Path) -> None:
    edit_json(folder / "generation_config.json", temperature=0.3, do_sample=True)


@pytest.mark.parametrize(
    "change",
    [
        another_transformers,
        reformatted,
        resharded,
        pickled,
        an_unused_file,
        a_stale_index,
        without_the_prefix,
        with_the_tied_head,
        another_template,
        other_generation_settings,
    ],
)
def test_the_identity_outlasts(change: Change, folder: Path) -> None:
    before = identity(folder)
    change(folder)
    assert identity(folder) == before


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_the_identity_does_not_depend_on_the_precision_it_is_loaded_in(folder: Path, dtype: str) -> None:
    assert identity(folder, dtype) == identity(folder)


def test_the_identity_does_not_depend_on_the_precision_it_is_saved_in(folder: Path) -> None:
    """What is exact in bfloat16 is the same model in float32."""
    path = folder / "model.safetensors"
    halved = {name: tensor.bfloat16() for name, tensor in load_file(path).items()}
    save_file(halved, path, metadata={"format": "pt"})
    before = identity(folder)
    save_file({name: tensor.float() for name, tensor in halved.items()}, path, metadata={"format": "pt"})
    assert identity(folder) == before


def finetuned(folder: Path) -> None:
    """A thousandth of each number, as a short finetuning at a low rate would change it."""
    path = folder / "model.safetensors"
    torch.manual_seed(0)
    tensors = {name: tensor * (1 + 1e-3 * torch.randn_like(tensor)) for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def one_matrix_edited(folder: Path) -> None:
    """A rank-1 change of one matrix, as knowledge editing makes it."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if "mlp" in name and tensors[name].ndim == 2)
    torch.manual_seed(0)
    rows, columns = tensors[name].shape
    tensors[name] = tensors[name] + 0.05 * torch.outer(torch.randn(rows), torch.randn(columns))
    save_file(tensors, path, metadata={"format": "pt"})


def another_head_count(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    heads = {"n_head": 2} if "n_head" in config else {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 8}
    edit_json(folder / "config.json", **heads)


def another_vocabulary(folder: Path) -> None:
    path = folder / "tokenizer.json"
    parsed = json.loads(path.read_text())
    vocabulary = parsed["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    path.write_text(json.dumps(parsed))


@pytest.mark.parametrize("change", [finetuned, one_matrix_edited, another_head_count, another_vocabulary])
def test_another_model_has_another_identity(change: Change, folder: Path) -> None:
    before = identity(folder)
    change(folder)
    assert identity(folder) != before


def test_every_tensor_is_sampled(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    before = identity(folder)
    for name in tensors:
        changed = {**tensors, name: tensors[name] + 1}
        save_file(changed, path, metadata={"format": "pt"})
        assert identity(folder) != before, name


def test_both_ends_of_a_long_tensor_are_sampled(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors, before = load_file(path), identity(folder)
    name = next(name for name in tensors if tensors[name].ndim == 2 and tensors[name].shape[1] > BLOCK_WIDTH)
    for place in ((0, 0), (-1, -1)):
        changed = tensors[name].clone()
        changed[place] += 1
        save_file({**tensors, name: changed}, path, metadata={"format": "pt"})
        assert identity(folder) != before, place


def test_settings_that_differ_are_named(folder: Path) -> None:
    before = load_model(folder, device="cpu", dtype="float32")
    another_template(folder)
    other_generation_settings(folder)
    after = load_model(folder, device="cpu", dtype="float32")
    assert differing_settings(before.settings, after.settings) == [
        "the chat template was another",
        "do_sample was not set, is true",
        "temperature was not set, is 0.3",
    ]
    assert differing_settings(before.settings, before.settings) == []


def test_nothing_is_said_of_settings_that_were_never_recorded(tiny_base: BaseModel) -> None:
    assert differing_settings((), settings_of(tiny_base.module, tiny_base.tokenizer)) == []


def test_the_former_identity_hashes_files_as_they_lie(folder: Path) -> None:
    module = load_model(folder, device="cpu", dtype="float32").module
    before = former_identity_of(str(folder), module)
    another_transformers(folder)
    assert former_identity_of(str(folder), module) != before
