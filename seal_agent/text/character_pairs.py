"""Pairs of neighbouring characters: what is compared where words are not separated, or carry their particles."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from seal_agent.text.phrases import phrases_of
from seal_agent.text.scripts import MARKS, WITHOUT_SPACES

PAIRED = (*WITHOUT_SPACES, "ko")
"""Languages whose words are better compared by pairs of characters."""
_LETTERS = "a-z\u00c0-\u024f"
_RUN = re.compile(rf"\d+|[{_LETTERS}]+|(?:[^\W\d_{_LETTERS}]|[{MARKS}])+")
_WHOLE = re.compile(rf"\d+|[{_LETTERS}]+")
_PARTICLE = re.compile(r"(?<=[가-힣]{2})(?:에서|에게|으로|까지|부터|이다|은|는|이|가|을|를|의|에|로|와|과|도|만)$")


def terms_of(text: str, language: str, ignored: Collection[str] = ()) -> frozenset[str]:
    """The pairs of characters of a text's phrases, and its numbers and Latin words, in lower case.

    Args:
        ignored: Words that are left out, such as those that only ask.
    """
    plain = _plain(text)
    for word in sorted(ignored, key=len, reverse=True):
        plain = plain.replace(word, " ")
    runs = [run for phrase in phrases_of(plain, language) for run in _RUN.findall(phrase)]
    return frozenset(term for run in runs for term in _terms(_PARTICLE.sub("", run)))


def share_of_terms(terms: Collection[str], text: str) -> float:
    """The share of `terms_of` another text that a text has, 0..1; 0 where there are none."""
    plain = _plain(text)
    whole = {*_WHOLE.findall(plain)}
    return sum(term in (whole if _WHOLE.fullmatch(term) else plain) for term in terms) / max(1, len(terms))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text.encode(errors="replace").decode()).casefold()


def _terms(run: str) -> list[str]:
    return [run] if len(run) == 1 or _WHOLE.fullmatch(run) else [run[i : i + 2] for i in range(len(run) - 1)]
