"""Where the segments of a pass begin and which keys each of them reads, for kernels of variable length.

Dimensions: N tokens of the pass, U keys with the prefixes repeated; P tokens of prefixes, C the most segments that
share one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seal_agent.training.bank.grouping import Bounds

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class VarlenPlan:
    """Where the segments of a pass begin, and which keys each of them reads."""

    query_starts: Tensor
    """int32, one more than segments; the last is N."""
    key_starts: Tensor
    """The same in the repeated keys; the last is U."""
    longest_query: int
    longest_key: int
    prefixes: PrefixPlan | None


@dataclass(frozen=True, slots=True)
class PrefixPlan:
    """The keys of a pass with its prefixes repeated before each segment that has one."""

    key_token_U: Tensor
    """The token that each repeated key belongs to."""
    own_key_N: Tensor
    """Where each token's own key stands among the repeated ones."""
    token_P: Tensor
    """The tokens of the prefixes, each once."""
    copies_PC: Tensor
    """Where copies of their keys stand among the repeated ones."""
    real_PC11: Tensor
    """1.0 for a copy, 0.0 for padding."""

    def padded_to(self, keys: int, tokens: int, copies: int) -> PrefixPlan:
        """The same in tensors of these sizes: U, P, C. The last token of the pass takes what is padding of P.

        Padding of C repeats a copy of the same prefix: what is not finite stays in its slot.
        """
        rows, columns = tokens - len(self.token_P), copies - self.copies_PC.shape[1]
        last_token, last_key = len(self.own_key_N) - 1, int(self.own_key_N[-1])
        copies_PC = torch.cat([self.copies_PC, self.copies_PC[:, :1].expand(-1, columns)], 1)
        real_PC = torch.nn.functional.pad(self.real_PC11[:, :, 0, 0], (0, columns, 0, rows))
        return PrefixPlan(
            torch.nn.functional.pad(self.key_token_U, (0, keys - len(self.key_token_U)), value=last_token),
            self.own_key_N,
            torch.nn.functional.pad(self.token_P, (0, rows), value=last_token),
            torch.cat([copies_PC, torch.full((rows, copies), last_key)]),
            real_PC[:, :, None, None],
        )


def varlen_plan(bounds: Sequence[Bounds], prefixes: Sequence[Bounds]) -> VarlenPlan:
    """The plan for segments that follow each other without gaps, on the processor."""
    query_sizes = [stop - start for start, stop in bounds]
    key_sizes = [size + last - first for size, (first, last) in zip(query_sizes, prefixes, strict=True)]
    starts = [torch.tensor([0, *accumulate(counts)], dtype=torch.int32) for counts in (query_sizes, key_sizes)]
    shared = _prefix_plan(bounds, prefixes) if any(stop for _, stop in prefixes) else None
    return VarlenPlan(starts[0], starts[1], max(query_sizes), max(key_sizes), shared)


def _prefix_plan(bounds: Sequence[Bounds], prefixes: Sequence[Bounds]) -> PrefixPlan:
    keys, own_keys = list[Array](), list[Array]()
    copies: dict[Bounds, list[int]] = {}  # of each prefix, where its copies begin
    length = 0
    for (start, stop), (first, last) in zip(bounds, prefixes, strict=True):
        if last > first:
            copies.setdefault((first, last), []).append(length)
            keys.append(np.arange(first, last))
            length += last - first
        keys.append(np.arange(start, stop))
        own_keys.append(np.arange(length, length + stop - start))
        length += stop - start
    most = max(map(len, copies.values()))
    places, real = list[Array](), list[Array]()
    for (first, last), starts in copies.items():
        repeated = np.array(starts + starts[:1] * (most - len(starts)))
        places.append(repeated + np.arange(last - first)[:, None])
        real.append(np.broadcast_to(np.arange(most) < len(starts), places[-1].shape))
    tokens = [np.arange(first, last) for first, last in copies]
    key_token_U, own_key_N, token_P, copies_PC = map(_joined, (keys, own_keys, tokens, places))
    return PrefixPlan(key_token_U, own_key_N, token_P, copies_PC, _joined(real).float()[:, :, None, None])


def _joined(parts: Sequence[Array]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts))


def plan_on(plan: VarlenPlan, device: torch.device) -> VarlenPlan:
    """The plan on a device."""
    shared = plan.prefixes
    if shared is not None:
        fields = (shared.key_token_U, shared.own_key_N, shared.token_P, shared.copies_PC, shared.real_PC11)
        shared = PrefixPlan(*(x.to(device) for x in fields))
    starts = (plan.query_starts.to(device), plan.key_starts.to(device))
    return VarlenPlan(*starts, plan.longest_query, plan.longest_key, shared)
