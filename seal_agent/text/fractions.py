"""Fractions in English words, in digits and in percent: half, 1/2, 0.5, 50 %."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["words", "slash", "decimal", "percent"]
TOLERANCE = 0.005  # 66.7 % and 33 % stand for thirds

_COUNTS = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4}
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "tenth": 10}
_FRACTION = re.compile(
    rf"\b(?:(?P<count>{'|'.join(_COUNTS)})[ -])?(?P<part>half|halves|(?:third|quarter|fourth|fifth|tenth)s?)\b"
    r"|(?<![\w/.,])(?P<above>\d)\s?[/⁄]\s?(?P<below>\d{1,2})(?![\w/.,]\d|[\d/])"
    r"|(?<![\w.,])(?P<percent>\d{1,2}(?:\.\d+)?)\s?(?:%|per ?cent\b)"
    r"|(?<![\w.,])(?P<decimal>0?\.\d+)(?![\d.]|\s?%)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Share:
    """A fraction of a whole, and where a text has it."""

    start: int
    stop: int
    value: float
    kind: Kind


def with_fractions_of(gold: str, answer: str) -> str:
    """An answer with the fractions of a gold answer as that writes them: "25 %" for "a quarter"."""
    wanted = _fractions(gold)
    for share in reversed(_fractions(answer) if wanted else []):
        if any(other.kind == share.kind for other in wanted):
            continue
        if same := next((other for other in wanted if abs(other.value - share.value) < TOLERANCE), None):
            answer = f"{answer[: share.start]}{gold[same.start : same.stop]}{answer[share.stop :]}"
    return answer


def _fractions(text: str) -> list[Share]:
    return [share for match in _FRACTION.finditer(text) if (share := _share(match))]


def _share(match: re.Match[str]) -> Share | None:
    if part := match["part"]:
        name = "half" if part.lower() == "halves" else part.lower().removesuffix("s")
        count = match["count"]
        if count is None and name != "half":
            return None  # "third" alone is an ordinal
        return Share(*match.span(), _COUNTS[(count or "a").lower()] / _PARTS[name], "words")
    if match["above"]:
        return Share(*match.span(), int(match["above"]) / max(1, int(match["below"])), "slash")
    if match["percent"]:
        return Share(*match.span(), float(match["percent"]) / 100, "percent")
    return Share(*match.span(), float(match["decimal"]), "decimal")
