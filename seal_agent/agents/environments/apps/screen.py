"""What an app shows: fields with the values they take, things to open, buttons to press."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_MANY = 20  # a range wider than this starts at a multiple of _STEP, as people set such things
_STEP = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """The values that a field takes: one of the options, a whole number from lowest to highest, or else any text."""

    options: tuple[str, ...] = ()
    lowest: int = 0
    highest: int = 0  # as lowest: not a number

    @property
    def hint(self) -> str:
        """What stands behind a field's value, in brackets; "" for free text."""
        if self.options:
            return f" ({' or '.join(self.options) if len(self.options) == 2 else ', '.join(self.options)})"
        return f" ({self.lowest} to {self.highest})" if self.highest > self.lowest else ""

    @property
    def first(self) -> str:
        """The first option or the lowest number; "" for free text."""
        if self.options:
            return self.options[0]
        return str(self.lowest) if self.highest > self.lowest else ""

    def accepted(self, value: str) -> str | None:
        """The value as the field keeps it; None if the field does not take it."""
        value = value.strip()
        if self.options:
            return named(value, self.options)
        if self.highest > self.lowest:
            number = int(value) if value.isascii() and value.isdigit() and len(value) < 5 else -1
            return str(number) if self.lowest <= number <= self.highest else None
        return value or None

    def others(self, value: str) -> Sequence[str] | None:
        """The values that a field with this one may be set to; None for free text."""
        numbers = [str(number) for number in range(self.lowest, self.highest + 1)] if self.highest > self.lowest else []
        known = self.options or numbers
        return [each for each in known if each != value] if known else None

    def draw(self, rng: random.Random, avoid: Sequence[str] = ()) -> str:
        """A value to start with, other than those to avoid; "" for free text."""
        step = _STEP if self.highest - self.lowest > _MANY else 1
        numbers: Sequence[int] = range(self.lowest, self.highest + 1, step) if self.highest > self.lowest else ()
        values: Sequence[str] = self.options or [str(number) for number in numbers] or [""]
        return rng.choice([value for value in values if value not in avoid] or values)


TEXT = Kind()


def kind_of(row: object) -> Kind:
    """The kind that a data file describes: a list of options, {"from", "to"}, or "text"."""
    if isinstance(row, list):
        return Kind(options=tuple(row))
    return Kind(lowest=row["from"], highest=row["to"]) if isinstance(row, Mapping) else TEXT


@dataclass(frozen=True, slots=True)
class Field:
    """A value that can be set."""

    name: str
    value: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Screen:
    """All that an agent sees and can act on at one moment."""

    title: str
    lines: tuple[str, ...] = ()  # text to read only
    fields: tuple[Field, ...] = ()
    links: tuple[str, ...] = ()  # what can be opened
    buttons: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        fields = [f"{field.name}: {field.value or '(empty)'}{field.kind.hint}" for field in self.fields]
        links = [f"Open: {', '.join(self.links)}"] if self.links else []
        buttons = [f"Press: {', '.join(self.buttons)}"] if self.buttons else []
        return "\n".join([self.title, *self.lines, *fields, *links, *buttons])

    def field(self, name: str) -> Field | None:
        """The field of this name, in whatever case it is written."""
        known = {field.name: field for field in self.fields}
        found = named(name, known)
        return known[found] if found is not None else None


def named(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is written like `name`, whatever the case; None if there is none."""
    wanted = name.strip().casefold()
    return next((known for known in names if known.casefold() == wanted), None)
