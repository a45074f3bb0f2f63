"""Seeds derived by hashing, so that neighbouring seeds, rows, steps and epochs draw from streams of their own."""

from __future__ import annotations

from hashlib import blake2b

_BYTES = 8


def derived_seed(seed: int, *path: str | int) -> int:
    """The seed of one part of a random process, from 0 to 2⁶³ − 1, which torch's and Python's generators take.

    `seed + i` would not do: row 1 of seed 0 is then row 0 of seed 1, and two runs share most of what they draw.

    Args:
        seed: Of the whole process; any whole number.
        path: Names and numbers that lead to the part, such as ("epoch", 3). Other paths give unrelated seeds.
    """
    digest = blake2b(repr((int(seed), *path)).encode(), digest_size=_BYTES).digest()
    return int.from_bytes(digest, "big") >> 1
