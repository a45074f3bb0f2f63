"""Which token comes next: the likeliest, or a draw from the nucleus."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from seal_agent.types import Sampling

LIKELIEST = 256  # tokens among which a draw looks for its nucleus first; a small model's at 0.95 is rarely wider


def choose_tokens(logits_BV: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """Next token of each row: the likeliest, or a draw from the nucleus by the row's own generator."""
    if sampling.temperature == 0:
        return logits_BV.argmax(dim=-1)
    probs_BV = torch.softmax(logits_BV / sampling.temperature, dim=-1)
    draws_B = torch.stack([torch.rand((), generator=g, device=logits_BV.device) for g in generators])
    best_BK, tokens_BK = probs_BV.topk(min(LIKELIEST, probs_BV.shape[1]), dim=-1)
    chosen_B = _drawn(best_BK, tokens_BK, sampling.top_p, draws_B)
    wide_B = best_BK.sum(dim=-1) < sampling.top_p
    if wide_B.any():  # sorting the whole vocabulary takes as long as the model itself, so only where it must be
        chosen_B[wide_B] = _drawn(*probs_BV[wide_B].sort(dim=-1, descending=True), sampling.top_p, draws_B[wide_B])
    return chosen_B


def _drawn(probs_BK: Tensor, tokens_BK: Tensor, top_p: float, draws_B: Tensor) -> Tensor:
    """A token of each row's nucleus, given its likeliest tokens in descending order and a number in [0, 1)."""
    # A token belongs to the nucleus while the mass before it is below top_p; the first always does.
    nucleus_BK = torch.where(probs_BK.cumsum(dim=-1) - probs_BK < top_p, probs_BK, 0.0)
    mass_BK = nucleus_BK.cumsum(dim=-1)
    picks_B1 = torch.searchsorted(mass_BK, (draws_B * mass_BK[:, -1])[:, None], right=True)
    return tokens_BK.gather(1, picks_B1.clamp(max=tokens_BK.shape[1] - 1)).squeeze(1)
