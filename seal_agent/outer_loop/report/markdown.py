"""A report as Markdown. Charts are left out, as tables hold the same figures; texts are escaped or fenced."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seal_agent.outer_loop.report.blocks import (
    CaptionedText,
    Chart,
    Comparison,
    Document,
    Listing,
    Paragraph,
    Picture,
    Scatter,
    Table,
)

MAX_COMPARISONS = 6  # per section, not tuned; report.html has them all


def markdown(document: Document) -> str:
    """The whole document, with at most MAX_COMPARISONS comparisons in a section."""
    parts = [f"# {_escape(document.title)}"]
    for section in document.sections:
        comparisons = [block for block in section.blocks if isinstance(block, Comparison)]
        omitted = comparisons[MAX_COMPARISONS:]
        blocks = [b for b in section.blocks if b not in omitted and not isinstance(b, Chart | Scatter)]
        parts += [f"## {_escape(section.title)}", *map(_block, blocks)]
        if omitted:
            parts.append(f"{len(omitted)} more are in report.html.")
    return "\n\n".join(parts) + "\n"


def _block(block: Paragraph | Table | Comparison | Picture | Listing) -> str:
    match block:
        case Paragraph(text):
            return _escape(text)
        case Table(headings, rows):
            return _table(headings, rows)
        case Comparison(title, texts):
            return "\n\n".join([f"### {_escape(title)}", *map(_captioned, texts)])
        case Listing(text):
            return _fenced(text)
        case Picture(file, alt, caption):
            return f"{_escape(caption)}\n\n![{_escape(alt)}]({file})"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *[[_escape(cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _captioned(text: CaptionedText) -> str:
    return f"{_escape(text.caption)}\n\n{_fenced(text.text)}"


def _fenced(text: str) -> str:
    """The text in a fence longer than any run of backticks in it."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall("`+", text))])
    return f"{fence}text\n{text}\n{fence}"


def _escape(text: str) -> str:
    """The text on one line, with a backslash before every character that Markdown could read as markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|&~])", r"\\\1", " ".join(text.split()))
