"""Chinese, Japanese and Korean numbers and dates, written in digits and as in English."""

from __future__ import annotations

import re

from seal_agent.text.inflection import ENGLISH_MONTHS

_DIGITS = {
    **{char: value for value, char in enumerate("零一二三四五六七八九")},
    "〇": 0,
    "两": 2,
    "兩": 2,
}
_TENS = {"十": 10, "百": 100, "千": 1000}
_SCALES = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "兆": 10**12}
_COUNTERS = "年月日号號时時点點分秒人个個名位只隻条條座本册冊匹头頭米里吨公千克元円岁歳层層階度次回倍世半"
_DATED = "年月日号號时時点點"  # behind other words, 一 is an article more often than a number
_NUMERAL = re.compile(
    rf"(?<![几幾数數])(?:[{''.join(_DIGITS)}{''.join(_TENS)}{''.join(_SCALES)}]{{2,}}"
    rf"|[二两兩三四五六七八九十](?=[{_COUNTERS}])|一(?=[{_DATED}])|^[{''.join(_DIGITS)}十]$)"
)
_SCALED = re.compile(rf"(?<![\d.])(\d+(?:\.\d+)?)\s?([{''.join(_SCALES)}])(?![{''.join(_TENS)}\d])")
_YEAR_DIGITS = 4
_KOREAN = ("한|하나", "두|둘", "세|셋", "네|넷", "다섯", "여섯", "일곱", "여덟", "아홉", "열")
_KOREAN_NUMBER = re.compile(
    rf"(?<![가-힣])({'|'.join(_KOREAN)})\s?(?=(?:명|개|사람|마리|권|살|시|번|대|장|병|잔|채|척|그루|배)(?![가-힣]{{3}}))"
)
_FULL_DATE = re.compile(r"(?:(?<!\d)(\d{4})\s?[年년]\s?)?(?<!\d)(\d{1,2})\s?[月월]\s?(\d{1,2})\s?[日号號일]")
_MONTH = re.compile(r"(?:(?<!\d)(\d{4})\s?[年년]\s?)?(?<![\d个個])(\d{1,2})\s?[月월]份?(?!\d)")
_YEAR = re.compile(r"(?<!\d)(\d{4})\s?[年년](?![前后後间間代])")
_MONTHS = ENGLISH_MONTHS.title().split()


def with_plain_numbers(text: str, language: str) -> str:
    """A text with its numbers in digits and its dates in English: 二十人 is 20人, 1867年5月9日 is 9 May 1867.

    Single numerals stay where nothing is counted, because names have them: 四川.
    """
    if language == "ko":
        text = _KOREAN_NUMBER.sub(_korean_digits, text)
    else:
        text = _NUMERAL.sub(_in_digits, text)
        text = _SCALED.sub(lambda match: f"{float(match[1]) * _SCALES[match[2]]:.0f}", text)
    text = _FULL_DATE.sub(lambda match: _english_date(match[0], match[1], match[2], match[3]), text)
    text = _MONTH.sub(lambda match: _english_date(match[0], match[1], match[2], ""), text)
    return _YEAR.sub(r" \1 ", text)


def numeral_value(numerals: str) -> int | None:
    """The value of Chinese numerals: 三百二十 is 320, 一八六七 is 1867; None for no number that is written so."""
    if all(char in _DIGITS for char in numerals):
        positional = len(numerals) in (1, _YEAR_DIGITS) or "〇" in numerals
        return int("".join(str(_DIGITS[char]) for char in numerals)) if positional else None
    total = group = 0
    digit: int | None = None
    for char in numerals:
        if char in _DIGITS:
            if digit:
                return None
            digit = _DIGITS[char]
        elif char in _TENS:
            group, digit = group + (1 if digit is None else digit) * _TENS[char], None
        else:
            total, group, digit = total + (group + (digit or 0)) * _SCALES[char], 0, None
    return total + group + (digit or 0) or None


def _in_digits(match: re.Match[str]) -> str:
    value = numeral_value(match[0])
    return match[0] if value is None else str(value)


def _korean_digits(match: re.Match[str]) -> str:
    return str(next(i for i, forms in enumerate(_KOREAN, 1) if match[1] in forms.split("|")))


def _english_date(original: str, year: str | None, month: str, day: str) -> str:
    if not 1 <= int(month) <= len(_MONTHS) or (day and not 1 <= int(day) <= 31):
        return original
    return f" {' '.join(filter(None, (day.lstrip('0'), _MONTHS[int(month) - 1], year)))} "
