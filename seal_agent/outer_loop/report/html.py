"""A report as one HTML page that loads nothing. page.html.jinja lays it out; here stand the positions in its charts."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from math import ceil, floor

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from seal_agent.outer_loop.report.blocks import (
    Chart,
    Comparison,
    Document,
    Dot,
    Listing,
    Paragraph,
    Picture,
    Scatter,
    Table,
)

DODGE = 7  # pixels between the curves at one x label, so that their whiskers do not overlap


def page(document: Document) -> str:
    """The whole page. Every text of the document is escaped."""
    return _template().render(document=document, frame=FRAME)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(plot=plot, scattered=scattered, px=_pixels, base64=_base64)
    environment.tests |= {
        "paragraph": lambda block: isinstance(block, Paragraph),
        "table": lambda block: isinstance(block, Table),
        "chart": lambda block: isinstance(block, Chart),
        "comparison": lambda block: isinstance(block, Comparison),
        "picture": lambda block: isinstance(block, Picture),
        "listing": lambda block: isinstance(block, Listing),
        "scatter": lambda block: isinstance(block, Scatter),
    }
    return environment.get_template("page.html.jinja")


def _pixels(position: float) -> str:
    return f"{position:.1f}"


def _base64(png: bytes) -> str:
    return b64encode(png).decode()


# ---------------------------------------------------------------- charts


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a chart and the edges of the area in which its curves are drawn, in pixels."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


FRAME = Frame(width=760, height=320, left=60, right=550, top=20, bottom=280)


@dataclass(frozen=True, slots=True)
class Tick:
    """A horizontal grid line."""

    y: float
    value: float


@dataclass(frozen=True, slots=True)
class XLabel:
    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A mean and the ends of its interval: `low`, `mean` and `high` are y positions in pixels."""

    x: float
    low: float
    mean: float
    high: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    markers: tuple[Marker, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart whose values have become positions in FRAME."""

    ticks: tuple[Tick, ...]
    x_labels: tuple[XLabel, ...]
    curves: tuple[Curve, ...]


def plot(chart: Chart) -> Plot:
    """The positions of everything in a chart. The curves stand side by side at each x label."""
    axes = _Axes(chart)
    curves = []
    for number, line in enumerate(chart.lines):
        shift = DODGE * (number - (len(chart.lines) - 1) / 2)
        markers = (
            Marker(axes.x(i) + shift, axes.y(point.low), axes.y(point.mean), axes.y(point.high), str(point))
            for i, point in enumerate(line.points)
            if point
        )
        curves.append(Curve(line.name, tuple(markers)))
    return Plot(
        tuple(Tick(axes.y(value), value) for value in axes.ticks()),
        tuple(XLabel(axes.x(i), text) for i, text in enumerate(chart.x_labels)),
        tuple(curves),
    )


class _Axes:
    """Turns values into positions. The y axis spans all intervals and 0, with a margin of 5 %."""

    def __init__(self, chart: Chart) -> None:
        ends = [end for line in chart.lines for point in line.points if point for end in (point.low, point.high)]
        low, high = min([0.0, *ends]), max([0.0, *ends])
        margin = 0.05 * (high - low) or 0.05
        self.low, self.high, self.count = low - margin, high + margin, len(chart.x_labels)

    def x(self, index: int) -> float:
        return FRAME.left + (FRAME.right - FRAME.left) * (index + 0.5) / max(self.count, 1)

    def y(self, value: float) -> float:
        return FRAME.top + (FRAME.bottom - FRAME.top) * (self.high - value) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round numbers, at most seven, 0 among them."""
        step = next((s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if (self.high - self.low) / s < 7), 1.0)
        return [i * step for i in range(ceil(self.low / step), floor(self.high / step) + 1)]


# ---------------------------------------------------------------- scatter charts

TICKS = 5  # of an axis


@dataclass(frozen=True, slots=True)
class PlacedDot:
    """A dot at its position in FRAME, in pixels."""

    x: float
    y: float
    dot: Dot


@dataclass(frozen=True, slots=True)
class ScatterPlot:
    """A scatter chart whose values have become positions in FRAME; `line` joins the marked dots from left to right."""

    x_ticks: tuple[XLabel, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[PlacedDot, ...]
    line: tuple[PlacedDot, ...]


def scattered(chart: Scatter) -> ScatterPlot:
    """The positions of everything in a scatter chart. Each axis spans its values with a margin of 8 %."""
    xs, ys = _span([dot.x for dot in chart.dots]), _span([dot.y for dot in chart.dots])

    def x(value: float) -> float:
        return FRAME.left + (FRAME.right - FRAME.left) * (value - xs[0]) / (xs[1] - xs[0])

    def y(value: float) -> float:
        return FRAME.top + (FRAME.bottom - FRAME.top) * (ys[1] - value) / (ys[1] - ys[0])

    dots = tuple(PlacedDot(x(dot.x), y(dot.y), dot) for dot in chart.dots)
    return ScatterPlot(
        tuple(XLabel(x(value), f"{value:.3g}") for value in _even(xs)),
        tuple(Tick(y(value), value) for value in _even(ys)),
        dots,
        tuple(sorted((placed for placed in dots if placed.dot.marked), key=lambda placed: placed.x)),
    )


def _span(values: list[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def _even(span: tuple[float, float]) -> list[float]:
    """TICKS values at even distances within a span."""
    return [span[0] + (span[1] - span[0]) * (i + 0.5) / TICKS for i in range(TICKS)]
