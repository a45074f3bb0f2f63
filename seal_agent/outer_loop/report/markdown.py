"""A report as Markdown. Charts are left out, for the tables beside them say the same; no text is taken for markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seal_agent.outer_loop.report.blocks import Chart, Document, Exhibit, Paragraph, Picture, SideBySide, Table

EXHIBITS = 6  # our choice: comparisons of one section; report.html has them all


def markdown(document: Document) -> str:
    """The whole document; of long rows of comparisons only the first."""
    parts = [f"# {_plain(document.title)}"]
    for section in document.sections:
        compared = [block for block in section.blocks if isinstance(block, SideBySide)]
        shown = [b for b in section.blocks if b not in compared[EXHIBITS:] and not isinstance(b, Chart)]
        parts += [f"## {_plain(section.title)}", *map(_block, shown)]
        if len(compared) > EXHIBITS:
            parts.append(f"{len(compared) - EXHIBITS} more are in report.html.")
    return "\n\n".join(parts) + "\n"


def _block(block: Paragraph | Table | SideBySide | Picture) -> str:
    match block:
        case Paragraph(text):
            return _plain(text)
        case Table(headings, rows):
            return _table(headings, rows)
        case SideBySide(title, exhibits):
            return "\n\n".join([f"### {_plain(title)}", *map(_exhibit, exhibits)])
        case Picture(file, alt, caption):
            return f"{_plain(caption)}\n\n![{_plain(alt)}]({file})"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    every = [headings, ["---"] * len(headings), *[[_plain(cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in every)


def _exhibit(exhibit: Exhibit) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", exhibit.text)), 3)
    return f"{_plain(exhibit.caption)}\n\n{fence}text\n{exhibit.text}\n{fence}"


def _plain(text: str) -> str:
    """One line in which no character is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|&~])", r"\\\1", " ".join(text.split()))
