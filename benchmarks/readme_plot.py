"""Which answers does the model give without the passage, at a glance? Draws the README's plot from answers.json.

The figure is written by hand as SVG: it needs no plotting package, is the same on every machine, and follows the
reader's light or dark scheme. A test holds the committed picture to the committed results.

    python benchmarks/readme_plot.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

RESULTS = Path(__file__).parent / "results" / "answers.json"
PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "results.svg"
ROWS = (
    ("base", "as the model says it", "base model"),
    ("passage, q and v (the paper's)", "as the model says it", "passage only, as the paper"),
    ("in context", "as the model says it", "passage in the prompt"),
    ("evidence, 9 openings, synonyms", "in a few words", "learnt, default recipe"),
)
PANELS = {"seal_novel": "Invented facts", "squad": "SQuAD"}
WIDTH, LABELS, PANEL, GAP, TOP, STEP = 800, 228, 236, 56, 76, 36
STYLE = """
text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1c2024; }
.small { font-size: 12px; fill: #50565e; } .title { font-weight: 600; } .learnt { font-weight: 600; }
.grid { stroke: #d5d3cb; } .interval { stroke: #50565e; stroke-width: 2; } .dot { fill: #50565e; }
.interval.learnt { stroke: #0b5c66; stroke-width: 3; } .dot.learnt { fill: #0b5c66; }
@media (prefers-color-scheme: dark) {
  text { fill: #ecebe6; } .small { fill: #b3b8be; } .grid { stroke: #3b4148; }
  .interval { stroke: #b3b8be; } .dot { fill: #b3b8be; }
  .interval.learnt { stroke: #7fd0d8; } .dot.learnt { fill: #7fd0d8; }
}
"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of a panel: % direct answers with the 95 % interval over passages."""

    label: str
    mean: float
    low: float
    high: float


def rows_of(results: dict[str, Any], domain: str) -> tuple[list[Shown], dict[str, int]]:
    """The rows of a domain, and its counts of passages and questions."""
    measured = {
        (row["recipe"], row["answers"]): row for row in results["summary"]["confirmed"] if row["domain"] == domain
    }
    rows = [measured[recipe, answers] for recipe, answers, _ in ROWS]
    shown = [
        Shown(label, 100 * row["direct"], *(100 * bound for bound in row["direct_interval"]))
        for row, (_, _, label) in zip(rows, ROWS, strict=True)
    ]
    return shown, {name: rows[0][name] for name in ("passages", "questions")}


def picture(results: dict[str, Any]) -> str:
    """The whole picture as SVG."""
    height = TOP + STEP * len(ROWS) + 52
    note = f"% direct answers with 95 % bootstrap intervals over passages, seed {results['config']['seed']}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{note}">',
        f"<style>{STYLE}</style>",
        *(_text(LABELS - 14, TOP + STEP * i + 5, label, _kind(label), "end") for i, (_, _, label) in enumerate(ROWS)),
    ]
    for i, (domain, title) in enumerate(PANELS.items()):
        shown, counts = rows_of(results, domain)
        parts += _panel(
            LABELS + i * (PANEL + GAP), title, "{passages} passages, {questions} questions".format(**counts), shown
        )
    parts += [_text(LABELS, height - 10, note, "small"), "</svg>"]
    return "\n".join(parts) + "\n"


def _panel(left: int, title: str, counts: str, rows: list[Shown]) -> Iterator[str]:
    bottom = TOP + STEP * len(rows) - 14
    yield _text(left, 22, title, "title")
    yield _text(left, 41, counts, "small")
    for percent in (0, 25, 50, 75, 100):
        x = left + PANEL * percent / 100
        yield f'<line class="grid" x1="{x:g}" x2="{x:g}" y1="{TOP - 20}" y2="{bottom}"/>'
        yield _text(x, bottom + 17, f"{percent} %" if percent == 100 else str(percent), "small", "middle")
    for i, row in enumerate(rows):
        yield from _interval(left, TOP + STEP * i, row)


def _interval(left: int, y: int, row: Shown) -> Iterator[str]:
    low, mean, high = (round(left + PANEL * value / 100, 1) for value in (row.low, row.mean, row.high))
    kind = _kind(row.label)
    yield f'<line class="interval {kind}" x1="{low:g}" x2="{high:g}" y1="{y}" y2="{y}"/>'
    yield f'<circle class="dot {kind}" cx="{mean:g}" cy="{y}" r="5"/>'
    yield _text(high + 10, y + 4, f"{row.mean:.1f}", f"small {kind}")


def _kind(label: str) -> str:
    return "learnt" if label.startswith("learnt") else ""


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def main() -> None:
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main()
