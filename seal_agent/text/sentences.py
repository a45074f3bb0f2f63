"""Splits text into sentences: English by its own rules, every other language by the `sentencex` library."""

from __future__ import annotations

import re

import sentencex

from seal_agent.text.abbreviations import is_shortened, leads
from seal_agent.text.english_sentences import CAMEL_CASE, english_sentences
from seal_agent.text.languages import ENGLISH, function_words, language_of, language_of_part
from seal_agent.text.layout import units_of
from seal_agent.text.scripts import MARKS

_COMPLETE = r"(?:(?<=\betc\.)|(?<=\busw\.)|(?<=\bт\. [дп]\.)|(?<=\bт\.[дп]\.))\s+(?=[^\W\d_a-zß-ÿа-яё])"
_TIBETAN = r"(?<=།)\s+(?=[ཀ-ྼ])"
_MISSED_END = re.compile(
    rf"{_COMPLETE}|{_TIBETAN}|(?<=[\w)][.!?])\s+(?={CAMEL_CASE})|(?<=[\w)][!?؟])\s+(?=[^\W\da-zß-ÿа-яё])"
)
_UNSPACED = "\u0e00-\u0e4f\u0e5a-\u0ecf\u0eda-\u0eff\u1780-\u17df"  # Thai, Lao and Khmer without their digits
_CLAUSE = re.compile(rf"(?<=[{_UNSPACED}])\s+(?=[{_UNSPACED}])|(?<=[។៕?!])\s+")
_CLAUSE_END = tuple("។៕?!")
_CLAUSE_LANGUAGES = ("th", "lo", "km")  # they mark no end of a sentence but a space
MIN_CLAUSE_LETTERS = 8  # a shorter piece is an item of a list rather than a clause
_ORDINAL = re.compile(r"(?:^|\s)\d{1,2}\.$")
_ORDINAL_LANGUAGES = "de da nb nn fi cs sk pl hu sl hr sr et lv is tr"
_INITIAL = re.compile(r"(?:^|[\s.(«„“])[^\W\d_]\.$")
_TAIL = 80  # characters of a sentence that tell whether it goes on
_STREET = re.compile(r"\w{2}str$")
_SPEECH_GOES_ON = re.compile(r"\s*[—–-]\s*[a-zß-ÿа-яё]")  # "— Ты придёшь? — спросил он."
_DATE_IN_NUMBERS = re.compile(r"(?<!\d)(?:\d{4}|\d{1,2})\.$")
_KOREAN_SPEECH = re.compile("(?:이?라|하)?(?:고|며|면서|는|던)")
_CLOSING = ("」", "』", "”")
SPEAKER = re.compile(r"と|って|[^。！？，,\s]{0,6}[说說问問答喊]")
"""What goes on behind what was said, and says who said it."""
_CLOSERS = "\"'”’»«›“」』》)）]】"
_OPENED = re.compile(r"(?:^|(?<=\s))[\"'’”»]|[“„«‹‘‚「『《(（\[【]")
_QUOTED = re.compile("(?<=.)«[^»]*»")
_ASKING = re.compile(r"[?？؟՞፧‽⁇⁈⁉][?？!！.…]*$")
_ASKING_GREEK = re.compile(r"[;\u037e?][?!.…]*$")
_OPENING = "\"'“„«‹(‘「『¿¡"


def sentences_of(text: str, language: str = "") -> list[str]:
    """The sentences of a text, without white space around them.

    Each paragraph is split as its own language is. No sentence goes beyond a paragraph; nor, where lines are items,
    rows, source code or verse, beyond a line.

    Args:
        text: One or several sentences.
        language: ISO 639 code of most of the text; "" to tell it from the text.
    """
    language = language or language_of(text)
    units = units_of(text)
    languages = [language_of_part(unit, language) if len(units) > 1 else language for unit in units]
    parts = (part for unit, own in zip(units, languages, strict=True) for part in _split(unit, own))
    return [stripped for part in parts if (stripped := part.strip())]


def is_question(text: str, language: str = ENGLISH) -> bool:
    """Whether a text ends with the question mark of its script; in Armenian, whether a word has one.

    A question that is quoted, or in brackets, at the end of a statement asks nothing: 'Her play is "Who Lit the Lamp?"'
    """
    whole = text.strip()
    if language == "hy" and "՞" in _QUOTED.sub("", whole):
        return True
    plain = whole.rstrip(f"{_CLOSERS} ")
    if not (_ASKING_GREEK if language == "el" else _ASKING).search(plain):
        return False
    opening = _OPENED.search(plain)
    if plain == whole or opening is None:
        return True
    return opening.start() == 0 and not {*_CLOSERS} & {*plain[1:]} - {*"'’"}


def _split(unit: str, language: str) -> list[str]:
    """The sentences of one paragraph or line."""
    if language == ENGLISH:
        return english_sentences(unit)
    whole = unit.encode(errors="replace").decode()  # sentencex takes no lone surrogates
    joined = _joined(list(sentencex.segment(language, whole)), language)
    parts = [part for sentence in joined for part in _MISSED_END.split(sentence)]
    return [clause for part in parts for clause in _clauses(part)] if language in _CLAUSE_LANGUAGES else parts


def _joined(pieces: list[str], language: str) -> list[str]:
    """The pieces of a splitter, joined where it took the full stop of an abbreviation or number for an end."""
    sentences: list[str] = []
    for piece in pieces:
        if sentences and not sentences[-1].endswith("\n") and _goes_on(sentences[-1], piece, language):
            sentences[-1] += piece
        else:
            sentences.append(piece)
    return sentences


def _goes_on(before: str, after: str, language: str) -> bool:
    """Whether a sentence goes on after a full stop."""
    before = before[-_TAIL:]
    end, word = before.rstrip(), after.lstrip().lstrip(_OPENING)
    if end.endswith(("?", "!", "…")) and _SPEECH_GOES_ON.match(after):
        return True
    if language == "ko" and _goes_on_in_korean(before, after):
        return True
    if end.endswith(_CLOSING) and SPEAKER.match(after):  # what was said, and who said it
        return True
    if before == end and end[-1:] in ".．" and after[:1].isalnum():  # "3.5", "U.S.A"
        return True
    if not end.endswith(".") or not word:
        return False
    if word[0].islower() and language != "ka" and not re.match(CAMEL_CASE, word):  # Georgian has small letters only
        return True
    last = end[:-1].rsplit(maxsplit=1)[-1].casefold().lstrip(_OPENING) if end[:-1].strip() else ""
    if leads(last, language) or (_STREET.search(last) and word[0].isdigit()):
        return True
    if re.split(r"\W", word)[0].casefold() in function_words(language):  # "12. Dann kamen mehr"
        return False
    if _ORDINAL.search(end):
        return language in _ORDINAL_LANGUAGES.split()
    return bool(_INITIAL.search(end)) or is_shortened(last, language)


def _goes_on_in_korean(before: str, after: str) -> bool:
    """Whether a full stop ends a number of a date, as in "1867. 5. 9.", or what somebody said, as in ".”라고"."""
    if _DATE_IN_NUMBERS.search(before.rstrip()):
        return True
    return before.endswith(('"', "'", "”", "’")) and bool(_KOREAN_SPEECH.match(after))


def _clauses(text: str) -> list[str]:
    """The clauses of a text whose script ends them with a space; short pieces go with the one before them.

    A space beside a number or a Latin word ends none, since that belongs to the words around it.
    """
    clauses: list[list[str]] = []
    letters = 0  # of the last clause
    for piece in _CLAUSE.split(text):
        own = sum(char not in MARKS for char in piece)
        if clauses and min(own, letters) < MIN_CLAUSE_LETTERS and not clauses[-1][-1].endswith(_CLAUSE_END):
            clauses[-1].append(piece)
            letters += own
        else:
            clauses.append([piece])
            letters = own
    return [" ".join(clause) for clause in clauses]
