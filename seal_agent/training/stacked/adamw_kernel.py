"""The optimiser step as one Triton kernel: every weight, gradient and moment is read once and written once.

Triton's interpreter runs it on the processor (TRITON_INTERPRET=1), which the tests use.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # not tuned


@triton.jit  # type: ignore[untyped-decorator]
def _adamw(
    weights: Any,
    grads: Any,
    moments: Any,
    squares: Any,
    compute: Any,
    slots: Any,
    settings: Any,
    norms: Any,
    size: Any,
    share1: Any,
    beta2: Any,
    share2: Any,
    epsilon: Any,
    clip_epsilon: Any,
    has_copy: tl.constexpr,
    block: tl.constexpr,
) -> None:
    row = tl.program_id(1)
    slot = tl.load(slots + row).to(tl.int64)
    rate = tl.load(settings + 4 * row)
    decay = tl.load(settings + 4 * row + 1)
    root = tl.load(settings + 4 * row + 2)
    max_norm = tl.load(settings + 4 * row + 3)
    clip = tl.minimum(max_norm / (tl.load(norms + slot) + clip_epsilon), 1.0)
    column = tl.program_id(0).to(tl.int64) * block + tl.arange(0, block)
    inside = column < size
    place = slot * size + column
    g = tl.load(grads + place, mask=inside, other=0.0) * clip
    m = tl.load(moments + place, mask=inside, other=0.0)
    v = tl.load(squares + place, mask=inside, other=0.0)
    w = tl.load(weights + place, mask=inside, other=0.0)
    m += (g - m) * share1
    v = v * beta2 + g * g * share2
    w = w * decay - rate * (m / (tl.sqrt(v) / root + epsilon))
    tl.store(moments + place, m, mask=inside)
    tl.store(squares + place, v, mask=inside)
    tl.store(weights + place, w, mask=inside)
    tl.store(grads + place, tl.zeros_like(g), mask=inside)
    if has_copy:
        tl.store(compute + place, w.to(compute.dtype.element_ty), mask=inside)


def launch(
    weights_KP: Tensor,
    grads_KP: Tensor,
    moments_KP: Tensor,
    squares_KP: Tensor,
    compute_KP: Tensor,
    slots_S: Tensor,
    settings_S4: Tensor,
    norm_K: Tensor,
    constants: tuple[float, float, float, float],
) -> None:
    """Update these slots in place; all tensors are contiguous.

    Args:
        weights_KP: Weights, float32.
        grads_KP: Gradients before clipping, float32; zero afterwards.
        moments_KP: Means of the gradients.
        squares_KP: Means of their squares.
        compute_KP: The copy of the weights in compute precision, or the weights themselves.
        slots_S: The slots.
        settings_S4: Learning rate over the first moment's correction, decay, root of the second's, largest norm.
        norm_K: Norms of the gradients of all slots.
        constants: Both betas, and what is added to the denominator and to the norm.
    """
    beta1, beta2, epsilon, clip_epsilon = constants
    size = weights_KP.shape[1]
    has_copy = compute_KP.data_ptr() != weights_KP.data_ptr()
    tensors = (weights_KP, grads_KP, moments_KP, squares_KP, compute_KP, slots_S, settings_S4, norm_K)
    _adamw[(triton.cdiv(size, BLOCK), len(slots_S))](
        *tensors, size, 1 - beta1, beta2, 1 - beta2, epsilon, clip_epsilon, has_copy=has_copy, block=BLOCK
    )
