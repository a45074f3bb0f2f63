"""Splits text into sentences: English by its own rules, every other language by the `sentencex` library."""

from __future__ import annotations

import re

import sentencex

from seal_agent.text.english_sentences import CAMEL_CASE, english_sentences
from seal_agent.text.languages import ENGLISH, function_words, language_of
from seal_agent.text.layout import units_of

_MISSED_END = re.compile(rf"(?<=[\w)][.!?])\s+(?={CAMEL_CASE})|(?<=[\w)][!?؟])\s+(?=[^\W\da-zß-ÿа-яё])")
_CLAUSE = re.compile(r"(?<=[\u0e00-\u0eff\u1780-\u17ff\d])\s+(?=[\u0e00-\u0eff\u1780-\u17ff])")
_CLAUSE_LANGUAGES = ("th", "lo", "km")  # they mark no end of a sentence but a space
MIN_CLAUSE_LETTERS = 8  # a shorter piece is an item of a list rather than a clause
_ORDINAL = re.compile(r"(?:^|\s)\d{1,2}\.$")
_ORDINAL_LANGUAGES = "de da nb nn fi cs sk pl hu sl hr sr et lv is tr"
_INITIAL = re.compile(r"(?:^|[\s.(«„“])[^\W\d_]\.$")
_ABBREVIATIONS = {  # those that sentencex lacks
    "fr": "m mm oct sept janv févr avr juil nov déc",
    "es": "sr sra srta dr dra ene feb abr jun jul ago sept oct nov dic",
    "de": "tägl stdl jährl bes evtl geb gest jan feb apr jun jul aug sept okt nov dez",
    "ru": "ул г гг в вв им янв февр апр авг сент окт нояб дек",
    "uk": "вул м р рр ст ім",
    "hi": "डॉ श्री कु पं",
    "bn": "ড ডা",
    "nl": "dhr mevr o.a d.w.z jan feb apr aug sept okt nov dec",
    "sv": "t.ex bl.a dvs",
    "pt": "sr sra dr dra jan fev abr ago set out nov dez",
    "it": "sig sig.ra dott prof",
}
_CLOSING = ("」", "』", "”")
SPEAKER = re.compile(r"と|って|[^。！？，,\s]{0,6}[说說问問答喊]")
"""What goes on behind what was said, and says who said it."""
_OPENING = "\"'“„«‹(‘「『¿¡"


def sentences_of(text: str, language: str = "") -> list[str]:
    """The sentences of a text, without white space around them.

    None goes beyond a paragraph; nor, where lines are items, rows, source code or verse, beyond a line.

    Args:
        text: One or several sentences.
        language: ISO 639 code; "" to tell it from the text.
    """
    language = language or language_of(text)
    parts = (part for unit in units_of(text) for part in _split(unit, language))
    return [stripped for part in parts if (stripped := part.strip())]


def is_question(text: str, language: str = ENGLISH) -> bool:
    """Whether a text ends with the question mark of its script."""
    return text.rstrip("\"'”’»」』)").endswith((";", "\u037e") if language == "el" else ("?", "？", "؟", "՞", "፧"))


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
    end, word = before.rstrip(), after.lstrip().lstrip(_OPENING)
    if end.endswith(_CLOSING) and SPEAKER.match(after):  # what was said, and who said it
        return True
    if before == end and end[-1:] in ".．" and after[:1].isalnum():  # "3.5", "U.S.A"
        return True
    if not end.endswith(".") or not word:
        return False
    if word[0].islower() and language != "ka" and not re.match(CAMEL_CASE, word):  # Georgian has small letters only
        return True
    if re.split(r"\W", word)[0].casefold() in function_words(language):  # "12. Dann kamen mehr"
        return False
    if _ORDINAL.search(end):
        return language in _ORDINAL_LANGUAGES.split()
    last = end[:-1].rsplit(maxsplit=1)[-1].casefold() if end[:-1].strip() else ""
    return bool(_INITIAL.search(end)) or last.lstrip(_OPENING) in _ABBREVIATIONS.get(language, "").split()


def _clauses(text: str) -> list[str]:
    """The clauses of a text whose script ends them with a space; short pieces go with the one before them."""
    clauses: list[str] = []
    for piece in _CLAUSE.split(text):
        if clauses and min(len(piece), len(clauses[-1])) < MIN_CLAUSE_LETTERS:
            clauses[-1] += f" {piece}"
        else:
            clauses.append(piece)
    return clauses
