"""Invented names and numbers, drawn from seeds: nobody can know them who has not seen the picture."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Literal, TypeVar

from lm_eval_tasks.seal_pictures.canvas import COLOURS

Item = TypeVar("Item")
Skill = Literal["read", "compare", "place", "colour"]
"""What a question takes: a text or number, the largest of several, where something stands, or its colour."""

_STEMS = (
    "Bram Corv Dund Elf Fenn Grist Holv Isk Jorr Kelm Lund Morv Narb Osk Pell Quar Rusk Selv Tarn Ulv Vorm Wexl Yarr "
    "Zeld Brenn Crith Drosk Emb Garv Hesk Jald Kurn Lomb Mirt Nesk Orv Prend Stroll Thask Umbr Vask Wolm Yest Zorn"
)
_ENDINGS = (
    "ody ard una ith ample ery ock inga ett ombe aldo ix urn esh ova ond ila azar ewin ust omar aby eck oden ulf astra "
    "ivo onk eru imble"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about a picture, and the answers that count, the preferred one first."""

    question: str
    golds: tuple[str, ...]
    skill: Skill


@dataclass(frozen=True, slots=True)
class Invention:
    """A picture as it is specified: a title, what is drawn, and what is asked."""

    title: str
    data: dict[str, Any]
    asked: tuple[Asked, ...]


def name_pool(seed: str) -> list[tuple[str, str]]:
    """All stems with all endings, shuffled; each name is used once."""
    pool = list(product(_STEMS.split(), _ENDINGS.split()))
    random.Random(seed).shuffle(pool)
    return pool


class Inventor:
    """Draws names and numbers for one picture: its names begin and end differently, and no number comes twice."""

    def __init__(self, seed: str, pool: list[tuple[str, str]]) -> None:
        self.random = random.Random(seed)
        self._pool = pool
        self._parts: set[str] = set()
        self._numbers: set[int] = set()

    def name(self) -> str:
        """A name that no other picture has."""
        index = next(i for i, parts in enumerate(self._pool) if not self._parts & {*parts, parts[0][0]})
        stem, ending = self._pool.pop(index)
        self._parts |= {stem, ending, stem[0]}
        return stem + ending

    def names(self, count: int) -> list[str]:
        return [self.name() for _ in range(count)]

    def number(self, low: int, high: int) -> int:
        """A number of this range, both ends included, that is no multiple of ten."""
        drawn = next(n for n in self._draws(low, high) if n not in self._numbers)
        self._numbers.add(drawn)
        return drawn

    def spread(self, count: int, low: int, high: int, gap: int) -> list[int]:
        """Such numbers that are at least `gap` apart, in the order in which they were drawn."""
        while True:
            drawn = [next(self._draws(low, high)) for _ in range(count)]
            ordered = sorted(drawn)
            if all(b - a >= gap for a, b in pairwise(ordered)) and not self._numbers & {*drawn}:
                self._numbers |= {*drawn}
                return drawn

    def price(self, low: int, high: int) -> str:
        """A price, "4.35"."""
        return f"{self.number(low * 100, high * 100) / 100:.2f}"

    def time(self, first: int, last: int) -> str:
        """A time between two hours, "07:43"."""
        minutes = self.number(first * 60, last * 60)
        return f"{minutes // 60:02d}:{minutes % 60:02d}"

    def colours(self, count: int, among: Sequence[str] = tuple(COLOURS)) -> list[str]:
        return self.random.sample(list(among), count)

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        return self.random.sample(list(items), len(items))

    def choice(self, items: Sequence[Item]) -> Item:
        return self.random.choice(list(items))

    def _draws(self, low: int, high: int) -> Iterator[int]:
        """Numbers that are no multiples of ten, which are guessed too easily."""
        while True:
            if (drawn := self.random.randint(low, high)) % 10:
                yield drawn


def read(question: str, *golds: str) -> Asked:
    """A text or a number is to be read."""
    return Asked(question, golds, "read")


def compare(question: str, *golds: str) -> Asked:
    """The largest or smallest of several is to be found."""
    return Asked(question, golds, "compare")


def place(question: str, *golds: str) -> Asked:
    """Something is to be found by where it stands or what it looks like."""
    return Asked(question, golds, "place")


def colour(question: str, *golds: str) -> Asked:
    """A colour is to be named."""
    return Asked(question, golds, "colour")
