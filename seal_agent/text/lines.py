"""Reads model-written text line by line and strips list markers and markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.text.scripts import UNSPACED, word_count

_CAPITAL_OR_QUOTE = r"[^\W\d_a-zß-öø-ÿ]|[\"“„«¿¡「]"  # or a letter of a script without capitals
_NUMBER = r"\d{1,3}(?:\.\d{1,2})*"
_NUMBERED = re.compile(
    rf"\(?{_NUMBER}[.)](?:\s+|(?={_CAPITAL_OR_QUOTE})|$)|{_NUMBER}:(?:\s+|$)|\[\d{{1,3}}\]\s*"
    r"|\d{1,3}、\s*|（\d{1,3}）\s*|\(?[a-zA-Z]\)\s+|[a-z]\.\s+"
    r"|\(?(?:[ivx]+|[IVX]{2,4})[.)]\s+"
)
_BULLET = re.compile(rf"[-*•–—·▪◦>]+(?:\s+|(?={_CAPITAL_OR_QUOTE})|$)|#+\s*")
_ITEM = re.compile(r"[-*•–—·▪◦]\s")
_CAPITAL = re.compile(r"[A-Z]\.\s+")
_RULE = re.compile(r"[-*_=#~\s]+$")
_BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_ITALIC = re.compile(r"(?<![\w*])\*(?=[^\s*])([^*]*[^\s*])\*(?![\w*])")
_QUOTED = re.compile(r"[\"“]([^\"“”]*)[\"”]$")
_END = re.compile(r"[.!?…。！？।॥؟۔։።။།\u037e][\"'”’»」』)\]*]*$")


@dataclass(frozen=True, slots=True)
class Line:
    """One cleaned line and its layout."""

    text: str
    numbered: bool = False  # an item of a numbered or lettered list
    item: bool = False  # an item of any list
    bold: bool = False  # a whole line in bold, or a markdown heading
    after_blank: bool = False  # follows an empty line
    option: str = ""  # "B" if the line began with "B) ", as an option of a multiple-choice question does


def read_lines(text: str) -> list[Line]:
    """The cleaned lines of a text; empty ones are left out."""
    raw_lines = [raw.strip() for raw in text.splitlines()]
    lettered = {"A.", "B."} <= {raw[:2] for raw in raw_lines} or any(raw.startswith("II.") for raw in raw_lines)
    lines, after_blank = [], False
    for raw in raw_lines:
        if line := _parse_line(raw, lettered, after_blank):
            lines.append(line)
        after_blank = not raw
    return lines


def ends_a_sentence(text: str) -> bool:
    """Whether a text ends with sentence punctuation; closing quotes and brackets may follow it."""
    return bool(_END.search(text))


def normalize(text: str) -> str:
    """The words of a text in lower case, separated by single spaces, to compare texts regardless of formatting."""
    return " ".join(re.findall(r"\w+(?:[.,]\d+)*", text.casefold()))


def has_two_words(text: str) -> bool:
    """Whether a text has two words or more; an estimate where the script has no spaces."""
    return " " in normalize(text) or (bool(UNSPACED.search(text)) and word_count(text) >= 2)


def strip_markup(text: str) -> str:
    """A text without list markers, emphasis and enclosing quotes; "" if nothing is left."""
    line = _parse_line(text.strip(), lettered=False, after_blank=False)
    return line.text if line else ""


def _parse_line(raw: str, lettered: bool, after_blank: bool) -> Line | None:
    """A stripped line without its markup, or None if nothing is left. `lettered`: "A." is a list marker here."""
    if not raw or _RULE.match(raw):
        return None
    option = re.match(r"\(?([A-H])[.)]\s+(?![A-Z]\.)", raw)
    text, numbered = _strip_markers(raw, lettered)
    bold = raw.startswith("#") or bool(re.fullmatch(r"\*\*[^*]+\*\*:?", text) or re.fullmatch(r"\*\*[^*]+\*\*:?", raw))
    plain = _ITALIC.sub(r"\1", _BOLD.sub(r"\1", text)).replace("**", "").strip()
    text, numbered_inside = _strip_markers(plain, lettered)
    text = _QUOTED.sub(r"\1", text) if _QUOTED.match(text) else text
    if not text:
        return None
    numbered = numbered or numbered_inside
    item = numbered or bool(_ITEM.match(raw))
    return Line(text, numbered, item, bold, after_blank, option.group(1) if option else "")


def _strip_markers(text: str, lettered: bool) -> tuple[str, bool]:
    """The text behind its list markers (there may be several), and whether one was a number or letter."""
    patterns: Sequence[re.Pattern[str]] = (_NUMBERED, _CAPITAL) if lettered else (_NUMBERED,)
    numbered = False
    while True:
        marker = next((m for p in (*patterns, _BULLET) if (m := p.match(text)) and m.end()), None)
        if marker is None:
            return text, numbered
        numbered = numbered or marker.re is not _BULLET
        text = text[marker.end() :].strip()
