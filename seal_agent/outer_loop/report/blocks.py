"""The parts of a report, whatever it is written in: paragraphs, tables, charts, texts, pictures."""

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
    """One line of a chart, a point for each x label; None where there is no value."""

    name: str
    points: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Means over rounds with their intervals."""

    title: str
    x_labels: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class CaptionedText:
    """A self-edit's text below a line about it."""

    caption: str
    text: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Texts about one context, side by side."""

    title: str
    texts: tuple[CaptionedText, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG. `file` is its path from the report's folder, `alt` describes it to people who cannot see it."""

    file: str
    alt: str
    caption: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """A text whose line breaks and spaces count, such as a tree."""

    text: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a scatter chart, with its number in the table beside it and what it is."""

    x: float
    y: float
    number: str
    label: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points over two measures; the marked ones are joined by a line."""

    title: str
    x_title: str
    y_title: str
    dots: tuple[Dot, ...]


Block = Paragraph | Table | Chart | Comparison | Picture | Listing | Scatter


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    sections: tuple[Section, ...]
