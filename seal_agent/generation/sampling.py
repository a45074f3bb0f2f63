"""Chooses the next token: the likeliest, or a nucleus sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

from seal_agent.errors import InputError
from seal_agent.seeds import derived_seed
from seal_agent.types import Sampling

TOP_TOKENS = 256  # likeliest tokens searched for the nucleus first; a small model's nucleus at 0.95 is rarely wider

COLDEST = 1e-6  # below this temperature the likeliest token is certain, and dividing by it may overflow
_SEEDS = 2**63  # torch's generators take any number below it


def check_sampling(sampling: Sampling) -> None:
    """Raises InputError for settings by which no token could be chosen, or nothing would ever end."""
    tokens, temperature, top_p = sampling.max_tokens, sampling.temperature, sampling.top_p
    if not _is_number(tokens, whole=True) or tokens < 1 or not _is_number(temperature) or temperature < 0:
        raise InputError(
            "max_tokens must be at least 1 and temperature 0 or more, both finite numbers, "
            f"but they are {tokens!r} and {temperature!r}"
        )
    if not _is_number(top_p) or not 0 < top_p <= 1:
        raise InputError(f"top_p must be above 0 and at most 1, but it is {top_p!r}")
    if not _is_number(sampling.seed, whole=True):
        raise InputError(f"seed must be a whole number, but it is {sampling.seed!r}")
    if isinstance(sampling.stop, str) or not all(isinstance(stop, str) and stop for stop in sampling.stop):
        raise InputError(
            f"stop must be strings of at least one character, but it is {sampling.stop!r}; leave out the others"
        )


def _is_number(value: object, whole: bool = False) -> bool:
    return isinstance(value, Integral if whole else Real) and not isinstance(value, bool) and math.isfinite(value)


def seed_of_row(seed: int, row: int) -> int:
    """The seed of one row's generator. Row 0 has the seed itself, so that any row can be drawn again alone."""
    return derived_seed(seed, "row", row) if row else seed % _SEEDS


def choose_tokens(logits_BV: Tensor, sampling: Sampling, generators: Sequence[torch.Generator]) -> Tensor:
    """Next token of each row: greedy at temperature 0, else a nucleus sample from the row's own generator."""
    if sampling.temperature < COLDEST:
        return logits_BV.argmax(dim=-1)
    probs_BV = torch.softmax(logits_BV / sampling.temperature, dim=-1)
    uniform_B = torch.stack([torch.rand((), generator=g, device=logits_BV.device) for g in generators])
    top_probs_BK, top_tokens_BK = probs_BV.topk(min(TOP_TOKENS, probs_BV.shape[1]), dim=-1)
    tokens_B = sample_nucleus(top_probs_BK, top_tokens_BK, sampling.top_p, uniform_B)
    wide_B = top_probs_BK.sum(dim=-1) < sampling.top_p
    if wide_B.any():  # sorting the whole vocabulary takes as long as the model itself, so only where necessary
        tokens_B[wide_B] = sample_nucleus(
            *probs_BV[wide_B].sort(dim=-1, descending=True), sampling.top_p, uniform_B[wide_B]
        )
    return tokens_B


def branch_off(logits_BV: Tensor, tokens_B: Tensor, branches: Sequence[int]) -> Tensor:
    """The tokens, but for rows with a branch above 0 the likeliest one of that rank, counted from 0."""
    if not any(branches):
        return tokens_B
    rank_B1 = torch.tensor(branches, device=logits_BV.device)[:, None]
    likeliest_BK = logits_BV.topk(min(max(branches) + 1, logits_BV.shape[1]), dim=-1).indices
    ranked_B = likeliest_BK.gather(1, rank_B1.clamp(max=likeliest_BK.shape[1] - 1)).squeeze(1)
    return torch.where(rank_B1.squeeze(1) > 0, ranked_B, tokens_B)


def sample_nucleus(probs_BK: Tensor, tokens_BK: Tensor, top_p: float | Tensor, uniform_B: Tensor) -> Tensor:
    """One token of each row's nucleus, from its likeliest tokens in descending order and a number in [0, 1)."""
    # A token belongs to the nucleus while the mass before it is below top_p; the first always does.
    nucleus_BK = torch.where(probs_BK.cumsum(dim=-1) - probs_BK < top_p, probs_BK, 0.0)
    mass_BK = nucleus_BK.cumsum(dim=-1)
    picks_B1 = torch.searchsorted(mass_BK, (uniform_B * mass_BK[:, -1])[:, None], right=True)
    return tokens_BK.gather(1, picks_B1.clamp(max=tokens_BK.shape[1] - 1)).squeeze(1)
