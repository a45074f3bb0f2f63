"""Sizes that recur: those of a pass are rounded up to few values, so that a captured pass fits many passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MIN_TOKENS = 64  # smaller passes take no less time


@dataclass(frozen=True, slots=True)
class PassSizes:
    """The sizes of the tensors of a pass."""

    tokens: int
    segments: int
    labels: int
    targets: int
    """Per label."""
    longest_query: int
    longest_key: int
    repeated_keys: int
    """0 without prefixes."""
    prefix_tokens: int
    copies: int

    def rounded_up(self) -> PassSizes:
        """Sizes that recur, with room for a token of padding that no label reads."""
        tokens = round_up(max(self.tokens + 1, MIN_TOKENS), 4)
        longest = round_up(self.longest_query, 1)
        padding = tokens - self.tokens
        return PassSizes(
            tokens=tokens,
            segments=round_up(self.segments + -(-padding // longest), 2),
            labels=round_up(self.labels, 2),
            targets=round_up(self.targets, 1),
            longest_query=longest,
            longest_key=round_up(max(self.longest_key, longest), 1),
            repeated_keys=round_up(self.repeated_keys + padding, 4) if self.repeated_keys else 0,
            prefix_tokens=round_up(self.prefix_tokens + 1, 1) if self.prefix_tokens else 0,
            copies=round_up(self.copies, 1) if self.copies else 0,
        )


def round_up(size: int, steps: int) -> int:
    """The next of `steps` evenly spaced sizes between each power of two and the next."""
    if size <= steps:
        return max(size, 1)
    step = max(1, (1 << (size - 1).bit_length() >> 1) // steps)
    return -(-size // step) * step


def padding_segments(start: int, stop: int, longest: int) -> Sequence[tuple[int, int]]:
    """The tokens [start, stop) cut into segments of at most `longest`."""
    return [(first, min(first + longest, stop)) for first in range(start, stop, longest)]
