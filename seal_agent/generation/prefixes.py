"""Which prompts of a batch begin alike, so that the beginning is computed once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import takewhile

WORTHWHILE = 0.75  # share of the tokens that must be left to compute at most, padding included


@dataclass(frozen=True, slots=True)
class SharedPrefixes:
    """Groups of rows that begin alike; every row keeps at least one token of its own."""

    group_of_row: tuple[int, ...]
    length_of_group: tuple[int, ...]
    first_row_of_group: tuple[int, ...]


def group_by_prefix(rows: Sequence[tuple[Hashable, Sequence[int]]]) -> SharedPrefixes | None:
    """Groups among rows of (adapter, token ids), or None where sharing would save less than a quarter."""
    order = sorted(range(len(rows)), key=lambda i: (hash(rows[i][0]), tuple(rows[i][1])))
    group_of_row, lengths, firsts = [0] * len(rows), list[int](), list[int]()
    for i in order:
        key, ids = rows[i]
        own = len(ids) - 1
        if firsts and rows[firsts[-1]][0] == key:
            common = min(own, lengths[-1], _common(rows[firsts[-1]][1], ids))
            if 2 * common >= lengths[-1]:
                lengths[-1], group_of_row[i] = common, len(firsts) - 1
                continue
        firsts.append(i)
        lengths.append(own)
        group_of_row[i] = len(firsts) - 1
    rest = max(len(ids) - lengths[group_of_row[i]] for i, (_, ids) in enumerate(rows))
    shared = len(firsts) * max(lengths) + len(rows) * rest
    if min(lengths) < 1 or shared > WORTHWHILE * len(rows) * max(len(ids) for _, ids in rows):
        return None
    return SharedPrefixes(tuple(group_of_row), tuple(lengths), tuple(firsts))


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
