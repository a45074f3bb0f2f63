"""Next-token cross-entropy, and its gradient, without ever holding the logits of a whole batch.

Dimensions: M labelled positions, C positions of a chunk, D hidden size, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seal_agent.inner_loop.packing import Batch, Row, hidden_of, lay_out
from seal_agent.inner_loop.routing import routed
from seal_agent.models import BaseModel
from seal_agent.types import TrainingSequence

CHUNK_POSITIONS = 128  # large enough for an efficient product, small enough for the logits to stay near the caches


@torch.no_grad()
def linear_cross_entropy(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_M: Tensor, weights_M: Tensor
) -> tuple[Tensor, Tensor]:
    """Negative log-likelihood of each target in float32 (M), and the gradient of Σ weight · nll by `hidden_MD`.

    The gradient is softmax minus one-hot, times the output matrix, formed chunk by chunk in one buffer while the
    logits are at hand. The target's own column is left out of the product and added in full precision, as minus the
    sum of all other probabilities: in bf16 a probability near 1 would drown it.
    """
    grad_MD = torch.empty_like(hidden_MD)
    nll_M = torch.empty(len(targets_M), dtype=torch.float32, device=hidden_MD.device)
    buffer_CV, probs_CV = hidden_MD.new_empty(2, min(CHUNK_POSITIONS, len(targets_M)), weight_VD.shape[0])
    rows_C = torch.arange(CHUNK_POSITIONS, device=hidden_MD.device)
    for hidden_CD, targets_C, weights_C, grad_CD, nll_C in zip(
        *(torch.split(t, CHUNK_POSITIONS) for t in (hidden_MD, targets_M, weights_M, grad_MD, nll_M)), strict=True
    ):
        logits_CV = torch.mm(hidden_CD, weight_VD.T, out=buffer_CV[: len(hidden_CD)])
        if bias_V is not None:
            logits_CV += bias_V
        others_CV = torch.softmax(logits_CV, dim=-1, out=probs_CV[: len(hidden_CD)])
        own = rows_C[: len(hidden_CD)], targets_C
        own_C = others_CV[own].float()
        others_CV[own] = 0
        rest_C = others_CV.sum(dim=-1).float()  # summed in float32 within, rounded once
        tiny = torch.finfo(torch.float32).tiny
        nll_C.copy_(torch.where(rest_C < 0.5, -torch.log1p(-rest_C), -own_C.clamp(min=tiny).log()))
        torch.mm(others_CV, weight_VD, out=grad_CD)
        grad_CD -= rest_C[:, None] * weight_VD[targets_C]
        grad_CD *= weights_C[:, None]
    return nll_M, grad_MD


def head_loss(base: BaseModel, batch: Batch) -> Tensor:
    """Run a pass forward and backward inside a route; the nll of its labelled positions, M in float32."""
    if not _head_is_linear(base):
        return _autograd_loss(base, batch)
    head = base.module.get_output_embeddings()
    hidden_ND = hidden_of(base, batch)
    nll_M, grad_MD = linear_cross_entropy(
        hidden_ND.detach()[batch.labelled_M], head.weight, head.bias, batch.targets_M, batch.weights_M
    )
    grad_ND = torch.zeros_like(hidden_ND)
    grad_ND[batch.labelled_M] = grad_MD
    torch.autograd.backward(hidden_ND, grad_ND)
    return nll_M


def _autograd_loss(base: BaseModel, batch: Batch) -> Tensor:
    """For models that do more to the logits than one product: theirs, at the labelled positions only."""
    logits_MV = logits_of(base, batch)[batch.labelled_M].float()
    nll_M = torch.nn.functional.cross_entropy(logits_MV, batch.targets_M, reduction="none")
    (nll_M * batch.weights_M).sum().backward()  # type: ignore[no-untyped-call]
    return nll_M.detach()


def logits_of(base: BaseModel, batch: Batch) -> Tensor:
    """The model's own logits of all tokens, N×V."""
    logits: Tensor = base.module(**batch.inputs()).logits
    return logits.flatten(0, 1)


def _head_is_linear(base: BaseModel) -> bool:
    """Whether the logits are the last hidden state times the output matrix, with no cap or scale; tried once."""
    known: bool | None = getattr(base.module, "_seal_linear_head", None)
    if known is None:
        known = _try_head(base)
        base.module._seal_linear_head = known
    return known


@torch.no_grad()
def _try_head(base: BaseModel) -> bool:
    head = base.module.get_output_embeddings()
    if type(head) is not torch.nn.Linear:
        return False
    ids = tuple(range(min(8, head.weight.shape[0])))
    batch = lay_out([Row(0, TrainingSequence(ids, ids), 1.0)], False, base.pad_id, base.device)
    with routed(None):
        ours, theirs = head(hidden_of(base, batch)).float(), logits_of(base, batch).float()
    # A soft cap hardly bends small logits, hence the narrow bound; the product itself is the same on both sides.
    return bool(ours.shape == theirs.shape and (ours - theirs).norm() <= 1e-6 * theirs.norm())
