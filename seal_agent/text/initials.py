"""Names and their initials: United Kingdom and UK, World Health Organization and WHO."""

from __future__ import annotations

import functools
import re

_SAME = (  # whose initials are too short to go by, or are not those of the name
    ("United States of America", "United States", "USA", "U.S.A.", "US", "U.S.", "America"),
    ("United Kingdom", "UK", "U.K.", "Great Britain", "Britain"),
    ("Soviet Union", "USSR", "U.S.S.R.", "Union of Soviet Socialist Republics"),
    ("European Union", "EU", "E.U."),
    ("United Nations", "UN", "U.N."),
    ("Los Angeles", "LA", "L.A."),
    ("Czech Republic", "Czechia"),
    ("Netherlands", "Holland"),
)
_NOT_BEFORE = r"(?<!South )(?<!North )(?<!Latin )(?<!Central )(?<!New )"
_INITIALS = re.compile(r"\b[A-Z]{3,6}\b|\b(?:[A-Z]\.){3,6}")
_CAPITALIZED = r"[A-Z][\w'’-]*\.?"
_LINK = r"(?:of|the|and|for|in|de|&)"


def with_names_of(question: str, gold: str, answer: str) -> str:
    """An answer with the names of a gold answer as that writes them: "United Kingdom" for "UK".

    Initials of the question stay: it may ask what they stand for.
    """
    for patterns in _same_patterns():
        wanted = next((match[0] for pattern in patterns if (match := pattern.search(gold))), None)
        if wanted and wanted not in answer and not any(pattern.search(question) for pattern in patterns):
            answer = next((p.sub(wanted, answer) for p in patterns if p.search(answer)), answer)
    for initials in _INITIALS.findall(gold):
        if not _stands_in(initials, f"{answer} {question}"):
            answer = _named_by(initials.replace(".", "")).sub(initials, answer)
    for initials in set(_INITIALS.findall(answer)):
        if not _stands_in(initials, f"{gold} {question}") and (
            name := _named_by(initials.replace(".", "")).search(gold)
        ):
            answer = re.sub(rf"(?<!\w){re.escape(initials)}(?!\w)", name[0], answer)
    return answer


@functools.cache
def _same_patterns() -> tuple[tuple[re.Pattern[str], ...], ...]:
    return tuple(
        tuple(re.compile(rf"{_NOT_BEFORE}(?<!\w){re.escape(name)}(?!\w)") for name in names) for names in _SAME
    )


@functools.lru_cache(maxsize=4096)
def _named_by(initials: str) -> re.Pattern[str]:
    """Capitalised words that begin with these letters, with small words between."""
    words = [_CAPITALIZED.replace("[A-Z]", letter, 1) for letter in initials]
    return re.compile(r"\b" + rf"(?: {_LINK})*[ -]".join(words) + r"(?<!\.)")


def _stands_in(initials: str, text: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(initials)}(?!\w)", text))
