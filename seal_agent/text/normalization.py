"""Normalizes the spelling of dates, units, currencies and signs, so that graders can compare texts."""

from __future__ import annotations

import functools
import re
import unicodedata

from seal_agent.text.inflection import ENGLISH_MONTHS

_ISO = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_SLASHED = re.compile(r"\b(\d{1,2})([/.])(\d{1,2})\2(\d{4})\b")
_MONTHS = ENGLISH_MONTHS.title().split()
_WORLD_WAR = re.compile(r"\bWW\s?(?=II?\b|[12]\b)")
_ROMAN = re.compile(r"(x{0,3})(ix|iv|v?i{0,3})")
_ROMAN_DIGITS = {"i": 1, "v": 5, "x": 10}
_MONEY = re.compile(r"([$£€¥])\s?(\d[\d,.]*\d|\d)(?:\s?(m|mn|bn|thousand|million|billion|trillion)\b)?", re.IGNORECASE)
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


@functools.lru_cache(maxsize=4096)
def normalize_spelling(text: str) -> str:
    """Write dates, units, currencies and signs out in one form each.

    1862-05-09 becomes "9 May 1862" and 25/5/1862 "25 May 1862"; 5/9/1862 stays, because either number may be the month,
    and 5.9.1862 becomes "5 September 1862".
    "43 m" becomes "43 meters", "£2m" "2 million pounds", "-5" "minus 5".
    """
    text = unicodedata.normalize("NFKC", text)
    text = _ISO.sub(lambda m: _written_date(m[0], m[1], m[2], m[3]), text)
    text = _SLASHED.sub(_slashed_date, text)
    text = _WORLD_WAR.sub("World War ", text)
    text = _MINUS.sub("minus ", text)
    text = _MONEY.sub(_amount, text)
    text = _UNIT.sub(lambda m: f" {_UNIT_NAMES[m[1]]}", text)
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
