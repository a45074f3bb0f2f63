"""Splits a passage into sentences, and sentences into the phrases that a question could be about."""

from __future__ import annotations

import re

# These words end a phrase: articles, pronouns, prepositions, conjunctions, auxiliaries, and adverbs of degree.
_STOP_WORD_LIST = """
    a about above after again against all along also although am among an and any are around as at be because been
    before behind being below beside between beyond both but by can could despite did do does done down during each
    either every except few for from had has have having he her here hers him himself his how i if in into is it its
    itself just like many may me might mine more most much must my near neither no nor not of off on once one's only
    onto or other our out over own per quite rather same shall she should since so some still such than that the their
    them themselves then there these they this those though through throughout to too toward towards under until up
    upon us very via was we were what when where whether which while who whom whose why will with within without
    would yet you your
"""
_STOP_WORDS = frozenset(_STOP_WORD_LIST.split())
_SENTENCE_END = re.compile(
    r"""(?<=[\w)\]"”’%'][.!?])(?<!\b(?:St|Dr|Mr|Ms|No|Mt|Jr|Sr|vs)\.)(?<!\b[A-Z]\.)\s+(?=["“(']?[A-Z])"""
)
_NAME = re.compile(r"(?<![.!?:\s])\s+[\"“'(]?([A-Z][^\W\d_]+)")
_TOKEN = re.compile(r"\d[\d,.:/]*\d|\d|[^\W\d_]+(?:[-'’.][^\W_]+)*|[^\w\s]|_")


def sentences_of(text: str) -> list[str]:
    """Split a text after full stops, question marks and exclamation marks, but not after initials or "Dr."."""
    return [stripped for part in _SENTENCE_END.split(text) if (stripped := part.strip())]


def names_of(text: str) -> list[str]:
    """Capitalised words that do not begin a sentence."""
    return _NAME.findall(text)


def phrases_of(sentence: str) -> list[str]:
    """Runs of content words of a sentence, left to right, without duplicates: "forty grey storks", "1782".

    Function words and punctuation separate them, as in RAKE (Rose et al., 2010).
    """
    phrases: list[str] = []
    start = stop = -1
    for match in (*_TOKEN.finditer(sentence), None):
        if match and match.group()[0].isalnum() and match.group().casefold() not in _STOP_WORDS:
            start, stop = (match.start() if start < 0 else start), match.end()
        elif start >= 0:
            phrases.append(sentence[start:stop])
            start = -1
    return list(dict.fromkeys(phrases))
