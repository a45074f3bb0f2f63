"""Next-token cross-entropy and its gradient, without ever holding the logits of a whole batch.

The gradient is softmax minus target probabilities, times the output matrix. It is computed chunk by chunk in one buffer
while the logits are at hand. The targets' own columns are left out of the product and added in full precision,
renormalised by the sum of all other probabilities: in bf16, a probability near 1 would drown the rest.

Dimensions: M labelled positions, J target tokens per position, C positions of a chunk, N tokens of the pass, D hidden
size, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seal_agent.base_model.model import BaseModel
from seal_agent.training.loss_scale import loss_scale
from seal_agent.training.output_head import PLAIN_HEAD, OutputHead, labelled_logits, output_head
from seal_agent.training.packing import Batch
from seal_agent.training.probes import last_hidden_states

CHUNK_POSITIONS = 320  # measured on 2 cores: a fifth faster than 128, as fast as 640 with half of its memory
CHUNK_BYTES_CUDA = 1 << 29  # of one buffer of logits; each chunk costs a dozen launches. Not tuned
_TINY = torch.finfo(torch.float32).tiny
_TINY_HALF = torch.finfo(torch.float16).tiny  # probabilities below lose digits in float16, and are 0 below 6e-8


@torch.no_grad()
def linear_cross_entropy(
    hidden_MD: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    targets_MJ: Tensor,
    target_probs_MJ: Tensor,
    weights_M: Tensor,
    head: OutputHead = PLAIN_HEAD,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of each position in float32 (M), and the gradient of its weighted sum by `hidden_MD`.

    With one target per position, this is the negative log-likelihood of a label. With soft labels, it is the
    Kullback-Leibler divergence from the teacher plus the teacher's entropy.

    Args:
        hidden_MD: Last hidden states.
        weight_VD: The output matrix.
        bias_V: The output bias, if any.
        targets_MJ: Target token ids.
        target_probs_MJ: Their float32 probabilities, which sum to 1 per position; a target with 0 is ignored.
        weights_M: Weight of each position in the sum.
        head: What makes logits of the products.
    """
    chunk = _chunk_positions(weight_VD)
    grad_MD = torch.empty_like(hidden_MD)
    nll_M = torch.empty(len(targets_MJ), dtype=torch.float32, device=hidden_MD.device)
    logits_buffer_CV, probs_buffer_CV = hidden_MD.new_empty(2, min(chunk, len(targets_MJ)), weight_VD.shape[0])
    rows_C1 = torch.arange(chunk, device=hidden_MD.device)[:, None]
    for hidden_CD, targets_CJ, target_probs_CJ, weights_C, grad_CD, nll_C in zip(
        *(torch.split(t, chunk) for t in (hidden_MD, targets_MJ, target_probs_MJ, weights_M, grad_MD, nll_M)),
        strict=True,
    ):
        logits_CV = torch.mm(hidden_CD, weight_VD.T, out=logits_buffer_CV[: len(hidden_CD)])
        if bias_V is not None:
            logits_CV += bias_V
        head.logits_(logits_CV)
        other_probs_CV = torch.softmax(logits_CV, dim=-1, out=probs_buffer_CV[: len(hidden_CD)])
        used_CJ = target_probs_CJ > 0
        # An ignored target points at the first one, which is always used.
        columns = rows_C1[: len(hidden_CD)], torch.where(used_CJ, targets_CJ, targets_CJ[:, :1])
        probs_CJ = other_probs_CV[columns].float() * used_CJ
        rare_log_probs_CJ = _rare_log_probs(logits_CV, other_probs_CV, columns)
        other_probs_CV[columns] = 0
        probs_CJ = _renormalize(probs_CJ, other_probs_CV.sum(dim=-1).float())  # summed in float32 within, rounded once
        log_probs_CJ = probs_CJ.clamp(min=_TINY).log()
        if rare_log_probs_CJ is not None:
            log_probs_CJ = torch.where(probs_CJ < _TINY_HALF, rare_log_probs_CJ, log_probs_CJ)
        nll_C.copy_(-(target_probs_CJ * log_probs_CJ).sum(1))
        surplus_CJ = probs_CJ - target_probs_CJ
        if not head.is_plain:
            slopes_CV = head.slopes_(logits_CV)
            other_probs_CV *= slopes_CV
            surplus_CJ = surplus_CJ * slopes_CV[columns].float()
        torch.mm(other_probs_CV, weight_VD, out=grad_CD)
        grad_CD += torch.bmm(surplus_CJ.to(weight_VD.dtype)[:, None], weight_VD[columns[1]]).squeeze(1)
        grad_CD *= weights_C[:, None]
    return nll_M, grad_MD


def _chunk_positions(weight_VD: Tensor) -> int:
    """Positions whose logits are held at once."""
    if weight_VD.device.type != "cuda":
        return CHUNK_POSITIONS
    return max(CHUNK_POSITIONS, CHUNK_BYTES_CUDA // (len(weight_VD) * weight_VD.element_size()))


def _rare_log_probs(logits_CV: Tensor, probs_CV: Tensor, columns: tuple[Tensor, Tensor]) -> Tensor | None:
    """The targets' log-probabilities by their distance to the likeliest token, C×J; None where no precision needs it.

    Float16 holds no probability of a token that is 17 nats less likely than another.
    """
    if logits_CV.dtype != torch.float16:
        return None
    gaps_CJ = logits_CV[columns].float() - logits_CV.amax(-1, keepdim=True).float()
    return gaps_CJ + probs_CV.amax(-1, keepdim=True).float().log()


def _renormalize(probs_CJ: Tensor, other_mass_C: Tensor) -> Tensor:
    """The targets' probabilities, scaled so that all sum to 1, where all other tokens hold the smaller share."""
    scale_C = torch.where(other_mass_C < 0.5, (1 - other_mass_C) / probs_CJ.sum(1).clamp(min=_TINY), 1.0)
    return probs_CJ * scale_C[:, None]


def head_loss(base: BaseModel, batch: Batch) -> Tensor:
    """Run a pass forward and backward, inside a route. Returns the loss of each labelled position in float32, M.

    In float16 gradients are those of the loss times `loss_scale`.
    """
    head = output_head(base)
    if head is None:
        return autograd_loss(base, batch)
    layer = base.module.get_output_embeddings()
    hidden_ND = last_hidden_states(base, batch)
    nll_M, grad_MD = linear_cross_entropy(
        hidden_ND.detach()[batch.labelled_M].to(layer.weight.dtype),
        layer.weight,
        layer.bias,
        batch.targets_MJ,
        batch.target_probs_MJ,
        _scaled_weights(base, batch),
        head,
    )
    grad_ND = torch.zeros_like(hidden_ND)
    grad_ND[batch.labelled_M] = grad_MD.to(grad_ND.dtype)
    torch.autograd.backward(hidden_ND, grad_ND)
    return nll_M


@torch.no_grad()
def label_logprobs(base: BaseModel, batch: Batch) -> Tensor:
    """The log-probability of the first target of each labelled position in float32, M. Called inside a route."""
    targets_M1, head = batch.targets_MJ[:, :1], output_head(base)
    if head is None:
        return _logprobs(labelled_logits(base, batch), targets_M1)
    layer = base.module.get_output_embeddings()
    hidden_MD = last_hidden_states(base, batch)[batch.labelled_M].to(layer.weight.dtype)
    chunk = _chunk_positions(layer.weight)
    return torch.cat(
        [
            _logprobs(head.logits_(layer(hidden_CD)), targets_C1)
            for hidden_CD, targets_C1 in zip(torch.split(hidden_MD, chunk), torch.split(targets_M1, chunk), strict=True)
        ]
    )


def autograd_loss(base: BaseModel, batch: Batch) -> Tensor:
    """As `head_loss`, by autograd: for models that make logits in their own way, and where all weights are trained."""
    log_probs_MV = labelled_logits(base, batch).float().log_softmax(-1)
    nll_M = -(batch.target_probs_MJ * log_probs_MV.gather(1, batch.targets_MJ)).sum(1)
    (nll_M * _scaled_weights(base, batch)).sum().backward()  # type: ignore[no-untyped-call]
    return nll_M.detach()


def _scaled_weights(base: BaseModel, batch: Batch) -> Tensor:
    scale = loss_scale(base.dtype)
    return batch.weights_M if scale == 1 else batch.weights_M * scale


def _logprobs(logits_CV: Tensor, targets_C1: Tensor) -> Tensor:
    return logits_CV.float().log_softmax(-1).gather(1, targets_C1).squeeze(1)
