"""Normalizes the spelling of dates, units, currencies and signs, so that graders can compare texts."""

from __future__ import annotations

import functools
import re
import unicodedata

from seal_agent.text.east_asian_numbers import with_plain_numbers
from seal_agent.text.english_numbers import with_numbers_in_digits
from seal_agent.text.inflection import ENGLISH_MONTHS, months_of, with_raised_apart
from seal_agent.text.languages import ENGLISH

_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_SLASHED = re.compile(r"\b(\d{1,2})([/.])(\d{1,2})\2(\d{4})\b")
_MONTHS = ENGLISH_MONTHS.title().split()
_WORLD_WAR = re.compile(r"\bWW\s?(?=II?\b|[12]\b)")
_NUMBERED_WAR = re.compile(r"\b(First|Second) World War\b")
_ROMAN = re.compile(r"(x{0,3})(ix|iv|v?i{0,3})")
_ROMAN_DIGITS = {"i": 1, "v": 5, "x": 10}
_MONEY = re.compile(r"([$£€¥])\s?(\d[\d,.]*\d|\d)(?:\s?(m|mn|bn|thousand|million|billion|trillion)\b)?", re.IGNORECASE)
_CURRENCY_BEHIND = re.compile(r"(?<=\d)\s?([£€¥])(?!\s?\d)")
_CURRENCIES = {"$": "dollars", "£": "pounds", "€": "euros", "¥": "yen"}
_SCALES = {"m": "million", "mn": "million", "bn": "billion"}
_BRITISH = re.compile(r"\b((?:centi|milli|kilo|micro|nano)?(?:met|lit))re(s?)\b", re.IGNORECASE)
_UNIT_NAMES = {
    "km/h": "kilometers per hour",
    "kmh": "kilometers per hour",
    "kph": "kilometers per hour",
    "mph": "miles per hour",
    "km2": "square kilometers",
    "m2": "square meters",
    "sq km": "square kilometers",
    "sq mi": "square miles",
    "sq ft": "square feet",
    "mm": "millimeters",
    "cm": "centimeters",
    "m": "meters",
    "km": "kilometers",
    "ft": "feet",
    "yd": "yards",
    "mi": "miles",
    "mg": "milligrams",
    "g": "grams",
    "kg": "kilograms",
    "lb": "pounds",
    "lbs": "pounds",
    "oz": "ounces",
    "ml": "milliliters",
    "l": "liters",
    "ms": "milliseconds",
    "kB": "kilobytes",
    "KB": "kilobytes",
    "MB": "megabytes",
    "GB": "gigabytes",
    "TB": "terabytes",
    "W": "watts",
    "kW": "kilowatts",
    "MW": "megawatts",
    "kWh": "kilowatt hours",
    "Hz": "hertz",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "h": "hours",
    "hr": "hours",
    "hrs": "hours",
    "min": "minutes",
    "mins": "minutes",
    "sec": "seconds",
    "secs": "seconds",
    "°C": "degrees Celsius",
    "°F": "degrees Fahrenheit",
}
_UNIT = re.compile(rf"(?<=\d)\s?({'|'.join(sorted(map(re.escape, _UNIT_NAMES), key=len, reverse=True))})\b(?!['’/])")
_MINUS = re.compile(r"(?<![\w)])(?<!\d\s)[-–−](?=\d)")
_QUARTERS = {"¼": ".25", "½": ".5", "¾": ".75"}
_MIXED = re.compile(r"(?<=\d)\s?([¼½¾])")
_SYNONYMS = ((re.compile(r"\b[Nn]obody\b"), "no one"), (re.compile(r"\bwith no\b"), "without"))
_KOREAN_COPULA = re.compile(r"(?<=[가-힣\d])(?:이?었습니다|였습니다|입니다|이에요|예요|이었다|였다|이다)(?![가-힣])")


@functools.lru_cache(maxsize=4096)
def normalize_spelling(text: str, language: str = ENGLISH) -> str:
    """Write dates, units, currencies, signs and numbers such as "two dozen" out in one form each.

    1862-05-09 becomes "9 May 1862" and 25/5/1862 "25 May 1862"; 5/9/1862 stays, because either number may be the month,
    and 5.9.1862 becomes "5 September 1862".
    "43 m" becomes "43 meters", "£2m" "2 million pounds", "-5" "minus 5".
    """
    text = unicodedata.normalize("NFKC", with_raised_apart(_MIXED.sub(lambda m: _QUARTERS[m[1]], text)))
    if language == "ko":
        text = _KOREAN_COPULA.sub("", text)
    if language in ("zh", "ja", "ko"):
        text = with_plain_numbers(text, language)
    text = _with_full_months(text, language)
    text = _ISO.sub(lambda m: _written_date(m[0], m[1], m[2], m[3]), text)
    text = _SLASHED.sub(_slashed_date, text)
    text = _WORLD_WAR.sub("World War ", text)
    text = _NUMBERED_WAR.sub(lambda m: f"World War {'I' if m[1] == 'First' else 'II'}", text)
    text = _MINUS.sub("minus ", text)
    text = _CURRENCY_BEHIND.sub(lambda m: f" {_CURRENCIES[m[1]]}", _MONEY.sub(_amount, text))
    text = _UNIT.sub(lambda m: f" {_UNIT_NAMES[m[1]]}", text)
    if language == ENGLISH:
        text = with_numbers_in_digits(text)
        for pattern, replacement in _SYNONYMS:
            text = pattern.sub(replacement, text)
    return _BRITISH.sub(r"\1er\2", text)


def numeral_value(word: str) -> int | None:
    """The value of a lower-case Roman numeral up to 39, or of digits; None for any other word."""
    if word.isdecimal():
        return int(word)
    if not word or not _ROMAN.fullmatch(word):
        return None
    digits = [_ROMAN_DIGITS[letter] for letter in word]
    return sum(-d if d < after else d for d, after in zip(digits, [*digits[1:], 0], strict=True))


def _written_date(original: str, year: str, month: str, day: str) -> str:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return original
    return f"{int(day)} {_MONTHS[int(month) - 1]} {year}"


def _slashed_date(match: re.Match[str]) -> str:
    first, second = int(match[1]), int(match[3])
    if match[2] == "." and second <= 12:  # wherever full stops are used, the day comes first
        return _written_date(match[0], match[4], match[3], match[1])
    if (first > 12) == (second > 12) and first != second:  # either number may be the month
        return match[0]
    day, month = (first, second) if first > 12 else (second, first)
    return _written_date(match[0], match[4], str(month), str(day))


def _amount(match: re.Match[str]) -> str:
    scale = match[3] and _SCALES.get(match[3].lower(), match[3])
    return " ".join(filter(None, (match[2], scale, _CURRENCIES[match[1]])))


def _with_full_months(text: str, language: str) -> str:
    """A text with abbreviated months in full, where a number stands beside them: "Dec. 25", "3 Sep 1990"; "in Aug."."""
    pattern = _abbreviated_months(language)
    return pattern.sub(lambda match: _full_month(match[match.lastindex or 0], language), text) if pattern else text


@functools.cache
def _abbreviated_months(language: str) -> re.Pattern[str] | None:
    """Beginnings of one month's name only; with a full stop, or capitalized and of three letters."""
    names = months_of(language)
    beginnings = {name[:length] for name in names for length in range(3, min(6, len(name)))} - {*names}
    clear = sorted(part for part in beginnings if sum(name.startswith(part) for name in names) == 1)
    if not clear:
        return None
    stopped = rf"(?:{'|'.join(f'[{part[0]}{part[0].upper()}]{part[1:]}' for part in clear)})(?=\.)"
    bare = rf"(?:{'|'.join(part.capitalize() for part in clear if len(part) == 3 or part == 'sept')})\b"
    short = rf"\b({stopped}|{bare})\.?"
    behind = r"(?:(?<=\d )|(?<=\d\. )|(?<=\d[snrt][tdh] )|(?<=\d de )|(?<=\d of ))"
    return re.compile(rf"{behind}{short}|{short}(?=,? ?(?:de )?\d)|(?<=\bin ){short}(?=\W*$)")


def _full_month(abbreviation: str, language: str) -> str:
    return next(name for name in months_of(language) if name.startswith(abbreviation.lower())).capitalize()
