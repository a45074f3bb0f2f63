"""Stretches of a packed row in groups of like length, so that one batched product serves many of them.

Behind the end of a shorter stretch its own first token is repeated: no stretch ever reads another's numbers, so that
one which has diverged leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Bounds = tuple[int, int]
"""[start, stop) of a stretch."""


@dataclass(frozen=True, slots=True)
class Group:
    """S stretches, L tokens the longest."""

    members: tuple[int, ...]
    """Their numbers in the list that was grouped."""
    token_SL: Tensor
    real_SL: Tensor
    """False behind a stretch's end."""


def group(bounds: Sequence[Bounds], filled: float, small: int) -> list[Group]:
    """From long to short: a stretch joins the group before it if it fills this share of the group's longest one.

    Where that has at most `small` tokens every one joins: its products cost less than their calls.
    """
    lengths = [stop - start for start, stop in bounds]
    groups: list[list[int]] = []
    for i in sorted(range(len(bounds)), key=lambda i: (-lengths[i], i)):
        longest = lengths[groups[-1][0]] if groups else 0
        if longest and (longest <= small or lengths[i] >= filled * longest):
            groups[-1].append(i)
        else:
            groups.append([i])
    return [_grouped(members, bounds) for members in groups]


def _grouped(members: Sequence[int], bounds: Sequence[Bounds]) -> Group:
    start_S1 = torch.tensor([bounds[i][0] for i in members])[:, None]
    stop_S1 = torch.tensor([bounds[i][1] for i in members])[:, None]
    offset_L = torch.arange(int(stop_S1[0] - start_S1[0]))
    real_SL = start_S1 + offset_L < stop_S1
    return Group(tuple(members), start_S1 + offset_L * real_SL, real_SL)


def indices_of(mask: Tensor, device: torch.device) -> Tensor | None:
    """Flat positions where a mask is true; None where it is nowhere."""
    found = mask.flatten().nonzero().flatten()
    return found.to(device) if len(found) else None


def gathered(rows: Tensor, places: Tensor, batch: int, surplus: Tensor | None = None) -> Tensor:
    """The rows at these places as batch × L × width; nothing at those that are surplus."""
    taken = rows.index_select(0, places)
    if surplus is not None:
        taken.index_fill_(0, surplus, 0)
    return taken.view(batch, -1, rows.shape[1])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """The rows of all groups below each other."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))
