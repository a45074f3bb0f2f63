"""Numbers with their units, as `words_of` gives both."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

from seal_agent.text.words import is_number, words_of

_UNITS = (
    "millimeters centimeters meters kilometers feet inches yards miles acres hectares milligrams grams kilograms "
    "tonnes tons pounds ounces milliliters liters gallons milliseconds seconds minutes hours days weeks months years "
    "decades centuries percent degrees celsius fahrenheit kelvin dollars cents euros yen square cubic am pm bytes "
    "kilobytes megabytes gigabytes terabytes watts kilowatts megawatts kilowatt hertz kilohertz megahertz gigahertz"
)
_DEGREES, _SCALES = "degrees", "celsius fahrenheit kelvin"


def quantities(words: Sequence[str], language: str) -> list[tuple[str, str]]:
    """Numbers that a unit follows, each with its unit; "degrees" only where no scale is named."""
    degrees, scales = _as_compared(_DEGREES, language), _as_compared(_SCALES, language)
    pairs = itertools.pairwise((*words, ""))
    without = [word for word, after in pairs if word not in degrees or after not in scales]
    pairs = itertools.pairwise(without)
    units = _as_compared(_UNITS, language)
    return [(number, unit) for number, unit in pairs if is_number(number) and unit in units]


def scales_of_temperature(language: str) -> tuple[frozenset[str], frozenset[str]]:
    """The names of the scales, and these with "degrees", which names none."""
    scales = _as_compared(_SCALES, language)
    return scales, scales | _as_compared(_DEGREES, language)


@functools.cache
def _as_compared(units: str, language: str) -> frozenset[str]:
    return frozenset(words_of(units, language))
