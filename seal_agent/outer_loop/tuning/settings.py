"""The settings of a recipe that tuning may change, the range of each, and the JSON schema of a change.

Grader, questions and the way in which questions are answered are not among them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from seal_agent.config import Recipe

MAX_CHANGES = 3  # settings that a child changes at most
JOINED = "+"  # between the names of a setting that holds several, such as formats
GRID = 9  # values of a range that are not whole numbers, from which the model chooses
_SHORTEST, _LONGEST = 0.1, 0.4  # of a random step, as a share of the range; not tuned

Value = str | int | float


@dataclass(frozen=True, slots=True)
class Change:
    """One setting, with its value in the parent and in the child."""

    setting: str
    old: Value
    new: Value

    def __str__(self) -> str:
        return f"{self.setting} {_plain(self.old)} → {_plain(self.new)}"


@dataclass(frozen=True, slots=True)
class Number:
    """A number between two bounds; where `log`, steps multiply instead of adding."""

    name: str
    low: float
    high: float
    whole: bool = True
    log: bool = False

    def stepped(self, value: Value, draw: random.Random) -> Value:
        """Another value, a tenth to four tenths of the range away."""
        place = min(1.0, max(0.0, self._place(float(value))))
        length = draw.choice((-1, 1)) * draw.uniform(_SHORTEST, _LONGEST)
        if not 0 <= place + length <= 1:
            length = -length
        found = self.at(place + length)
        if found != value:
            return found
        return found + 1 if float(found) < self.high else found - 1

    def at(self, place: float) -> int | float:
        """The value at a place of the range, 0 to 1."""
        place = min(1.0, max(0.0, place))
        value = self.low * (self.high / self.low) ** place if self.log else self.low + place * (self.high - self.low)
        return round(value) if self.whole else _rounded(value)

    def drawn(self, draw: random.Random) -> Value:
        """A value from anywhere in the range."""
        return self.at(draw.random())

    def schema(self) -> dict[str, Any]:
        if self.whole:
            return {"type": "integer", "minimum": int(self.low), "maximum": int(self.high)}
        return {"enum": [self.at(i / (GRID - 1)) for i in range(GRID)]}

    def range(self) -> str:
        return f"{self.low:g} to {self.high:g}"

    def _place(self, value: float) -> float:
        if self.log:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values."""

    name: str
    values: tuple[str, ...]

    def stepped(self, value: Value, draw: random.Random) -> Value:
        """Another of the values."""
        return draw.choice([other for other in self.values if other != value])

    def drawn(self, draw: random.Random) -> Value:
        """Any of the values."""
        return draw.choice(self.values)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.values)}

    def range(self) -> str:
        return ", ".join(self.values)


Setting = Number | Choice

SETTINGS: tuple[Setting, ...] = (
    Choice(
        "self_edit.formats",
        (
            "evidence",
            "implications",
            "implications-long",
            "rewrite",
            "self-qa",
            "sentence-qa",
            "sentences+sentence-qa",
            "evidence+implications",
            "evidence+rewrite",
            "passage",
        ),
    ),
    Number("self_edit.per_format", 1, 4),
    Number("self_edit.per_sentence", 1, 6),
    Number("self_edit.cues", 0, 8),
    Number("self_edit.synonyms", 0, 6),
    Number("self_edit.temperature", 0.0, 1.0, whole=False),
    Choice("self_edit.verify", ("strict", "lenient", "off")),
    Number("inner_loop.rank", 4, 64, log=True),
    Number("inner_loop.alpha", 8, 512, whole=False, log=True),
    Choice("inner_loop.targets", ("all", "default")),
    Number("inner_loop.epochs", 1, 15, log=True),
    Number("inner_loop.learning_rate", 1e-4, 5e-3, whole=False, log=True),
    Choice("inner_loop.schedule", ("linear", "cosine", "constant")),
    Number("inner_loop.batch_size", 1, 8, log=True),
    Number("inner_loop.null_space", 0.0, 0.9, whole=False),
    Number("inner_loop.shrink", 0.0, 4.0, whole=False),
    Number("inner_loop.openings", 0, 15),
    Choice("inner_loop.objective", ("sft", "distill", "both")),
    Number("inner_loop.anchors", 0, 16),
)
"""The ranges are those within which the recipes of the package lie, and somewhat beyond; set by hand."""

BY_NAME = {setting.name: setting for setting in SETTINGS}


def value_of(recipe: Recipe, setting: str) -> Value:
    """The value of a setting; several names are joined."""
    table, _, field = setting.partition(".")
    value = getattr(getattr(recipe, table), field)
    if isinstance(value, tuple):
        return JOINED.join(value)
    number = BY_NAME[setting]
    return float(value) if isinstance(number, Number) and not number.whole else value


def changed(recipe: Recipe, changes: Sequence[Change]) -> Recipe:
    """The recipe with the new values. Raises InputError where they do not go together."""
    tables: dict[str, dict[str, Any]] = {}
    for change in changes:
        table, _, field = change.setting.partition(".")
        several = isinstance(getattr(getattr(recipe, table), field), tuple)
        tables.setdefault(table, {})[field] = tuple(str(change.new).split(JOINED)) if several else change.new
    return replace(recipe, **{table: replace(getattr(recipe, table), **values) for table, values in tables.items()})


def differences(first: Recipe, second: Recipe) -> tuple[Change, ...]:
    """The changes that lead from the first recipe to the second, as far as tuning may make them."""
    pairs = ((setting.name, value_of(first, setting.name), value_of(second, setting.name)) for setting in SETTINGS)
    return tuple(Change(*pair) for pair in pairs if pair[1] != pair[2])


def change_schema() -> dict[str, Any]:
    """The JSON schema of what the model may propose: one to three settings, each with a value in its range."""
    options = [
        {
            "type": "object",
            "properties": {"setting": {"const": setting.name}, "value": setting.schema()},
            "required": ["setting", "value"],
            "additionalProperties": False,
        }
        for setting in SETTINGS
    ]
    changes = {"type": "array", "minItems": 1, "maxItems": MAX_CHANGES, "items": {"anyOf": options}}
    return {
        "type": "object",
        "properties": {"changes": changes},
        "required": ["changes"],
        "additionalProperties": False,
    }


def _rounded(value: float) -> float:
    """Two significant digits."""
    return float(f"{value:.2g}")


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"
