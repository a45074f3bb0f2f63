"""Tables as sentences where they have named columns and rows, else as lines that stay together."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.data.documents.document import Block
from seal_agent.text.languages import ENGLISH, language_of

MAX_COLUMNS = 6  # not tuned; a sentence about more cells than that is none a person would say
MAX_CELL_WORDS = 25


def table_blocks(rows: Sequence[Sequence[str]], header: bool) -> list[Block]:
    """One sentence for each row, such as "For Orrin, population is 1,200 and mayor is Tamsin Vole."

    Args:
        rows: The cells' texts, row by row.
        header: Whether the first row names the columns.

    A table without names for its columns or different names for its rows stays as it is, a line for each row.
    """
    rows = [[" ".join(cell.split()) for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not rows:
        return []
    names, body = (rows[0], rows[1:]) if header else ([], rows)
    if body and _has_sentences(names, body):
        english = language_of(" ".join(cell for row in rows for cell in row)) == ENGLISH
        return [Block(_sentence(names, row, english)) for row in body if any(row[1:]) or not header]
    return [Block("\n".join(" | ".join(row) for row in rows), whole=True)]


def _has_sentences(names: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    width = len(names) or 2
    keys = [row[0] for row in body]
    return (
        2 <= width <= MAX_COLUMNS
        and all(len(row) == width for row in body)
        and all(names[1:])
        and all(any(map(str.isalnum, key)) for key in keys)
        and len({key.casefold() for key in keys}) == len(keys)
        and all(len(cell.split()) <= MAX_CELL_WORDS for row in body for cell in row)
    )


def _sentence(names: Sequence[str], row: Sequence[str], english: bool) -> str:
    key, *values = row
    if not names:
        return _ended(f"{key.rstrip(':')}: {values[0]}" if values[0] else key)  # a key alone heads what follows
    named = [(name, value) for name, value in zip(names[1:], values, strict=True) if value]
    if not english:
        return _ended(f"{key}: " + "; ".join(f"{name}: {value}" for name, value in named))
    said = [f"{_lowered(name)} is {value.rstrip('.')}" for name, value in named]
    return _ended(f"For {key}, " + " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said))


def _lowered(name: str) -> str:
    """A column's name inside a sentence: "Opening hours" as "opening hours", "VAT" as it stands."""
    first = name.split()[0]
    return name[0].lower() + name[1:] if first[1:].islower() else name


def _ended(text: str) -> str:
    return text if text[-1] in ".!?" else f"{text}."
