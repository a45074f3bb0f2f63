"""Tells text whose line breaks mean something, such as tables, lists and verse, from prose that is only wrapped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from seal_agent.text.lines import ends_a_sentence
from seal_agent.text.scripts import UNSPACED, word_count

LAYOUT_SHARE = 0.25  # not tuned: of a block's lines that must look laid out, for its line breaks to mean something
ROW_SHARE = 0.5  # not tuned: of a table's lines that look like rows, more than those that some double spaces make so
FULL_SHARE = 0.75  # not tuned: of the lines of wrapped prose that the next word would not have fitted on
MIN_WRAPPED = 30  # letters; prose is not wrapped to lines shorter than that
MAX_SHORT = 100  # letters; what is broken into longer lines is paragraphs
PARAGRAPH = re.compile(r"\n\s*\n")
"""What separates paragraphs."""
_BULLET = re.compile(r"\s*[-–—*+•◦▪●·>]\s+")
ITEM = re.compile(rf"{_BULLET.pattern}|\s*(?:\d{{1,3}}[.)]|\([a-z\d]{{1,2}}\)|[a-z]\))\s+")
"""What an item of a list begins with."""
_LIST = re.compile(  # a line with a colon, and items behind it, each with the lines that are indented below it
    rf"^(?P<line>[^\n]+[:：])[ \t]*\n(?:[ \t]*\n)?(?P<items>(?:{ITEM.pattern})[^\n]*"
    rf"(?:\n(?:(?:{ITEM.pattern})|[ \t]+(?=\S))[^\n]*)*)",
    re.MULTILINE,
)
_SENTENCE_END = re.compile(r"[.!?]\s+(?=[^\Wa-z])|[。！？]")
MAX_LEAD_IN_WORDS = 25  # not tuned; a longer one would be learnt more often than what it leads to
_ROW = re.compile(  # in columns, or of a file of comma-separated values
    r"\s*\S[^\t]*\t|.*(?:[^\s.!?] {2,}\S|\|)|(?!.*[,;]\s)(?:[^,;]*[,;]){2}"
)
_OPENING = "\"'“„«‹(‘「『¿¡"
_BREAK = re.compile(r"[^\S\n]*\n\s*")
_DIVIDED = re.compile(r"[-‐][^\S\n]*\n\s*")
_JOINT = re.compile(r"(?:und|oder|bzw|sowie|and|or|et|ou|y|e|o)\b")  # "Vor- und Nachteile"
_INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x2060, 0xFEFF))
_FULL_WIDTH = re.compile("[\u3000-\u303f\uff00-\uffef]")


def is_laid_out(lines: Sequence[str]) -> bool:
    """Whether lines are a table, a list or source code: many are indented, in columns, or items."""
    return _share(line[:1].isspace() or bool(ITEM.match(line) or _ROW.match(line)) for line in lines) >= LAYOUT_SHARE


def units_of(text: str) -> list[str]:
    """The parts of a text that no sentence goes beyond, in order: paragraphs, or lines where breaks mean something.

    Items of lists come without their bullets. A text of one line is its own only part.
    """
    if "\n" not in text:
        return [text]
    units = (unit for paragraph in PARAGRAPH.split(text) for unit in _units(paragraph))
    return [bare for unit in units if (bare := _BULLET.sub("", unit, count=1) if _BULLET.match(unit) else unit).strip()]


def with_lead_ins(text: str) -> str:
    """A text in which each item of a list begins with the line that leads to it: "We do not accept: coins".

    Lists behind a line without a colon stay as they are.
    """
    return _LIST.sub(_with_lead_in, text)


def split_lead_in(text: str) -> tuple[str, str]:
    """What stands before the last sentence of a text, and that sentence if it leads to a list: "We sell:"; else ""."""
    if not text.rstrip().endswith((":", "：")):
        return text, ""
    *_, begin = (0, *(end.end() for end in _SENTENCE_END.finditer(text)))
    lead_in = text[begin:].strip()
    return (text[:begin].rstrip(), lead_in) if word_count(lead_in) <= MAX_LEAD_IN_WORDS else (text, "")


def _with_lead_in(match: re.Match[str]) -> str:
    rest, lead_in = split_lead_in(match["line"])
    if not lead_in or ITEM.match(lead_in):
        return match[0]
    lines = [_item_behind(lead_in, line) for line in match["items"].split("\n")]
    return "\n".join([rest, "", *lines] if rest else lines)


def _item_behind(lead_in: str, line: str) -> str:
    if not ITEM.match(line):
        return line
    bullet = _BULLET.match(line)
    return f"- {lead_in} {line[bullet.end() :] if bullet else line.lstrip()}"


def in_one_line(text: str) -> str:
    """A text without line breaks: each becomes a space, or nothing within a word or a script without spaces."""
    return _BREAK.sub(_in_place_of, _DIVIDED.sub(_hyphen, text)) if "\n" in text else text


def is_divided(before: str, after: str) -> bool:
    """Whether a hyphen at the end of a line only divides a word: "engi-" and "neer", not "Vor-" and "und"."""
    return before.endswith(("-", "‐")) and before[-2:-1].islower() and after[:1].islower() and not _JOINT.match(after)


def without_invisible(text: str) -> str:
    """A text without soft hyphens, spaces of no width and byte order marks, which tear words."""
    return text.translate(_INVISIBLE)


def unwrapped(text: str) -> str:
    """A text in which prose goes on where lines broke it; paragraphs, lists, tables, source code and verse stay."""
    if "\n" not in text:
        return text
    for unit in units_of(text):
        text = text.replace(unit, in_one_line(unit))
    return text


def _hyphen(match: re.Match[str]) -> str:
    whole = match.string
    before, after = whole[max(0, match.start() - 1) : match.start() + 1], whole[match.end() : match.end() + 8]
    return "" if is_divided(before, after) else match[0]


def _in_place_of(line_break: re.Match[str]) -> str:
    whole = line_break.string
    beside = (whole[line_break.start() - 1 : line_break.start()], whole[line_break.end() : line_break.end() + 1])
    return "" if all(UNSPACED.match(char) or _FULL_WIDTH.match(char) for char in beside) else " "


def _units(paragraph: str) -> list[str]:
    lines = [line for line in paragraph.split("\n") if line.strip()]
    if len(lines) < 2:
        return lines
    bullets, rows = (_share(bool(pattern.match(line)) for line in lines) for pattern in (_BULLET, _ROW))
    if bullets >= LAYOUT_SHARE or rows > ROW_SHARE:
        return _joined(lines, _is_in_item)
    if _is_wrapped([line.strip() for line in lines]):  # a line of it may begin with a number, as in "3. Oktober"
        return [paragraph]
    if ITEM.match(lines[0]) or _share(_are_indented(lines)) >= LAYOUT_SHARE:
        return _joined(lines, _is_in_item)
    return [paragraph] if max(map(len, lines)) > MAX_SHORT else _joined(lines, _begins_small)


def _joined(lines: Sequence[str], goes_on: Callable[[str, str], bool]) -> list[str]:
    """Lines; one that goes on from what stands before it is joined to that."""
    units: list[str] = []
    for line in lines:
        if units and goes_on(units[-1], line):
            units[-1] += f"\n{line}"
        else:
            units.append(line)
    return units


def _is_in_item(before: str, line: str) -> bool:
    """Whether a line that is indented, or begins with a small letter, stands below the first line of an item."""
    goes_on = line[:1].isspace() or _begins_small(before, line)
    return goes_on and bool(ITEM.match(before)) and not (ITEM.match(line) or _ROW.match(line))


def _begins_small(_: str, line: str) -> bool:
    return line.lstrip().lstrip(_OPENING)[:1].islower()


def _are_indented(lines: Sequence[str]) -> Iterator[bool]:
    """For each line but the first, whether it stands further in than others."""
    indents = [len(line) - len(line.lstrip()) for line in lines]
    return (indent > min(indents) for indent in indents[1:])


def _is_wrapped(lines: Sequence[str]) -> bool:
    """Whether lines are as full as words allow. Where each ends a sentence, there is no telling."""
    width = max(map(len, lines))
    unspaced = any(map(UNSPACED.search, lines))
    breaks = [(line, after) for line, after in pairwise(lines) if not ends_a_sentence(line)]
    if not breaks or width < (MIN_WRAPPED // 2 if unspaced else MIN_WRAPPED):
        return False
    return _share(len(line) + 1 + _first_word(after) > width for line, after in breaks) >= FULL_SHARE


def _first_word(line: str) -> int:
    """The letters that have to fit on the line before for this one to begin there."""
    return 1 if UNSPACED.match(line) else len(line.split()[0])


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)
