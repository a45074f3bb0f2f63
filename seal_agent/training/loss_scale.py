"""In float16 a loss is scaled by a power of two, and its gradient scaled back where it is read in float32.

A gradient of a token is its share of the loss times a few hundredths, and float16 loses all below 6e-8 (Micikevicius
et al., 2018, arXiv 1710.03740, section 3.2). A power of two changes no digit of a number that is kept.
"""

from __future__ import annotations

import torch

from seal_agent.errors import TrainingError

FLOAT16_SCALE = 1024.0  # leaves a factor of 64 to the largest number, where gradients are clipped to a norm of 1


def loss_scale(dtype: torch.dtype) -> float:
    """What losses are multiplied by, and gradients divided by, in this precision."""
    return FLOAT16_SCALE if dtype == torch.float16 else 1.0


def infinite_weights(dtype: torch.dtype) -> TrainingError:
    """The error for weights that are not finite, though every loss was."""
    in_half = "load the model with dtype bfloat16 or float32, since gradients overflow in float16, or "
    return TrainingError(
        "the trained weights are not finite; nothing was saved: "
        f"{in_half if dtype == torch.float16 else ''}try a smaller learning_rate"
    )
