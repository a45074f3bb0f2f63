"""What belongs to words of a sentence at their edges: partners of brackets and quotes, stops of abbreviations."""

from __future__ import annotations

import re

from seal_agent.text.scripts import UNSPACED

EDGES = " ,.;:()\"'。，、；：\ufffd"
"""Stand around words, and are mostly no part of them; the last stands for a part of a character."""
_PAIRS = (  # an opening sign, and one that closes it
    "() [] {} （） ［］ ｛｝ 「」 『』 【】 〈〉 《》 〔〕 〖〗 〘〙 ⟨⟩ ﴾﴿ "
    "“” „“ „” ”” 〝〞 〝〟 ‘’ ‚‘ ‚’ ’’ «» »« »» ‹› ›‹ \"\" '' ＂＂ ＇＇"
)
_CLOSES: dict[str, str] = {}
for _pair in _PAIRS.split():
    _CLOSES[_pair[0]] = _CLOSES.get(_pair[0], "") + _pair[1]
_CLOSING = frozenset("".join(_CLOSES.values()))
_APOSTROPHES, _MEASURES = "'’‘", "'\"′″"  # 6'2" and 6′2″ are feet and inches
_DOTTED = re.compile(r"(?<!\w)(?:[^\W\d_]{1,2}\.)+[^\W\d_]{1,2}$")  # "p.m", "D.C", "z.B"
_SHORTENED = re.compile(
    r"(?<!\w)(?:Jr|Sr|St|Ave|Blvd|Rd|Inc|Ltd|Co|Corp|Bros|etc|Jan|Feb|Apr|Aug|Sept?|Oct|Nov|Dec|Mio|Mrd|Str|usw|"
    r"млн|млрд|тыс|руб)$"
)
_OMITTED = re.compile(r"\d\ds?\b")  # '68, '90s
_NEXT = re.compile(r"[\"'”’»)\]]*\s+[\"'“‘«„(]*(?P<word>\w\w?)")


def with_edges(sentence: str, start: int, end: int) -> str:
    """The words between two places of a sentence, with what belongs to them beside, without what has no partner."""
    start, end = _widest(sentence, start, end)
    lone = lone_signs(sentence[start:end])
    if {0, end - start - 1}.isdisjoint(lone):
        return sentence[start:end]
    inside = stripped(sentence, start + (0 in lone), end - (end - start - 1 in lone), EDGES)
    return with_edges(sentence, *inside) if _widest(sentence, *inside) != (start, end) else sentence[start:end]


def _widest(sentence: str, start: int, end: int) -> tuple[int, int]:
    while (wider := _wider(sentence, start, end)) != (start, end):
        start, end = wider
    return start, end


def stripped(text: str, start: int, end: int, signs: str) -> tuple[int, int]:
    """The part of a text between two places, without some signs around it."""
    start = end - len(text[start:end].lstrip(signs))
    return start, start + len(text[start:end].rstrip(signs))


def _wider(sentence: str, start: int, end: int) -> tuple[int, int]:
    """The places one sign further out where that sign belongs to the words; else the same."""
    words, before, after = sentence[start:end], sentence[max(0, start - 1) : start], sentence[end : end + 1]
    further, lone = sentence[max(0, start - 2) : start - 1] if start > 1 else "", [words[i] for i in lone_signs(words)]
    free = not further or further.isspace() or further in _CLOSES
    if before == "." and free and words[:1].isalnum():  # ".5 percent", ".NET"
        return start - 1, end
    if before and before in _APOSTROPHES and free and _OMITTED.match(words):
        return start - 1, end
    if before in _CLOSES and lone and lone[0] in _CLOSES[before]:
        return start - 1, end
    place = end + 1 if lone and lone[-1] in "«‹" and after.isspace() else end  # « as in French »
    if lone and sentence[place : place + 1] in [*_CLOSES.get(lone[-1], "")] and not _is_within(sentence, place):
        return start, place + 1
    if after == "." and _is_abbreviated(sentence, end):
        return start, end + 1
    if after and after in _MEASURES and words[-1:].isdigit() and not _is_quoted(sentence[:end], after):
        return start, end + 1
    return start, end


def lone_signs(text: str) -> list[int]:
    """The places of brackets and quotes whose partner is not in a text. Apostrophes and measures are none."""
    opened: list[int] = []
    closed: list[int] = []
    for i, sign in enumerate(text):
        if (sign not in _CLOSES and sign not in _CLOSING) or _is_within(text, i):
            continue
        if sign in _APOSTROPHES and _OMITTED.match(text, i + 1):
            continue
        if opened and sign in _CLOSES[text[opened[-1]]]:
            opened.pop()
        elif sign in _CLOSES and (sign not in _CLOSING or sign in "«‹" or _opens(text, i)):
            opened.append(i)
        elif not (text[i - 1 : i].isalnum() and sign in _APOSTROPHES) and not (
            text[i - 1 : i].isdigit() and sign in _MEASURES
        ):
            closed.append(i)
    return sorted([*opened, *closed])


def _is_within(text: str, place: int) -> bool:
    """Whether a quote stands inside a word: it's, 6'2"."""
    beside = (text[place - 1 : place], text[place + 1 : place + 2])
    return text[place] in "'’\"" and all(char.isalnum() and not UNSPACED.match(char) for char in beside)


def _opens(text: str, place: int) -> bool:
    before, after = text[max(0, place - 1) : place], text[place + 1 : place + 2]
    return bool(after.strip()) and (not before.isalnum() or bool(UNSPACED.match(before)))


def _is_quoted(text: str, sign: str) -> bool:
    """Whether a quote is open at the end of a text that a sign would close."""
    return any(sign in _CLOSES.get(text[i], "") for i in lone_signs(text))


def _is_abbreviated(sentence: str, stop: int) -> bool:
    """Whether a full stop belongs to the word before it, whether or not it ends the sentence as well."""
    before, after = sentence[:stop], sentence[stop + 1 :]
    if after[:1].isalnum():
        return False
    if _DOTTED.search(before) or _SHORTENED.search(before) or re.match(r"[,;:]\s", after):
        return True
    word = following["word"] if (following := _NEXT.match(after)) else ""
    return (
        word[:1].islower() and not word[1:].isupper() and not "ა" <= word[0] <= "ჿ"
    )  # Georgian has small letters only
