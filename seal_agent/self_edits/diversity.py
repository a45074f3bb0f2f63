"""How much was written, and how diverse it is: a writer trained by reinforcement may collapse into one phrase."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

_WORD = re.compile(r"\w+")
_N = 3
_MOST_PAIRS = 2000  # of notes compared with each other; the first ones of a longer list


@dataclass(frozen=True, slots=True)
class NoteFigures:
    """Notes of one passage that were trained on.

    `distinct` is the share of word trigrams that differ (distinct-3, Li et al. 2016), 0..1. `similarity` is the mean
    Jaccard similarity of the word sets of two notes, 0..1. Both are None where there is too little to compare.
    """

    count: int
    tokens: int
    distinct: float | None
    similarity: float | None


def note_figures(notes: Sequence[str], count_tokens: Callable[[str], int]) -> NoteFigures:
    """Figures of the notes of one passage."""
    words = [[word.casefold() for word in _WORD.findall(note)] for note in notes]
    grams = [tuple(of_note[i : i + _N]) for of_note in words for i in range(len(of_note) - _N + 1)]
    sets = [set(of_note) for of_note in words if of_note]
    pairs = [pair for pair, _ in zip(combinations(sets, 2), range(_MOST_PAIRS), strict=False)]
    return NoteFigures(
        len(notes),
        sum(map(count_tokens, notes)),
        len(set(grams)) / len(grams) if grams else None,
        fmean(len(a & b) / len(a | b) for a, b in pairs) if pairs else None,
    )
