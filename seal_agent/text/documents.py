"""Cuts long documents into passages."""

from __future__ import annotations

import re
from collections.abc import Callable

from seal_agent.errors import InputError

MAX_DOCUMENT_TOKENS = 131_072  # not tuned; training on more in one adapt call would take hours
_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+")
_SPACE = re.compile(r"\s+")


def split_document(text: str, count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Split a text into passages of at most `limit` tokens.

    Cuts fall between paragraphs where possible, else between sentences, else between words. Nothing is lost but the
    white space at the cuts. Raises InputError for an empty text or one over MAX_DOCUMENT_TOKENS.
    """
    if not text.strip():
        raise InputError("the context is empty; give a text to learn from")
    total = count_tokens(text)
    if total > MAX_DOCUMENT_TOKENS:
        raise InputError(
            f"the context has {total} tokens, more than the {MAX_DOCUMENT_TOKENS} that one call takes; "
            "split it and adapt to one part after the other"
        )
    return _split(text.strip(), count_tokens, limit, [(_PARAGRAPH, "\n\n"), (_SENTENCE, " "), (_SPACE, " ")])


def _split(
    text: str, count_tokens: Callable[[str], int], limit: int, separators: list[tuple[re.Pattern[str], str]]
) -> list[str]:
    """Split at the first separator, and with the finer ones where a part is still too long.

    Each separator comes with the string that joins two parts again.
    """
    if count_tokens(text) <= limit:
        return [text]
    if not separators:
        half = len(text) // 2
        return [*_split(text[:half], count_tokens, limit, []), *_split(text[half:], count_tokens, limit, [])]
    (separator, joiner), finer = separators[0], separators[1:]
    parts = [
        part
        for block in separator.split(text)
        if block.strip()
        for part in _split(block.strip(), count_tokens, limit, finer)
    ]
    return _join_neighbours(parts, joiner, count_tokens, limit)


def _join_neighbours(parts: list[str], joiner: str, count_tokens: Callable[[str], int], limit: int) -> list[str]:
    """Join consecutive parts while they fit.

    The sum of the parts' token counts, plus one for each joiner, is an upper bound for the joined text.
    """
    passages: list[str] = []
    used = 0
    for part in parts:
        size = count_tokens(part) + 1
        if passages and used + size <= limit:
            passages[-1] += joiner + part
            used += size
        else:
            passages.append(part)
            used = size
    return passages
