"""Where English sentences end: at a stop that belongs to no abbreviation, before what may begin a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seal_agent.text.abbreviations import LEADING, NUMBERED, SHORTENED, TITLES
from seal_agent.text.languages import ENGLISH, function_words

CAMEL_CASE = r"[a-z]{1,3}[A-Z]"
"""How a name such as iPhone or eBay begins; it begins a sentence as it stands."""
_WINDOW = 32  # characters before a stop that may belong to its word, and after it to the words that say who spoke
_FOOTNOTES = r"(?:\[[^\[\]\n]{1,24}\]|[⁰¹²³⁴-⁹]){0,8}"
# What is bounded here, is so that a long run of one sign takes no quadratic time.
_BORDER = re.compile(rf"(?<=[^\s.!?(\[{{“‘])(?P<stop>[.!?]{{1,6}})(?P<closing>[\"”’'»)\]]{{0,4}}){_FOOTNOTES}\s+")
_WORD = re.compile(r"(?<![^\W_])(?:[^\W\d_]+(?:\.[^\W\d_]+)*|\d[\d.,]*)$")
_DOTTED = re.compile(r"(?:(?:Ph|[^\W\d_])\.)*(?:[A-Z]|(?<=\.)[^\W\d_]{1,2})")  # "J", "U.S", "p.m", "Ph.D"
_NEXT = re.compile(r"[\"“‘'(\[¡¿«]*(?P<begin>[$€£¥#]?\d[\d.,]*|[^\W\d_]+(?:['’][^\W\d_]+)?|[^\w\s])")
_CAMEL = re.compile(rf"[\"“(']?{CAMEL_CASE}")
_ROMAN = re.compile(r"[IVXLC]+\b")
_EMOJI = re.compile("[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")
_SPEAKER = re.compile(
    r"(?:[^\W_]+ ){1,3}(?:said|says|asked|asks|shouted|cried|called|replied|answered|whispered|exclaimed|wrote|added)\b"
)
# Function words that are names, months or parts of names too.
_AMBIGUOUS = "a an can do i may might must no so to up us very will"


def english_sentences(text: str) -> list[str]:
    """The sentences of one English paragraph or line, without the white space between them."""
    return [text[start:stop] for start, stop in _spans(text)]


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for border in _BORDER.finditer(text):
        if border.end() < len(text) and _ends(border, start):
            yield start, border.start() + len(border.group().rstrip())
            start = border.end()
    yield start, len(text)


def _ends(border: re.Match[str], start: int) -> bool:
    """Whether the sentence that begins at a place ends at a stop."""
    text, stop = border.string, border["stop"]
    if stop[-1] == "." and len(stop) > 1:  # an ellipsis
        return False
    after = _NEXT.match(text, border.end())
    if after is None:
        return False
    begin, small = after["begin"], text[start].islower()
    if not _may_begin(after, small):
        return False
    if stop[-1] != ".":
        return not (border["closing"] and _SPEAKER.match(text, border.end(), border.end() + _WINDOW))
    before = _WORD.search(text, max(start, border.start() - _WINDOW), border.start())
    return before is None or _is_end_of(before, begin, start)


def _may_begin(after: re.Match[str], small: bool) -> bool:
    """Whether a sentence may begin so; with a small letter only if the one before it does (`small`), or as iPhone."""
    begin = after["begin"]
    if begin[0].islower():
        return small or bool(_CAMEL.match(after.string, after.start()))
    return begin[0].isalnum() or len(begin) > 1 or bool(_EMOJI.match(begin))


def _is_end_of(word: re.Match[str], begin: str, start: int) -> bool:
    """Whether the full stop behind a word ends a sentence, where another may `begin`."""
    shortened = word.group()
    if shortened[0].isdigit():
        return word.start() > start or len(shortened) > 2  # else the number of an item
    last = shortened.casefold().rpartition(".")[2]
    if (begin[:1].isdigit() or _ROMAN.fullmatch(begin)) and (last in NUMBERED or len(last) == 1):
        return False
    written = shortened.capitalize() if shortened.isupper() or begin[0].islower() else shortened
    if shortened.casefold() in LEADING or written in TITLES:
        return False
    if shortened in SHORTENED or written in SHORTENED or _DOTTED.fullmatch(shortened):
        return _plainly_begins(begin)
    return True


def _plainly_begins(begin: str) -> bool:
    """Whether a word with a capital is one that no name begins with: "The", "He", "However"."""
    word = begin.casefold()
    return (
        begin[0].isupper() and word not in _AMBIGUOUS.split() and (word in function_words(ENGLISH) or word == "however")
    )
