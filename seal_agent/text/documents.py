"""Long documents cut into passages that fit."""

from __future__ import annotations

import re
from collections.abc import Callable

from seal_agent.errors import InputError

MAX_DOCUMENT_TOKENS = 131_072  # beyond this one adapt call would train for hours; our choice


_PARAGRAPH = re.compile(r"\n\s*\n")


_SPACE = re.compile(r"\s+")


_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+")


def split_document(text: str, count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Passages of at most `limit` tokens, cut at paragraph borders, else at sentences, else at words.

    Nothing is lost but the white space at the cuts. Raises InputError for an empty or far too long text.
    """
    if not text.strip():
        raise InputError("the context is empty; give a text to learn from")
    total = count_tokens(text)
    if total > MAX_DOCUMENT_TOKENS:
        raise InputError(
            f"the context has {total} tokens, more than the {MAX_DOCUMENT_TOKENS} that one call takes; "
            "split it and adapt to one part after the other"
        )
    return _pieces(text.strip(), count_tokens, limit, [(_PARAGRAPH, "\n\n"), (_SENTENCE, " "), (_SPACE, " ")])


def _pieces(
    text: str, count: Callable[[str], int], limit: int, borders: list[tuple[re.Pattern[str], str]]
) -> list[str]:
    if count(text) <= limit:
        return [text]
    if not borders:
        half = len(text) // 2
        return [*_pieces(text[:half], count, limit, []), *_pieces(text[half:], count, limit, [])]
    (border, glue), finer = borders[0], borders[1:]
    parts = [
        part for whole in border.split(text) if whole.strip() for part in _pieces(whole.strip(), count, limit, finer)
    ]
    return _merged(parts, glue, count, limit)


def _merged(parts: list[str], glue: str, count: Callable[[str], int], limit: int) -> list[str]:
    """Neighbours joined while they fit; token counts of parts bound those of their join, plus one for the glue."""
    out: list[str] = []
    used = 0
    for part in parts:
        size = count(part) + 1
        if out and used + size <= limit:
            out[-1] += glue + part
            used += size
        else:
            out.append(part)
            used = size
    return out
