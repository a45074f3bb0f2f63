"""Every architecture of the zoo: an exported adapter is found by PEFT module by module, and PEFT scores as we do."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from conftest import random_adapter
from torch.testing import assert_close
from zoo.models import ZOO, ZooModel, zoo_parameters

from seal_agent.errors import AdapterError
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.peft_files import export_peft, read_peft
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route

ZOO_BY_NAME = {model.name: model for model in ZOO}


def gentle(adapter: LoraAdapter) -> LoraAdapter:
    """A smaller update: at full strength, some models' logits become so large that float32 hides what differs."""
    pairs = {name: LoraPair(pair.a_DR, 0.1 * pair.b_RO) for name, pair in adapter.pairs.items()}
    return LoraAdapter(adapter.rank, adapter.alpha, pairs, adapter.transposed)


@pytest.mark.parametrize("zoo_model", zoo_parameters())
def test_peft_reads_every_layer_of_an_export_and_scores_as_we_do(zoo_model: ZooModel, tmp_path: Path) -> None:
    from peft import PeftModel

    base = zoo_model.base()
    adapter = gentle(random_adapter(base, 1, targets=("all",)))
    export_peft(adapter, base.module, base.name, base.identity, tmp_path)
    back, identity = read_peft(tmp_path)
    assert identity == base.identity
    assert back.pairs.keys() == adapter.pairs.keys()

    ids = torch.randint(4, 260, (2, 30), generator=torch.Generator().manual_seed(3))
    peft_model = PeftModel.from_pretrained(copy.deepcopy(base.module), str(tmp_path)).eval()
    adapted = {name for name, layer in peft_model.base_model.model.named_modules() if hasattr(layer, "lora_A")}
    assert adapted == set(adapter.pairs)
    with torch.no_grad():
        want = peft_model(input_ids=ids, use_cache=False).logits
        plain = base.module(input_ids=ids, use_cache=False).logits
        for adapters in ([adapter, adapter], [adapter, None]):
            with routed(serving_route(base.module, adapters, base.device, base.dtype)):
                got = base.module(input_ids=ids, use_cache=False).logits
            assert_close(got[0], want[0], atol=2e-4, rtol=2e-4)
            assert_close(got[1], want[1] if adapters[1] else plain[1], atol=2e-4, rtol=2e-4)
    assert not torch.allclose(want, plain, atol=1e-2)


@pytest.mark.parametrize(("name", "target"), [("mamba", "out_proj"), ("qwen3-next", "shared_expert")])
def test_an_export_that_peft_cannot_read_is_refused_with_the_names(name: str, target: str, tmp_path: Path) -> None:
    base = ZOO_BY_NAME[name].base()
    adapter = random_adapter(base, 1, targets=(target, "in_proj" if name == "mamba" else "q_proj"))
    lost = [layer for layer in adapter.pairs if f".{target}" in layer]
    with pytest.raises(AdapterError, match=f"cannot hold {len(lost)} of the adapter's {len(adapter.pairs)}") as error:
        export_peft(adapter, base.module, base.name, base.identity, tmp_path)
    assert lost[0] in str(error.value)
    assert not list(tmp_path.iterdir())


def test_reading_an_export_back_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    base = ZOO_BY_NAME["gpt2"].base()
    before = [name for name, _ in base.module.named_modules()]
    export_peft(random_adapter(base, 1), base.module, base.name, base.identity, tmp_path)
    assert [name for name, _ in base.module.named_modules()] == before
    assert not any(weight.requires_grad for weight in base.module.parameters())
