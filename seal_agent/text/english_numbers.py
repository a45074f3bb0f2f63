"""Numbers that English writes in words beyond "twenty-two": zero, two and a half, three dozen, half a million."""

from __future__ import annotations

import re
from collections.abc import Callable

from text_to_num import alpha2digit

_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_ONES = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
_COUNT = rf"\d+|(?:(?:{_TENS})[- ])?(?:{_ONES})|{_TENS}"
_QUARTERS = {"a half": 0.5, "one half": 0.5, "a quarter": 0.25, "one quarter": 0.25, "three quarters": 0.75}
_HALF_A_DOZEN, _DOZEN = 6, 12

Replacement = str | Callable[[re.Match[str]], str]
_RULES: tuple[tuple[str, Replacement], ...] = (  # applied in this order
    (r"\bper cent\b", "percent"),
    (r"\b(\d+) ([13])[/⁄]([24])(?![\d/⁄])", lambda m: f"{int(m[1]) + int(m[2]) / int(m[3]):g}"),
    (
        rf"\b({_COUNT}) and ({'|'.join(_QUARTERS)})\b",
        lambda m: f"{_value(m[1]) + _QUARTERS[m[2].lower()]:g}",
    ),
    (r"\b(?:an|a|one) (hour|day|week|month|year) and a half\b", r"1.5 \1s"),
    (r"\bhalf a dozen\b", str(_HALF_A_DOZEN)),
    (rf"\b({_COUNT}) dozen\b", lambda m: str(_DOZEN * _value(m[1]))),
    (r"\ba dozen\b", str(_DOZEN)),
    (r"\bhalf an hour\b|\b(?:a )?half[- ]hour\b", "30 minutes"),
    (r"\b(?:a )?quarter of an hour\b", "15 minutes"),
    (r"\bhalf a (?=[mb]illion\b)", "0.5 "),
    (r"\ba quarter of a (?=[mb]illion\b)", "0.25 "),
    (r"\bzero\b|^\W*none\W*$", "0"),
    (r"\btwice\b", "two times"),
)
_COMPILED = [(re.compile(pattern, re.IGNORECASE), replacement) for pattern, replacement in _RULES]


def with_numbers_in_digits(text: str) -> str:
    """A text with such numbers in digits: "2.5" for "two and a half"; plain number words stay."""
    for pattern, replacement in _COMPILED:
        text = pattern.sub(replacement, text)
    return text


def _value(count: str) -> int:
    return int(alpha2digit(count.lower().replace("-", " "), "en", threshold=1))
