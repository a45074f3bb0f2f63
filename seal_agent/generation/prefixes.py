"""Groups the prompts of a batch by shared prefix, so that each prefix is computed once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

MAX_COMPUTED_SHARE = 0.75  # share of the tokens, padding included, that may be left to compute


@dataclass(frozen=True, slots=True)
class SharedPrefixes:
    """Groups of rows with a shared prefix; every row keeps at least one token of its own."""

    group_of_row: tuple[int, ...]
    length_of_group: tuple[int, ...]
    first_row_of_group: tuple[int, ...]

    @property
    def length_of_row(self) -> tuple[int, ...]:
        """The length of each row's prefix."""
        return tuple(self.length_of_group[group] for group in self.group_of_row)


def group_by_prefix(rows: Sequence[tuple[Hashable, Sequence[int]]]) -> SharedPrefixes | None:
    """Group rows of (adapter, token ids) by prefix. Returns None if sharing would save less than a quarter."""
    order = sorted(range(len(rows)), key=lambda i: (hash(rows[i][0]), tuple(rows[i][1])))
    group_of_row, lengths, first_rows = [0] * len(rows), list[int](), list[int]()
    for i in order:
        adapter, ids = rows[i]
        max_length = len(ids) - 1
        if first_rows and rows[first_rows[-1]][0] == adapter:
            shared = min(max_length, lengths[-1], common_prefix_length(rows[first_rows[-1]][1], ids))
            if 2 * shared >= lengths[-1]:
                lengths[-1], group_of_row[i] = shared, len(first_rows) - 1
                continue
        first_rows.append(i)
        lengths.append(max_length)
        group_of_row[i] = len(first_rows) - 1
    longest_suffix = max(len(ids) - lengths[group_of_row[i]] for i, (_, ids) in enumerate(rows))
    computed = len(first_rows) * max(lengths) + len(rows) * longest_suffix
    if min(lengths) < 1 or computed > MAX_COMPUTED_SHARE * len(rows) * max(len(ids) for _, ids in rows):
        return None
    return SharedPrefixes(tuple(group_of_row), tuple(lengths), tuple(first_rows))


def common_prefix_length(left: Sequence[int], right: Sequence[int]) -> int:
    """Number of tokens that two sequences share at the start."""
    for position, (left_id, right_id) in enumerate(zip(left, right, strict=False)):
        if left_id != right_id:
            return position
    return min(len(left), len(right))
