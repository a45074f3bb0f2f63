"""A report as one HTML page that needs nothing else: style, charts (SVG) and pictures stand in it, texts escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from math import ceil, floor

from seal_agent.outer_loop.report.blocks import (
    Block,
    Chart,
    Document,
    Exhibit,
    Line,
    Paragraph,
    Picture,
    Section,
    SideBySide,
    Table,
)
from seal_agent.outer_loop.report.interval import Estimate

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; }
th, td { border-bottom: 1px solid #d8dee4; padding: .3rem .7rem; text-align: left; vertical-align: top; }
svg, img { max-width: 100%; height: auto; }
details { margin: .6rem 0; } summary { cursor: pointer; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
.side div { border-left: 4px solid #b35900; padding-left: .7rem; } .side div.good { border-color: #1a7f37; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; background: #f6f8fa; padding: .6rem; }
figcaption { font-weight: 600; } figure { margin: 1rem 0; }
"""
COLOURS = ("#0969da", "#1a7f37", "#b35900", "#8250df", "#bf3989", "#57606a")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 320, 60, 210, 20, 40


def page(document: Document) -> str:
    """The whole page."""
    title, sections = escape(document.title), "\n".join(map(_section, document.sections))
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n{sections}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    return "\n".join([f"<h2>{escape(section.title)}</h2>", *map(_block, section.blocks)])


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return f"<p>{escape(text)}</p>"
        case Table(headings, rows):
            head = _row("th", headings)
            return f"<table>{head}{''.join(_row('td', row) for row in rows)}</table>"
        case Chart():
            return f"<figure><figcaption>{escape(block.title)}</figcaption>{svg(block)}</figure>"
        case SideBySide(title, exhibits):
            shown = "".join(map(_exhibit, exhibits))
            return f'<details><summary>{escape(title)}</summary><div class="side">{shown}</div></details>'
        case Picture(_, alt, caption, png):
            image = f'<img alt="{escape(alt)}" src="data:image/png;base64,{b64encode(png).decode()}">'
            return f"<figure><figcaption>{escape(caption)}</figcaption>{image}</figure>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _exhibit(exhibit: Exhibit) -> str:
    kind = ' class="good"' if exhibit.good else ""
    return f"<div{kind}><p>{escape(exhibit.caption)}</p><pre>{escape(exhibit.text)}</pre></div>"


# ---------------------------------------------------------------- charts


class _Axes:
    """From values to places in the picture."""

    def __init__(self, chart: Chart) -> None:
        ends = [end for line in chart.lines for point in line.points if point for end in (point.low, point.high)]
        low, high = min([0.0, *ends]), max([0.0, *ends])
        room = 0.05 * (high - low) or 0.05
        self.low, self.high, self.count = low - room, high + room, len(chart.places)

    def x(self, place: int) -> float:
        inside = WIDTH - LEFT - RIGHT
        return LEFT + inside * (place + 0.5) / max(self.count, 1)

    def y(self, value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers, at most seven, 0 among them."""
        step = next((s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (self.high - self.low) / s < 7), 1.0)
        return [i * step for i in range(ceil(self.low / step), floor(self.high / step) + 1)]


def svg(chart: Chart) -> str:
    """Lines with their intervals as whiskers, the zero line, and the lines' names."""
    axes = _Axes(chart)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        f'font-size="12" font-family="sans-serif"><title>{escape(chart.title)}</title>'
    ]
    for value in axes.ticks():
        y, ink = axes.y(value), "#57606a" if value == 0 else "#d8dee4"
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{ink}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:+.2f}</text>')
    for place, name in enumerate(chart.places):
        parts.append(f'<text x="{axes.x(place):.1f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(name)}</text>')
    for number, line in enumerate(chart.lines):
        parts.append(_line(axes, line, number, len(chart.lines)))
    return "".join([*parts, "</svg>"])


def _line(axes: _Axes, line: Line, number: int, of: int) -> str:
    """A polyline, a dot and a whisker for each point, beside those of the other lines, and the name at the right."""
    ink, shift = COLOURS[number % len(COLOURS)], 7 * (number - (of - 1) / 2)
    points = [(axes.x(place) + shift, point) for place, point in enumerate(line.points) if point]
    path = " ".join(f"{x:.1f},{axes.y(point.mean):.1f}" for x, point in points)
    label = TOP + 16 * (number + 1)
    return "".join(
        [
            f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="2"/>',
            *(_dot(axes, x, point, ink) for x, point in points),
            f'<rect x="{WIDTH - RIGHT + 12}" y="{label - 9}" width="10" height="10" fill="{ink}"/>',
            f'<text x="{WIDTH - RIGHT + 28}" y="{label}">{escape(line.name)}</text>',
        ]
    )


def _dot(axes: _Axes, x: float, point: Estimate, ink: str) -> str:
    low, mean, high = (axes.y(value) for value in (point.low, point.mean, point.high))
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{ink}"/>'
        f'<circle cx="{x:.1f}" cy="{mean:.1f}" r="4" fill="{ink}"><title>{escape(str(point))}</title></circle>'
    )
