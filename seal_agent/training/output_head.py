"""How a model makes logits of its last hidden states, so that a loss can take them part by part.

Most models multiply by the output matrix. Some scale the products (Granite, Cohere, Falcon-H1) or keep them within a
soft cap (Gemma 2, arXiv 2408.00118, section 2). What a config names is tried against the model's own logits, once per
model. Whatever else a model does, its own logits are taken, of the labelled positions alone where it allows that.

Dimensions: M labelled positions, C positions of a chunk, B rows, T tokens of a row, N tokens of the pass, V vocabulary.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.lora.routing import routed
from seal_agent.lora.text_layers import plain_token_ids
from seal_agent.training.packing import Batch, Row, lay_out
from seal_agent.training.probes import inputs_of, last_hidden_states
from seal_agent.types import TrainingSequence

# Names in transformers' configs. The same name multiplies in one model and divides in another, so both are tried.
_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
_CAPS = ("final_logit_softcapping", "logits_soft_cap")
_ROUNDING = 1e-6  # both sides compute the same products; a cap barely changes small logits


@dataclass(frozen=True, slots=True)
class OutputHead:
    """Logits are cap · tanh(product · factor / divisor / cap); without a cap, the scaled product."""

    factor: float = 1.0
    divisor: float = 1.0
    cap: float | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the logits are the products themselves."""
        return self == PLAIN_HEAD

    def logits_(self, products_CV: Tensor) -> Tensor:
        """The logits of these products, in their place; rounded as by transformers' models."""
        if self.factor != 1:
            products_CV.mul_(self.factor)
        if self.divisor != 1:
            products_CV.div_(self.divisor)
        if self.cap is not None:
            products_CV.div_(self.cap).tanh_().mul_(self.cap)
        return products_CV

    def slopes_(self, logits_CV: Tensor) -> Tensor:
        """The derivatives of these logits by their products, in their place."""
        if self.cap is None:
            return logits_CV.fill_(self.factor / self.divisor)
        return logits_CV.div_(self.cap).square_().neg_().add_(1).mul_(self.factor / self.divisor)


PLAIN_HEAD = OutputHead()


def output_head(base: BaseModel) -> OutputHead | None:
    """The model's head; None where its logits are made in another way. Tried on the first call."""
    if "output head" not in base.memo:
        base.memo["output head"] = _try_heads(base)
    head: OutputHead | None = base.memo["output head"]
    return head


def labelled_logits(base: BaseModel, batch: Batch) -> Tensor:
    """The model's own logits of the labelled positions, M×V. Called inside a route."""
    rows, length = batch.ids_BT.shape
    if not _keeps_positions(base):
        return _own_logits(base, batch).flatten(0, 1)[batch.labelled_M]
    if rows == 1:
        return _own_logits(base, batch, batch.labelled_M)[0]
    positions_P, place_M = torch.unique(batch.labelled_M % length, return_inverse=True)
    return _own_logits(base, batch, positions_P)[batch.labelled_M // length, place_M]


def _own_logits(base: BaseModel, batch: Batch, positions: Tensor | None = None) -> Tensor:
    """B×T×V, or those of some positions only."""
    keep = {} if positions is None else {"logits_to_keep": positions}
    logits: Tensor = base.module(**inputs_of(base, batch), **keep).logits
    return logits


def _keeps_positions(base: BaseModel) -> bool:
    """Whether the model can be asked for the logits of some positions; tried on the first call."""
    if "keeps positions" not in base.memo:
        base.memo["keeps positions"] = _try_positions(base)
    keeps: bool = base.memo["keeps positions"]
    return keeps


@torch.no_grad()
def _try_positions(base: BaseModel) -> bool:
    if "logits_to_keep" not in inspect.signature(base.module.forward).parameters:
        return False
    batch = _trial_batch(base)
    positions = torch.tensor([1, 4], device=base.device)
    with routed(None):
        all_BTV = _own_logits(base, batch)
        try:
            some_BPV = _own_logits(base, batch, positions)
        except Exception:  # a model may fail in any way where it expects a number
            return False
    expected_BPV = all_BTV[:, positions].float()
    return some_BPV.shape == expected_BPV.shape and bool(
        (some_BPV.float() - expected_BPV).norm() <= 1e-2 * expected_BPV.norm()  # another shape is rounded otherwise
    )


@torch.no_grad()
def _try_heads(base: BaseModel) -> OutputHead | None:
    layer = base.module.get_output_embeddings()
    if type(layer) is not torch.nn.Linear:
        return None
    batch = _trial_batch(base)
    with routed(None):
        hidden_ND, actual_NV = last_hidden_states(base, batch), _own_logits(base, batch).flatten(0, 1)
        if hidden_ND.shape[-1] != layer.in_features:
            return None
        products_NV = layer(hidden_ND.to(layer.weight.dtype))
    actual_NV = actual_NV.float()
    for head in _candidates(base):
        logits_NV = head.logits_(products_NV.clone()).float()
        if logits_NV.shape == actual_NV.shape and (logits_NV - actual_NV).norm() <= _ROUNDING * actual_NV.norm():
            return head
    return None


def _candidates(base: BaseModel) -> Iterator[OutputHead]:
    """What the config may mean, those with a cap first: of small logits it changes nothing that could be seen."""
    config = base.module.config.get_text_config()
    caps, scales = _numbers(config, _CAPS), _numbers(config, _SCALES)
    for cap in (*caps, None):
        for scale in scales:
            yield OutputHead(factor=scale, cap=cap)
            yield OutputHead(divisor=scale, cap=cap)
        yield OutputHead(cap=cap)


def _numbers(config: Any, names: Sequence[str]) -> list[float]:
    """What a config has under these names, as far as it is a number other than 0; MPT names a rule in a string."""
    values = [getattr(config, name, None) for name in names]
    return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and v]


def _trial_batch(base: BaseModel) -> Batch:
    ids = tuple(plain_token_ids(base.module, 8))
    return lay_out([Row(0, TrainingSequence(ids, ids), 1.0)], False, base.pad_id, base.device)
