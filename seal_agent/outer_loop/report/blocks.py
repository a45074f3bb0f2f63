"""The parts of a report, whatever it is written in: paragraphs, tables, charts, texts side by side, pictures."""

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


Block = Paragraph | Table | Chart | Comparison | Picture


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    sections: tuple[Section, ...]
