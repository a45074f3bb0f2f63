"""What a report is made of, whatever it is written in: paragraphs, tables, charts, texts side by side, pictures."""

from __future__ import annotations

from dataclasses import dataclass

from seal_agent.outer_loop.report.interval import Estimate


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart; None where a place on the horizontal axis has no value."""

    name: str
    points: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over rounds with their intervals."""

    title: str
    places: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A text with a line above it that says what it is."""

    caption: str
    text: str
    good: bool


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Texts about one thing, to be compared."""

    title: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG; `file` is where it lies, from the report's folder, `alt` what it shows, for who cannot see it."""

    file: str
    alt: str
    caption: str
    png: bytes


Block = Paragraph | Table | Chart | SideBySide | Picture


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    sections: tuple[Section, ...]
