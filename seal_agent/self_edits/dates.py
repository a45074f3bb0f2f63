"""The dates of each language that has question words, and the numbers of a sentence that count something."""

from __future__ import annotations

import functools
import re

from seal_agent.text.words import has_number

# What a number of four digits counts, if it is no year.
_UNITS = (
    r"%|[€$£¥°]|(?:kg|km|cm|mm|m|t|g|ft|lb|mi|percent|people|men|women|children|feet|inhabitants|soldiers"
    r"|euros?|dollars?|pounds?|years|Euro|Dollar|Pfund|Menschen|Einwohner|Meter|Kilometer|Tonnen|Jahre|Stück|Prozent"
    r"|livres|habitants|personnes|mètres|kilomètres|tonnes|ans|dólares|libras|habitantes|personas|metros|kilómetros"
    r"|toneladas|años|евро|руб\w*|доллар\w*|человек\w*|метр\w*|километр\w*|тонн\w*|лет|жител\w+)(?!\w)"
)
_YEAR = rf"(?<![\d$€£¥.,])(?<![$€£¥]\s)\b(?:1\d{{3}}|20\d\d)\b(?![.,]\d|[\s\u00a0\u202f-]*(?:{_UNITS}))"
_TIME = r"\b\d{1,2}:\d\d\b"


def _names(words: str, day: str, *, alone: str = "", after: str = "") -> str:
    """A pattern of names of months with the day beside them.

    Args:
        words: The names; in some sentences they may be other words.
        day: A pattern of the day and what joins it to the month.
        alone: Names that are nothing but months.
        after: Words behind which any of the names is a month.
    """
    every = "|".join([*words.split(), *alone.split()])
    beside = [rf"\b{day}(?:{every})\b", rf"\b(?:{every})\b\.?\s+\d{{1,4}}\b(?:st|nd|rd|th)?"]
    behind = [rf"(?<!\w)(?:{after})\s+(?:{every})\b"] if after else []
    return "|".join([*beside, *behind, *([rf"\b(?:{'|'.join(alone.split())})\b"] if alone else [])])


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_RUSSIAN_MONTHS = (
    r"(?:январ|феврал|апрел|июн|июл|сентябр|октябр|ноябр|декабр)(?:ь|я|ю|е|ём|ем)"
    r"|(?:март|август)(?:а|у|е|ом)?|ма(?:й|я|е|ю|ем)"
)
_NUMERALS = "一二三四五六七八九十"
DATES = {
    "en": _any(
        _names(
            "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec May March August",
            r"\d{1,2}(?:st|nd|rd|th)?\s+(?:of\s+)?",
            alone="January February April June July September October November December",
            after="[Ii]n|[Ss]ince|until|till|last|next|every|each|early|late|mid|during",
        ),
        _YEAR,
        _TIME,
    ),
    "de": _any(
        _names(
            "Mai August",
            r"\d{1,2}\.\s+",
            alone="Januar Februar März April Juni Juli September Oktober November Dezember",
            after="im|Im|Anfang|Mitte|Ende|seit|bis|vom|zum|jeden|letzten|nächsten",
        ),
        _YEAR,
        _TIME,
        r"\b\d{1,2}(?:\.\d\d)? Uhr\b",
    ),
    "fr": _any(
        _names(
            "",
            r"(?:\d{1,2}|1er)\s+",
            alone="janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        ),
        _YEAR,
        _TIME,
        r"\b\d{1,2} ?h(?:\d\d)?\b",
    ),
    "es": _any(
        _names(
            "",
            r"\d{1,2}\s+de\s+",
            alone="enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        ),
        _YEAR,
        _TIME,
    ),
    "ru": _any(rf"\b(?:\d{{1,2}}\s+)?(?:{_RUSSIAN_MONTHS})\b", _YEAR, _TIME),
    "zh": _any(
        rf"\d{{3,4}}年|[{_NUMERALS}〇零]{{4}}年|[\d{_NUMERALS}]+[月日]|\d{{1,2}}[:：]\d\d",
        # 一点 is "a little", and 三点 are three points too
        rf"(?:上午|早上|凌晨|中午|下午|傍晚|晚上)[\d{_NUMERALS}]+点|(?!一点(?![钟半整]))[\d{_NUMERALS}]+点(?=[钟半整前后到至开\d{_NUMERALS}，。、]|$)",
    ),
}
"""Years, months and times of day, with the day of a month."""
_UNCOUNTED = {  # ordinals, and "one" that counts nothing
    "en": re.compile(
        r"\b(?:no|any|every|each|some|this|that|which|the|only) one\b|\bone (?:another|of|day|by one)\b|\bone's\b"
        r"|\b\d+(?:st|nd|rd|th)s?\b"
        r"|\b(?:\w+-)?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|\w+teenth"
        r"|\w+tieth|hundredth|thousandth)\b",
        re.IGNORECASE,
    ),
    "de": re.compile(r"\b\d{1,3}\.(?=\s)|\b(?:zweit|dritt|viert|fünft|sechst|sieb(?:en)?t|acht|neunt|zehnt)e[nmrs]?\b"),
    "fr": re.compile(r"\b\d+(?:er|re|e|ème)\b|\b(?:second|seconde|\w+ième)s?\b"),
    "es": re.compile(r"\b\d+[.ºª]+|\b(?:segund|tercer|cuart|quint|sext|séptim|octav|noven|décim)[oa]?s?\b"),
    "ru": re.compile(
        r"\b\d+-[а-я]{1,3}\b|\b(?:втор|трет|четв[её]рт|пят|шест|седьм|восьм|девят|десят)(?:ый|ой|ий|ая|ое|ое|ого|ому|ом|ую|ья|ье|ьего)\b"
    ),
    "zh": re.compile(rf"第[\d{_NUMERALS}百]+"),
}


def counts_something(sentence: str, language: str) -> bool:
    """Whether a sentence has a number that answers "how many": neither a date nor an ordinal."""
    return has_number(_without_dates(sentence, language), language)


@functools.lru_cache(maxsize=4096)
def _without_dates(sentence: str, language: str) -> str:
    for pattern in (DATES.get(language), _UNCOUNTED.get(language)):
        sentence = pattern.sub(" ", sentence) if pattern else sentence
    return sentence
