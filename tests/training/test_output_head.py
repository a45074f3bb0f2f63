"""Logits in parts: what a model makes of its products is found out, and the loss is that of its own logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from bank_jobs import random_sequences
from conftest import random_adapter
from torch import nn
from torch.testing import assert_close
from zoo.models import ZOO as ALL

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import make_routable, routed
from seal_agent.training.bank.attention import use_segment_attention
from seal_agent.training.bank.route import BankRoute
from seal_agent.training.bank.storage import LoraBank
from seal_agent.training.loss import autograd_loss, head_loss, label_logprobs, linear_cross_entropy
from seal_agent.training.output_head import OutputHead, _candidates, labelled_logits, output_head
from seal_agent.training.packing import Batch, Row, lay_out
from seal_agent.training.probes import supports_packing

ZOO = {model.name: model for model in ALL}
HEADS = [
    ("llama", OutputHead()),
    ("gemma2", OutputHead(cap=30.0)),
    ("recurrent-gemma", OutputHead(cap=30.0)),
    ("granite", OutputHead(divisor=4.0)),
    ("cohere", OutputHead(factor=0.0625)),
    ("falcon-h1", OutputHead()),
    ("falcon-h1-scaled", OutputHead(factor=0.25)),
]
ZOO["falcon-h1-scaled"] = replace(ZOO["falcon-h1"], changes={**ZOO["falcon-h1"].changes, "lm_head_multiplier": 0.25})


def a_pass(base: BaseModel, packed: bool) -> Batch:
    rows = [Row(0, sequence, 0.5 + i) for i, sequence in enumerate(random_sequences(3, 4))]
    return lay_out(rows, packed, base.pad_id, base.device)


def gradients(base: BaseModel, batch: Batch, loss: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each position, and the gradient of an adapter of every layer."""
    use_segment_attention(base)
    adapter = random_adapter(base, 1, targets=("all",))
    names = tuple(sorted(adapter.pairs))
    make_routable(base.module, names)
    bank = LoraBank(base.module, names, 1, adapter.rank, base.device, base.dtype)
    bank.load(0, adapter)
    bank.begin_step(0)
    with routed(BankRoute(bank, batch.spans, batch.segments)):
        nll_M = loss(base, batch)
    return nll_M, bank.gradient(0).clone()


@pytest.mark.parametrize("value", ["inv_sqrt_d_model", True, [0.5]])
def test_what_a_config_names_is_taken_where_it_is_a_number(value: Any) -> None:
    base = ZOO["mpt"].base()
    base.module.config.logit_scale = "inv_sqrt_d_model"
    for name in ("output_multiplier", "logits_soft_cap"):
        setattr(base.module.config, name, value)
    assert output_head(base) == OutputHead()
    assert list(_candidates(base)) == [OutputHead()]


@contextmanager
def counting(layer: nn.Module) -> Iterator[list[int]]:
    """How many positions each call of a layer is given."""
    counts: list[int] = []
    handle = layer.register_forward_pre_hook(lambda _layer, inputs: counts.append(inputs[0][..., 0].numel()))
    try:
        yield counts
    finally:
        handle.remove()


@pytest.mark.parametrize(("name", "head"), HEADS)
def test_the_head_of_a_model_is_found_and_its_loss_is_that_of_its_own_logits(name: str, head: OutputHead) -> None:
    base = ZOO[name].base()
    assert output_head(base) == head
    batch = a_pass(base, supports_packing(base))
    nll_M, gradient = gradients(base, batch, head_loss)
    own_M, own_gradient = gradients(base, batch, autograd_loss)
    assert_close(nll_M, own_M, atol=1e-4, rtol=1e-4)
    assert_close(gradient, own_gradient, atol=1e-4 * float(own_gradient.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("name", [name for name, _ in HEADS])
def test_log_probabilities_of_labels_are_those_of_the_models_own_logits(name: str) -> None:
    base = ZOO[name].base()
    (sequence,) = random_sequences(1, 1, 30, 30)
    batch = lay_out([Row(0, sequence, 1.0)], False, base.pad_id, base.device)
    with torch.no_grad(), routed(None):
        logits_MV = base.module(torch.tensor([sequence.input_ids])).logits[0, :-1]
        assert_close(
            label_logprobs(base, batch),
            -nn.functional.cross_entropy(logits_MV, batch.targets_MJ[:, 0], reduction="none"),
            atol=1e-4,
            rtol=1e-4,
        )


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("head", [OutputHead(cap=5.0), OutputHead(divisor=4.0), OutputHead(0.5, 3.0, 2.0)])
def test_the_chunked_loss_of_a_head_has_the_gradient_that_autograd_finds(head: OutputHead, soft: bool) -> None:
    draw = torch.Generator().manual_seed(0)
    hidden_MD = torch.randn(700, 24, generator=draw, requires_grad=True)
    weight_VD = torch.randn(100, 24, generator=draw)
    targets_MJ = torch.stack([torch.randperm(100, generator=draw)[: 3 if soft else 1] for _ in range(700)])
    probs_MJ = torch.rand(targets_MJ.shape, generator=draw)
    probs_MJ /= probs_MJ.sum(1, keepdim=True)
    weights_M = torch.rand(700, generator=draw)
    logits_MV = hidden_MD @ weight_VD.T * head.factor / head.divisor
    if head.cap is not None:
        logits_MV = head.cap * (logits_MV / head.cap).tanh()
    want_M = -(logits_MV.log_softmax(-1).gather(1, targets_MJ) * probs_MJ).sum(1)
    (want_M * weights_M).sum().backward()
    nll_M, gradient_MD = linear_cross_entropy(
        hidden_MD.detach(), weight_VD, None, targets_MJ, probs_MJ, weights_M, head
    )
    assert_close(nll_M, want_M.detach(), atol=1e-5, rtol=1e-5)
    assert_close(gradient_MD, hidden_MD.grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("packed", [False, True])
def test_logits_are_computed_where_labels_are_and_nowhere_else(packed: bool) -> None:
    base = ZOO["llama"].base()
    use_segment_attention(base)
    batch = a_pass(base, packed)
    nothing = LoraBank(base.module, (), 1, 1, base.device, base.dtype)
    with torch.no_grad(), routed(BankRoute(nothing, (), batch.segments)):
        want_MV = base.module(**batch.inputs()).logits.flatten(0, 1)[batch.labelled_M]
        labelled_logits(base, batch)  # tries the model
        with counting(base.module.get_output_embeddings()) as counts:
            got_MV = labelled_logits(base, batch)
    assert_close(got_MV, want_MV)
    assert sum(counts) < batch.tokens
    if packed:
        assert counts == [len(batch.labelled_M)]
