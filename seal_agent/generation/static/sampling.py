"""Chooses the next token of every row without asking the device anything: no branch depends on a result.

Dimensions: B rows, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seal_agent.generation.sampling import COLDEST, sample_nucleus
from seal_agent.types import Sampling

DRAWS = 256  # random numbers drawn at once for a row, whatever number it needs: so its text depends on its seed alone


def is_greedy(sampling: Sampling) -> bool:
    """Whether the likeliest token is always taken."""
    return sampling.temperature < COLDEST


def draws_of(generator: torch.Generator, count: int) -> Tensor:
    """At least `count` random numbers in [0, 1) of a row's own generator."""
    blocks = -(-count // DRAWS)
    return torch.cat([torch.rand(DRAWS, generator=generator, device=generator.device) for _ in range(blocks)])


def pick(logits_BV: Tensor, uniform_B: Tensor | None, temperature_B1: Tensor, top_p_B1: Tensor) -> Tensor:
    """The next token of each row: the likeliest at temperature 0, else one of the nucleus.

    Args:
        logits_BV: In float32.
        uniform_B: A random number for each row; None where every row takes the likeliest.
        temperature_B1: Of each row.
        top_p_B1: Likewise.
    """
    likeliest_B = logits_BV.argmax(dim=-1)
    if uniform_B is None:
        return likeliest_B
    warm_BV = logits_BV / temperature_B1.clamp(min=COLDEST)
    probs_BV, tokens_BV = torch.softmax(warm_BV, dim=-1).sort(dim=-1, descending=True)
    drawn_B = sample_nucleus(probs_BV, tokens_BV, top_p_B1, uniform_B)
    return torch.where(temperature_B1.squeeze(1) < COLDEST, likeliest_B, drawn_B)


def logprobs_of(logits_BV: Tensor, tokens_B: Tensor) -> Tensor:
    """Log-probabilities of the tokens under the model, before temperature."""
    return logits_BV.gather(1, tokens_B[:, None]).squeeze(1) - logits_BV.logsumexp(1)
