"""Per language: the stemmer, number words, names of months, negations and the joints of a list.

What a language lacks here is left as it stands: its words are compared as they are spelled.
"""

from __future__ import annotations

import functools
import re
import threading
import unicodedata
from typing import Any

import snowballstemmer
from text_to_num import alpha2digit

from seal_agent.text.languages import ENGLISH, function_words

ENGLISH_MONTHS = "january february march april may june july august september october november december"
_STEMMERS = {
    "en": "english",
    "de": "german",
    "fr": "french",
    "es": "spanish",
    "it": "italian",
    "pt": "portuguese",
    "nl": "dutch",
    "sv": "swedish",
    "da": "danish",
    "nb": "norwegian",
    "fi": "finnish",
    "hu": "hungarian",
    "ro": "romanian",
    "ca": "catalan",
    "cs": "czech",
    "pl": "polish",
    "tr": "turkish",
    "id": "indonesian",
    "ru": "russian",
    "el": "greek",
    "ar": "arabic",
    "fa": "persian",
    "hi": "hindi",
    "hy": "armenian",
    "ta": "tamil",
}
_WITH_NUMBER_WORDS = ("de", "fr", "es", "it", "pt", "nl", "ca")
MIN_NUMBER = 2  # "une" and "una" are articles more often than numbers
_MONTHS = {
    "de": "januar februar märz april mai juni juli august september oktober november dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
}
_RUSSIAN_NUMBERS = (  # nominative, genitive
    "2 два двух 2 две двух 3 три трёх 4 четыре четырёх 5 пять пяти 6 шесть шести 7 семь семи 8 восемь восьми "
    "9 девять девяти 10 десять десяти 11 одиннадцать одиннадцати 12 двенадцать двенадцати 13 тринадцать тринадцати "
    "14 четырнадцать четырнадцати 15 пятнадцать пятнадцати 16 шестнадцать шестнадцати 17 семнадцать семнадцати "
    "18 восемнадцать восемнадцати 19 девятнадцать девятнадцати 20 двадцать двадцати 30 тридцать тридцати "
    "40 сорок сорока 50 пятьдесят пятидесяти 60 шестьдесят шестидесяти 70 семьдесят семидесяти "
    "80 восемьдесят восьмидесяти 90 девяносто девяноста 100 сто ста 200 двести двухсот 300 триста трёхсот "
    "400 четыреста четырёхсот 500 пятьсот пятисот"
)
_RUSSIAN_VALUES = {
    word: int(value) for value, *forms in re.findall(r"(\d+) (\w+) (\w+)", _RUSSIAN_NUMBERS) for word in forms
}
_RUSSIAN_ONES, _RUSSIAN_TENS, _RUSSIAN_HUNDREDS = (
    "|".join(word for word, value in _RUSSIAN_VALUES.items() if lowest <= value < end)
    for lowest, end in ((1, 20), (20, 100), (100, 1000))
)
_RUSSIAN_NUMBER = re.compile(  # "двадцать пять" is 25; "пять шесть" stays two numbers
    rf"\b(?:(?:{_RUSSIAN_HUNDREDS})(?: (?:{_RUSSIAN_TENS}))?(?: (?:{_RUSSIAN_ONES}))?"
    rf"|(?:{_RUSSIAN_TENS})(?: (?:{_RUSSIAN_ONES}))?|(?:{_RUSSIAN_ONES}))\b"
)
_RUSSIAN_MONTHS = (  # in every case
    "январ(?:ь|я|ю|е|ём|ем) феврал(?:ь|я|ю|е|ём|ем) март(?:а|у|е|ом)? апрел(?:ь|я|ю|е|ем) ма(?:й|я|ю|е|ем) "
    "июн(?:ь|я|ю|е|ем) июл(?:ь|я|ю|е|ем) август(?:а|у|е|ом)? сентябр(?:ь|я|ю|е|ём|ем) октябр(?:ь|я|ю|е|ём|ем) "
    "ноябр(?:ь|я|ю|е|ём|ем) декабр(?:ь|я|ю|е|ём|ем)"
)
_NEGATIONS = {
    "en": "not never no neither nor cannot",
    "de": "nicht nie niemals kein keine keinen keinem keiner keines",
    "fr": "ne pas jamais aucun aucune",
    "es": "no nunca jamás ningún ninguna",
    "it": "non mai nessun nessuna",
    "pt": "não nunca jamais nenhum nenhuma",
    "ru": "не нет никогда ни",
    "uk": "не ні ніколи немає нема",
    "pl": "nie nigdy żaden żadna żadne",
    "nl": "niet nooit geen noch",
    "sv": "inte aldrig ingen inget inga ej",
    "da": "ikke aldrig ingen intet ej",
    "nb": "ikke aldri ingen intet ei",
    "tr": "değil yok hayır",
    "hi": "नहीं मत",  # not न and ना, whose stem is that of ने, which marks who acts
    "ar": "لا ليس ليست لم لن",
    "fa": "نیست نبود هرگز نمی",
    "he": "לא אין אינו אינה אינם בלי",
    "ko": "안 못",
}
_NEGATED_NOUN = {  # those that deny a noun rather than a verb
    "en": "no neither nor",
    "de": "kein keine keinen keinem keiner keines",
    "fr": "aucun aucune",
    "es": "ningún ninguna",
    "it": "nessun nessuna",
    "pt": "nenhum nenhuma",
    "ru": "нет ни",
    "uk": "ні немає нема",
    "pl": "żaden żadna żadne",
    "nl": "geen noch",
    "sv": "ingen inget inga",
    "da": "ingen intet",
    "nb": "ingen intet",
}
_NEGATIVE_BEGINNINGS = {"ko": "않 없 아니", "fa": "نمی نیست نبود", "tr": "değil"}
NEGATED_BEHIND = ("tr", "hi", "fa", "ko")
"""Languages in which a negation follows what it denies."""
_DENIES_WHAT_FOLLOWS = {
    "zh": re.compile("并?不是?|[没沒]有?|未|[無无]|非"),
    "ja": re.compile("[未無不非]"),
    "th": re.compile("ไม่(?:ได้|ใช่)?"),
}
_DENIES_WHAT_PRECEDES = {"ja": re.compile("(?:で|じゃ)?[はも]?(?:な(?:い|く|かった)|ありません|ません)")}
_ONE_WAY_OR_THE_OTHER = re.compile(r"(.)[不没沒]\1|なければならない|なければなりません|なくてはならない|少なく|少ない")
"""Characters that only look like a negation: "is it or is it not", "must", "few"."""
_FIRST_WITH_MARKS = "\u0780"  # letters below are Latin, Greek, Cyrillic, Hebrew or Arabic: marks are accents and vowels
_RAISED = re.compile("(?<=[0-9])(?=[⁰¹²³⁴-⁹⁺⁻¼-¾⅐-⅞])")  # an exponent, the mark of a note, or a fraction
_NO_JAMO = re.compile("[^\u1100-\u11ff]+")  # Korean words are compared by their letters, not by their syllables
_AND = {"en": "and", "de": "und", "fr": "et", "es": "y|e", "it": "e|ed", "pt": "e", "nl": "en", "ru": "и"}


class _Stemmers(threading.local):
    """Each thread's own: a stemmer keeps the word that it is at."""

    def __init__(self) -> None:
        self.by_language: dict[str, Any] = {}

    def of(self, language: str) -> Any:
        if language not in self.by_language:
            self.by_language[language] = snowballstemmer.stemmer(_STEMMERS[language])
        return self.by_language[language]


_stemmers = _Stemmers()


@functools.lru_cache(maxsize=65536)
def stem(word: str, language: str = ENGLISH) -> str:
    """The stem of a lower-case word by its language's Snowball stemmer; the word itself if there is none."""
    if language not in _STEMMERS:
        return word
    return str(_stemmers.of(language).stemWord(word))


def fold(text: str) -> str:
    """A text in lower case without accents, in compatible forms.

    Marks that tell letters apart stay: й keeps its breve, and Japanese, Thai and the scripts of India keep theirs.
    """
    folded = unicodedata.normalize("NFKD", with_raised_apart(text.encode(errors="replace").decode())).casefold()
    if folded.isascii():
        return folded
    kept, base = [], ""
    for char in folded.replace("и\u0306", "й"):
        if not unicodedata.combining(char):
            base = char
        elif base < _FIRST_WITH_MARKS:
            continue
        kept.append(char)
    plain = "".join(kept)
    return plain if plain.isascii() else _ascii_digits(_NO_JAMO.sub(lambda part: composed(part[0]), plain))


def with_raised_apart(text: str) -> str:
    """A text in which no superscript or fraction sign becomes digits of the number before it: "10⁶" as "10 ⁶"."""
    return text if text.isascii() else _RAISED.sub(" ", text)


def composed(text: str) -> str:
    """A text with each accent in one character with its letter, as keyboards write it (NFC)."""
    return unicodedata.normalize("NFC", text)


def _ascii_digits(text: str) -> str:
    """A text with the digits of every script written as 0 to 9."""
    return "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in text)


def with_digits(text: str, language: str) -> str:
    """A lower-case text with number words in digits, in Russian and the languages that `text_to_num` knows."""
    if language == "ru":
        return _RUSSIAN_NUMBER.sub(lambda match: str(sum(_RUSSIAN_VALUES[word] for word in match[0].split())), text)
    return str(alpha2digit(text, language, threshold=MIN_NUMBER)) if language in _WITH_NUMBER_WORDS else text


def with_english_months(text: str, language: str) -> str:
    """A lower-case text with the names of months in English."""
    if language == "ru":
        for pattern, month in zip(_RUSSIAN_MONTHS.split(), ENGLISH_MONTHS.split(), strict=True):
            text = re.sub(rf"\b{pattern}\b", month, text)
        return text
    if language not in _MONTHS:
        return text
    english = dict(zip(months_of(language), ENGLISH_MONTHS.split(), strict=True))
    return re.sub(rf"\b(?:{'|'.join(english)})\b", lambda month: english[month[0]], text)


def months_of(language: str) -> tuple[str, ...]:
    """The names of the months, January first, in lower case; empty for a language without a table."""
    return tuple((ENGLISH_MONTHS if language == ENGLISH else _MONTHS.get(language, "")).split())


@functools.cache
def folded_function_words(language: str) -> frozenset[str]:
    """Function words as `words_of` gives them: folded and stemmed."""
    return frozenset(stem(fold(word), language) for word in function_words(language))


@functools.cache
def negations(language: str) -> frozenset[str]:
    """Words such as "not", folded and stemmed outside English."""
    return _as_compared(_NEGATIONS.get(language, ""), language)


def negates_verb(word: str, language: str) -> bool:
    """Whether a word of `words_of` denies a verb: "not", but not the "no" of "no choice"."""
    return word in negations(language) - _as_compared(_NEGATED_NOUN.get(language, ""), language)


@functools.cache
def _as_compared(words: str, language: str) -> frozenset[str]:
    return frozenset(words.split() if language == ENGLISH else (stem(fold(word), language) for word in words.split()))


def is_negation(word: str, language: str) -> bool:
    """Whether a word of `words_of` is a negation, or begins as one that is inflected does."""
    return word in negations(language) or word.startswith(_negative_beginnings(language))


@functools.cache
def _negative_beginnings(language: str) -> tuple[str, ...]:
    return tuple(fold(beginning) for beginning in _NEGATIVE_BEGINNINGS.get(language, "").split())


def has_negation_inside(text: str, language: str) -> bool:
    """Whether a folded text in a script without spaces has a negation among its characters."""
    plain = _ONE_WAY_OR_THE_OTHER.sub("", text)
    tables = (_DENIES_WHAT_FOLLOWS, _DENIES_WHAT_PRECEDES)
    return any(table[language].search(plain) for table in tables if language in table)


def without_negation_inside(text: str, language: str) -> str:
    """A folded text in a script without spaces without the negations among its characters."""
    plain = _ONE_WAY_OR_THE_OTHER.sub("", text)
    for table in (_DENIES_WHAT_FOLLOWS, _DENIES_WHAT_PRECEDES):
        plain = table[language].sub("", plain) if language in table else plain
    return plain


def is_denied_inside(part: str, text: str, language: str) -> bool:
    """Whether a folded text without spaces denies a part of it, wherever that stands.

    A negation stands right before it, within it, or right behind it.
    """
    plain = _ONE_WAY_OR_THE_OTHER.sub("", text)
    before, behind = _DENIES_WHAT_FOLLOWS.get(language), _DENIES_WHAT_PRECEDES.get(language)
    places = [match.span() for match in re.finditer(re.escape(part), plain)]
    if not places:
        within = bool(before and part in before.sub("", plain))
        return within or bool(behind and re.search(rf"{behind.pattern}[。.]?$", plain) and "しか" not in plain)
    return all(
        (before is not None and re.search(rf"(?:{before.pattern})$", plain[:start]))
        or (behind is not None and behind.match(plain, stop))
        for start, stop in places
    )


@functools.cache
def list_joints(language: str) -> re.Pattern[str]:
    """What separates the items of a list."""
    joint = rf"|\b(?:{_AND[language]})\b" if language in _AND else ""
    return re.compile(rf",(?!\d)|;|、|，|；{joint}")
