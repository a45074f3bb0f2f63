"""Times of day in a text, in any of their writings: 6 pm, 18:00, half past six, 18 Uhr, 下午6点."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal

from seal_agent.text.inflection import with_digits
from seal_agent.text.languages import ENGLISH

Form = Literal["half of the day", "24 hours", "open"]
NOON, DAY = 12 * 60, 24 * 60

_HOURS = {
    "en": "one two three four five six seven eight nine ten eleven twelve",
    "de": "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
}
_AFTER_NOON = (
    *("p", "afternoon", "evening", "night", "nachmittags", "abends", "tarde", "noche"),
    *("下午", "晚上", "傍晚", "午後", "夜", "오후"),
)
_ENGLISH_HALF = r"(?:\s?(?P<half>[ap])(?:m\b|\.\s?m\b\.?)|\s(?:in the|at) (?P<part>morning|afternoon|evening|night)\b)"
_COLON = r"(?<![\w:.,/])(?P<hour>\d{1,2}):(?P<minute>[0-5]\d)(?![\d:]|\.\d)"
_EAST_ASIAN = (
    r"(?P<half>上午|早上|凌晨|清晨|午前|오전|下午|晚上|傍晚|午後|夜|오후)?\s?(?<!\d)(?P<hour>\d{1,2})\s?[点點時时시](?![間间간])[钟鐘整]?"
    r"(?:\s?(?P<minute>[0-5]?\d)\s?[分분]|\s?(?P<thirty>[半반]))?"
)
_PATTERNS = {
    "en": (
        rf"\b(?:(?P<shift>half past|quarter past|quarter to) )?(?<![:.,/])(?P<hour>\d{{1,2}}|HOURS)"
        rf"(?:[:.](?P<minute>[0-5]\d))?(?: o['’]clock)?{_ENGLISH_HALF}",
        r"\b(?P<shift>half past|quarter past|quarter to) (?P<hour>\d{1,2}|HOURS)\b",
        r"\b(?P<hour>\d{1,2}|HOURS) o['’]clock\b",
    ),
    "de": (
        r"(?<![\w:.,/])(?P<hour>\d{1,2})(?:[:.](?P<minute>[0-5]\d))? Uhr\b"
        r"(?: (?P<half>morgens|vormittags|nachmittags|abends)\b)?",
        r"\b(?P<shift>halb|viertel nach|viertel vor) (?P<hour>\d{1,2}|HOURS)\b",
    ),
    "fr": (r"(?<![\w:.,/])(?P<hour>\d{1,2})\s?(?:h|heures?)\s?(?P<minute>[0-5]\d)?(?!\w)",),
    "es": (r"(?<![\w:.,/])(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?(?: horas)? de la (?P<half>mañana|tarde|noche)\b",),
    **dict.fromkeys(("zh", "ja", "ko"), (_EAST_ASIAN,)),
}
_MINUTES = {"half past": 30, "quarter past": 15, "quarter to": -15, "halb": -30, "viertel nach": 15, "viertel vor": -15}
_NAMED = {
    "en": {"noon": NOON, "midday": NOON, "midnight": 0},
    "de": {"mittags": NOON, "mitternacht": 0},
    "fr": {"midi": NOON, "minuit": 0},
    "es": {"mediodía": NOON, "medianoche": 0},
    "zh": {"正午": NOON, "中午": NOON, "午夜": 0},
    "ja": {"正午": NOON},
    "ko": {"정오": NOON, "자정": 0},
}


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A time of day, and where a text has it."""

    start: int
    stop: int
    minute: int
    """Of the day, 0..1439."""
    form: Form
    """"open" where nothing says which half of the day is meant."""

    def is_same(self, other: ClockTime) -> bool:
        """Whether both may mean the same time: 6:30 may be 6:30 pm, but not 18:30."""
        may_be_later = {self.form, other.form} == {"half of the day", "open"}
        return self.minute == other.minute or (may_be_later and self.minute % NOON == other.minute % NOON)


@functools.lru_cache(maxsize=4096)
def clock_times(text: str, language: str = ENGLISH) -> tuple[ClockTime, ...]:
    """The times of day that a text names, in order."""
    found: list[ClockTime] = []
    for pattern in _compiled(language):
        for match in pattern.finditer(text):
            time = _clock_time(match, language)
            if time and all(time.stop <= other.start or other.stop <= time.start for other in found):
                found.append(time)
    return tuple(sorted(found, key=lambda time: time.start))


def with_times_of(gold: str, answer: str, language: str = ENGLISH) -> str:
    """An answer with the times of a gold answer as that writes them: "6 pm" for "18:00"."""
    wanted = clock_times(gold, language)
    for time in reversed(clock_times(answer, language) if wanted else ()):
        if same := next((other for other in wanted if other.is_same(time)), None):
            answer = f"{answer[: time.start]}{gold[same.start : same.stop]}{answer[time.stop :]}"
    return answer


def has_other_time(question: str, gold: str, answer: str, language: str = ENGLISH) -> bool:
    """Whether an answer lacks a time of the gold, and has one that neither the gold nor the question has."""
    wanted, stated = clock_times(gold, language), clock_times(answer, language)
    known = (*wanted, *clock_times(question, language))
    lacks = any(not any(time.is_same(other) for other in stated) for time in wanted)
    return lacks and any(not any(time.is_same(other) for other in known) for time in stated)


@functools.cache
def _compiled(language: str) -> tuple[re.Pattern[str], ...]:
    """The patterns of a language, the longest writings first."""
    hours = _HOURS.get(language, "").replace(" ", "|")
    patterns = [pattern.replace("HOURS", hours) for pattern in _PATTERNS.get(language, ())]
    named = [rf"\b(?P<named>{'|'.join(_NAMED[language])})\b"] if language in _NAMED else []
    if language in ("zh", "ja", "ko"):
        named = [name.replace(r"\b", "") for name in named]
    shared = [] if language == ENGLISH else [_COLON + _ENGLISH_HALF]
    return tuple(re.compile(pattern, re.IGNORECASE) for pattern in (*patterns, *shared, _COLON, *named))


def _clock_time(match: re.Match[str], language: str) -> ClockTime | None:
    parts = match.groupdict()
    if named := parts.get("named"):
        return ClockTime(*match.span(), _NAMED[language][named.lower()], "half of the day")
    hour = _hour(parts["hour"], language)
    half = (parts.get("half") or parts.get("part") or "").lower()
    if hour is None or hour > (12 if half and half not in _AFTER_NOON else 24):
        return None
    minute = 60 * hour + int(parts.get("minute") or 0) + _MINUTES.get((parts.get("shift") or "").lower(), 0)
    minute += 30 if parts.get("thirty") else 0
    if half:
        return ClockTime(*match.span(), minute % NOON + (NOON if half in _AFTER_NOON else 0), "half of the day")
    written_in_full = hour > 12 or hour == 0 or parts["hour"].startswith("0")
    return ClockTime(*match.span(), minute % DAY, "24 hours" if written_in_full else "open")


def _hour(written: str, language: str) -> int | None:
    digits = written if written.isdigit() else with_digits(written.lower(), language)
    names = _HOURS.get(language, "").split()
    if digits.isdigit():
        return int(digits)
    return names.index(written.lower()) + 1 if written.lower() in names else None
