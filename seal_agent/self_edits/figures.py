"""Finds the numbers, quantities and times of day of a note that its passage lacks, however either writes them."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from seal_agent.text.clock_times import NOON, ClockTime, clock_times
from seal_agent.text.fractions import with_fractions_of
from seal_agent.text.inflection import ENGLISH_MONTHS, fold
from seal_agent.text.languages import ENGLISH
from seal_agent.text.normalization import normalize_spelling, numeral_value
from seal_agent.text.quantities import quantities
from seal_agent.text.scripts import UNSPACED
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import in_century, is_number, stop_words, words_of

MAX_SMALL_COUNT = 3  # in words: "two facts", "the second half" count nothing that the passage would state
_CENTURY = re.compile(
    r"\b(\d{1,2}|[ivx]+)(?:st|nd|rd|th|\.|[eè]me|e|º|-?й|-?го|-?м)?\s*"
    r"(?:centur(?:y|ies)|jahrhunderts?|si[eè]cles?|век\w*|столет\w*|eeuw|secolo|s[eé]culo|wieku?|století)\b"
    r"|\b(?:siglo|secolo|s[eé]culo)\s+(\d{1,2}|[ivx]+)\b|(\d{1,2})\s?(?:世纪|世紀|세기)",
    re.IGNORECASE,
)
_DECADE = re.compile(
    r"(?<!\d)(\d{3}0)(?:['’]?s|er(?:[\s-]?jahre)?|-?е|年代|년대)(?!\w)|(?:annees|anos|anni)\s+(\d{3}0)\b"
)
_SHORT_DATE = re.compile(r"(?<![\d.])(\d{1,2})\.\s?(\d{1,2})\.(?!\d)")
_HALF = re.compile(r"\b(?:half|halves|halft\w*|moitie|mitad|meta|metade|helft|половин\w*|halv\w*|polow\w*)\b|半")
_OF_THE_CALENDAR = frozenset(["day", "week", "month", "year", "decad", "centuri", "am", "pm"])
"""Units that a note may count from dates: "the four-day battle"."""
_FIRST_YEAR, _LAST_YEAR = 1000, 2100
_MONTHS = ENGLISH_MONTHS.title().split()


@dataclass(frozen=True, slots=True)
class Figures:
    """What a passage, its title and a note's question state in figures. Texts have their spelling normalized."""

    text: str
    language: str
    words: frozenset[str]
    times: tuple[ClockTime, ...]
    sentences: tuple[tuple[str, ...], ...]


@functools.lru_cache(maxsize=256)
def figures_of(text: str, language: str) -> Figures:
    """The figures of a text that notes may use."""
    plain = _normalized(text, language)
    sentences = tuple(words_of(sentence, language) for sentence in sentences_of(plain, language))
    words = frozenset((*words_of(plain, language), *words_of(text, language)))
    return Figures(plain, language, words, clock_times(plain, language), sentences)


def lacking(claim: str, known: Sequence[Figures], language: str) -> str:
    """The first time, number or quantity of a claim that none of these texts has; "" if there is none."""
    plain = _normalized(claim, language)
    times = [time for figures in known for time in figures.times]
    for time in clock_times(plain, language):
        if not _is_among(time, times) and any(time.minute % NOON == other.minute % NOON for other in times):
            return plain[time.start : time.stop]
    rest = without_known_centuries(_without_known(plain, times, known, language), known)
    words = words_of(rest, language)
    for number in filter(is_number, words):
        if number != "1" and not _is_known(number, claim, words, known):
            return number
    return next(
        (f"{number} {unit}" for number, unit in quantities(words, language) if _is_other(number, unit, words, known)),
        "",
    )


def _normalized(text: str, language: str) -> str:
    if language != ENGLISH:
        text = _SHORT_DATE.sub(_date, text)
    return normalize_spelling(text, language)


def _date(match: re.Match[str]) -> str:
    return f"{match[1]} {_MONTHS[int(match[2]) - 1]}" if 1 <= int(match[2]) <= len(_MONTHS) else match[0]


# ---------------------------------------------------------------- times of day


def _is_among(time: ClockTime, others: Sequence[ClockTime]) -> bool:
    """Whether a time may be one of the others; without a half of the day it may be in either."""
    return any(
        time.minute == other.minute or (time.minute % NOON == other.minute % NOON and "open" in (time.form, other.form))
        for other in others
    )


def _without_known(plain: str, times: Sequence[ClockTime], known: Sequence[Figures], language: str) -> str:
    """A claim without the times, fractions and centuries that are known, so that its other numbers are left."""
    for time in reversed(clock_times(plain, language)):
        if _is_among(time, times):
            plain = f"{plain[: time.start]} {plain[time.stop :]}"
    for figures in known if language == ENGLISH else ():
        plain = with_fractions_of(figures.text, plain)
    return plain


# ---------------------------------------------------------------- numbers


def without_known_centuries(claim: str, known: Sequence[Figures]) -> str:
    """A claim without the centuries that these texts name, or name a year of: "19. Jahrhundert", "XIXe siècle"."""
    return _CENTURY.sub(lambda match: " " if _is_known_century(_century(match), known) else match[0], claim)


def _is_known(number: str, claim: str, words: Sequence[str], known: Sequence[Figures]) -> bool:
    if any(number in figures.words for figures in known) or _is_small_count(number, claim):
        return True
    if number == "50" and "percent" in words:
        return any(_HALF.search(fold(figures.text)) for figures in known)
    if (number, "centuri") in itertools.pairwise(words) and number.isdigit():
        return _is_known_century(int(number), known)
    return number in _decades(fold(claim)) and any(year[:3] == number[:3] for year in _years(known))


def _is_small_count(number: str, claim: str) -> bool:
    small = number.isdigit() and int(number) <= MAX_SMALL_COUNT and not UNSPACED.search(claim)
    return small and number not in re.findall(r"\d+", claim)


def _century(match: re.Match[str]) -> int:
    return numeral_value(next(filter(None, match.groups())).lower()) or 0


def _is_known_century(century: int, known: Sequence[Figures]) -> bool:
    return any(str(century) in figures.words for figures in known) or any(
        in_century(year, century) for year in _years(known)
    )


def _years(known: Sequence[Figures]) -> Iterator[str]:
    return (word for figures in known for word in figures.words if is_number(word) and len(word) in (3, 4))


def _decades(folded: str) -> set[str]:
    return {match[1] or match[2] for match in _DECADE.finditer(folded)}


# ---------------------------------------------------------------- quantities


def _is_other(number: str, unit: str, words: Collection[str], known: Sequence[Figures]) -> bool:
    """Whether a number has another unit, or counts something else, in each sentence that has it.

    A year beside no unit is none, and a number with nothing behind it may have the unit of what stands before it.
    """
    sentences = [sentence for figures in known for sentence in figures.sentences if number in sentence]
    if (
        not sentences
        or unit in _OF_THE_CALENDAR
        or any(word[:3] == unit[:3] for sentence in sentences for word in sentence)
    ):  # "metres", "mètres"
        return False
    language = known[0].language
    return all(_counts_other(number, sentence, words, language) for sentence in sentences)


def _counts_other(number: str, sentence: Sequence[str], words: Collection[str], language: str) -> bool:
    if any(other == number for other, _ in quantities(sentence, language)):
        return True
    behind = [after for word, after in itertools.pairwise(sentence) if word == number]
    if _FIRST_YEAR <= float(number) < _LAST_YEAR and number.isdigit():
        return bool(behind)
    counted = [after for after in behind if after not in stop_words(language) and not is_number(after)]
    return bool(behind) and len(counted) == len(behind) and not any(after in words for after in counted)
