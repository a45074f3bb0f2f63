"""Lines of model-written text without list markers and markup."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_NUMBER = r"\d{1,3}(?:\.\d{1,2})*"
_NUMBERED = re.compile(
    rf"\(?{_NUMBER}[.)](?:\s+|(?=[A-Z\"“])|$)|{_NUMBER}:(?:\s+|$)|\[\d{{1,3}}\]\s*|\(?[a-zA-Z]\)\s+|[a-z]\.\s+"
    r"|\(?(?:[ivx]+|[IVX]{2,4})[.)]\s+"
)
_BULLET = re.compile(r"[-*•–—·▪◦>]+(?:\s+|(?=[A-Z\"“])|$)|#+\s*")
_CAPITAL = re.compile(r"[A-Z]\.\s+")
_RULE = re.compile(r"[-*_=#~\s]+$")
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_ITALIC = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]*[^\s*])\*(?![\w*])")
_QUOTED = re.compile(r"[\"“]([^\"“”]*)[\"”]$")
_END = re.compile(r"[.!?…。！？][\"'”’)\]*]*$")


@dataclass(frozen=True, slots=True)
class Line:
    """One cleaned line, and what its layout said."""

    text: str
    numbered: bool = False  # it was an item of a numbered or lettered list
    bold: bool = False  # it stood whole in bold, or as a markdown heading
    gap: bool = False  # an empty line stood before it
    option: str = ""  # "B" where it began as "B) ", as a choice of a multiple-choice question does


def read_lines(text: str) -> list[Line]:
    """The lines that hold any text, cleaned."""
    raws = [raw.strip() for raw in text.splitlines()]
    lettered = {"A.", "B."} <= {raw[:2] for raw in raws} or any(raw.startswith("II.") for raw in raws)
    lines, gap = [], False
    for raw in raws:
        if line := _read(raw, lettered, gap):
            lines.append(line)
        gap = not raw
    return lines


def ends_a_sentence(text: str) -> bool:
    """Whether a text ends as a sentence does, closing quotes and brackets aside."""
    return bool(_END.search(text))


def words(text: str) -> str:
    """A text's words in lower case, one space between: for comparing what is said, not how it is set."""
    return " ".join(re.findall(r"\w+(?:[.,]\d+)*", text.casefold()))


def clean(text: str) -> str:
    """A text without list markers, emphasis and the quotes around the whole of it; "" if nothing is left."""
    line = _read(text.strip(), False, False)
    return line.text if line else ""


def _read(raw: str, lettered: bool, gap: bool) -> Line | None:
    if not raw or _RULE.match(raw):
        return None
    option = re.match(r"\(?([A-H])[.)]\s+(?![A-Z]\.)", raw)
    text, numbered = _unmarked(raw, lettered)
    bold = raw.startswith("#") or bool(re.fullmatch(r"\*\*[^*]+\*\*:?", text) or re.fullmatch(r"\*\*[^*]+\*\*:?", raw))
    text, again = _unmarked(_ITALIC.sub(r"\1", _BOLD.sub(r"\1", text)).replace("**", "").strip(), lettered)
    text = _QUOTED.sub(r"\1", text) if _QUOTED.match(text) else text
    if not text:
        return None
    return Line(text, numbered or again, bold, gap, option.group(1) if option else "")


def _unmarked(text: str, lettered: bool) -> tuple[str, bool]:
    """The text behind its list markers, of which there may be several, and whether one was a number or letter."""
    patterns: Sequence[re.Pattern[str]] = (_NUMBERED, _CAPITAL) if lettered else (_NUMBERED,)
    numbered = False
    while True:
        found = next((m for p in (*patterns, _BULLET) if (m := p.match(text)) and m.end()), None)
        if found is None:
            return text, numbered
        numbered = numbered or found.re is not _BULLET
        text = text[found.end() :].strip()
