"""Groups intervals of a packed row by length, so that one batched product serves many of them.

Shorter intervals are padded with their own first token. No interval ever reads another's values, so one that has
diverged leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Bounds = tuple[int, int]
"""[start, stop) of an interval of tokens."""


@dataclass(frozen=True, slots=True)
class Group:
    """S intervals of similar length, padded to the longest, L tokens."""

    members: tuple[int, ...]
    """Their indices in the list that was grouped."""
    token_SL: Tensor
    real_SL: Tensor
    """False for padding."""


def group_by_length(bounds: Sequence[Bounds], min_fill: float, small: int) -> list[Group]:
    """Group intervals, the longest first.

    Args:
        bounds: The intervals.
        min_fill: An interval joins the group before it if it is at least this share of the group's longest.
        small: Groups whose longest has at most this many tokens take every shorter one: their products cost less than
            the calls.
    """
    lengths = [stop - start for start, stop in bounds]
    groups: list[list[int]] = []
    for i in sorted(range(len(bounds)), key=lambda i: (-lengths[i], i)):
        longest = lengths[groups[-1][0]] if groups else 0
        if longest and (longest <= small or lengths[i] >= min_fill * longest):
            groups[-1].append(i)
        else:
            groups.append([i])
    return [_make_group(members, bounds) for members in groups]


def _make_group(members: Sequence[int], bounds: Sequence[Bounds]) -> Group:
    start_S1 = torch.tensor([bounds[i][0] for i in members])[:, None]
    stop_S1 = torch.tensor([bounds[i][1] for i in members])[:, None]
    offset_L = torch.arange(int(stop_S1[0] - start_S1[0]))
    real_SL = start_S1 + offset_L < stop_S1
    return Group(tuple(members), start_S1 + offset_L * real_SL, real_SL)


def indices_of(mask: Tensor, device: torch.device) -> Tensor | None:
    """Flat positions where a mask is true; None if there are none."""
    indices = mask.flatten().nonzero().flatten()
    return indices.to(device) if len(indices) else None


def gather_rows(rows: Tensor, index: Tensor, batch: int, padding: Tensor | None = None) -> Tensor:
    """The rows at `index` as batch × L × width; zeros at the positions `padding` of `index`."""
    gathered = rows.index_select(0, index)
    if padding is not None:
        gathered.index_fill_(0, padding, 0)
    return gathered.view(batch, -1, rows.shape[1])


def concat_rows(parts: Sequence[Tensor]) -> Tensor:
    """The rows of all groups, concatenated."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
