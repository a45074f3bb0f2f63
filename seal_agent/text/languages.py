"""Which language a text is in, by its script and its function words. Small, offline, and English where in doubt."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter

from stop_words import get_stop_words

from seal_agent.text.alphabets import has_foreign_letters
from seal_agent.text.scripts import LETTER

ENGLISH, UNKNOWN = "en", "und"
_RANGES = (  # script, or the one language that a script is mostly used for; first and last character
    ("el", 0x0370, 0x03FF),
    ("cyrillic", 0x0400, 0x052F),
    ("hy", 0x0530, 0x058F),
    ("he", 0x0590, 0x05FF),
    ("arabic", 0x0600, 0x077F),
    ("devanagari", 0x0900, 0x097F),
    ("bn", 0x0980, 0x09FF),
    ("pa", 0x0A00, 0x0A7F),
    ("gu", 0x0A80, 0x0AFF),
    ("or", 0x0B00, 0x0B7F),
    ("ta", 0x0B80, 0x0BFF),
    ("te", 0x0C00, 0x0C7F),
    ("kn", 0x0C80, 0x0CFF),
    ("ml", 0x0D00, 0x0D7F),
    ("si", 0x0D80, 0x0DFF),
    ("th", 0x0E00, 0x0E7F),
    ("lo", 0x0E80, 0x0EFF),
    ("my", 0x1000, 0x109F),
    ("ka", 0x10A0, 0x10FF),
    ("ko", 0x1100, 0x11FF),
    ("am", 0x1200, 0x139F),
    ("km", 0x1780, 0x17FF),
    ("el", 0x1F00, 0x1FFF),
    ("kana", 0x3041, 0x30FF),
    ("han", 0x3400, 0x9FFF),
    ("ko", 0xAC00, 0xD7AF),
    ("he", 0xFB1D, 0xFB4F),
    ("arabic", 0xFB50, 0xFDFF),
    ("arabic", 0xFE70, 0xFEFF),
    ("kana", 0xFF66, 0xFF9F),
    ("han", 0x20000, 0x3FFFF),
)
_CANDIDATES = {  # languages of a script that have a table of function words, the commonest first
    "latin": "en de fr es it pt nl sv da nb fi pl cs sk hu ro ca id tr vi",
    "cyrillic": "ru uk bg",
    "arabic": "ar fa ur",
    "devanagari": "hi",
}
_LANGUAGES = {**{script: codes.split() for script, codes in _CANDIDATES.items()}, "kana": ["ja"], "han": ["zh"]}
_SCRIPTS = {"latin", *(script for script, _, _ in _RANGES)}
_ENGLISH_WORDS = """
    a about above after again against all along also although am among an and any are around as at be because been
    before behind being below beside between beyond both but by can could despite did do does done down during each
    either every except few for from had has have having he her here hers him himself his how i if in into is it its
    itself just like many may me might mine more most much must my near neither no nor not of off on once one's only
    onto or other our out over own per quite rather same shall she should since so some still such than that the their
    them themselves then there these they this those though through throughout to too toward towards under until up
    upon us very via was we were what when where whether which while who whom whose why will with within without
    would yet you your
"""
_URDU = "کا کی کے میں ہے ہیں سے نے کو پر اور وہ یہ تھا تھی ایک بھی تو ہی کہ جو اس ان تھے گیا لیے"
# In the package's English table all the same:
_FOREIGN = "al con de en es et haven il je la na nu om pa que sans se si su sub um un una vn"
_GREEK = """
    ο η το οι τα του της των τον την στο στη στην στον στα στις στους σε με από για και ή αλλά που πως πώς πού ποιος
    ποια ποιο τι είναι ήταν έχει είχε δεν μην να θα ως κατά μετά πριν ένας μία μια ένα αυτός αυτή αυτό τους τις μας σας
"""
_HEBREW = """
    של את על אל עם הוא היא הם הן אני אתה אנחנו זה זאת זו אלה יש אין היה הייתה היו לא כן גם כי אם או אבל רק כל מי מה
    איפה מתי איך למה איזה לפני אחרי בין עד ב ל מ ה ו ש
"""
_OWN_TABLES = {ENGLISH: _ENGLISH_WORDS, "ur": _URDU, "el": _GREEK, "he": _HEBREW}
_PERSIAN_ONLY, _URDU_ONLY = "پچژگکی", "ٹڈڑےںھہ"
_ACCENTED = re.compile("[ß-ÿĀ-ſ]")
_WORD = re.compile(rf"[^\W\d_]{LETTER}*(?:['’]{LETTER}+)?")
MIN_HITS = 2  # different function words that another language than English needs to be chosen, in the Latin script
LONG = 24  # different words; a text this long in a known language has function words
SEVERAL = 10  # different words; a text this long has more than chance hits in its language
FEW, SOME = 0.04, 0.12  # shares of function words below which a long text is not English; is in no language known


@functools.cache
def function_words(language: str) -> frozenset[str]:
    """Articles, pronouns, prepositions and the like, in lower case; empty for a language without a table."""
    if language in _OWN_TABLES:
        return frozenset(_OWN_TABLES[language].split())
    try:
        return frozenset(unicodedata.normalize("NFC", word).casefold() for word in get_stop_words(language))
    except Exception:  # the package raises its own class, which its stubs do not name
        return frozenset()


@functools.lru_cache(maxsize=4096)
def language_of(text: str) -> str:
    """The ISO 639 code of a text's language.

    The script decides where one language uses it; else letters and function words do. "en" where nothing speaks for
    another language; "und" for a script not known here, and for a text with too few function words, or too many foreign
    letters, of any language that is.
    """
    script = _script(text)
    if script == "kana":
        return "ja"
    if script == "han":
        return "zh"
    if script not in _CANDIDATES:
        return script
    words = [word.casefold() for word in _WORD.findall(unicodedata.normalize("NFC", text))]
    hits = {code: [word for word in words if _is_function_word(word, code)] for code in _CANDIDATES[script].split()}
    fitting = [code for code in hits if not has_foreign_letters(words, code)] or [UNKNOWN]
    hits[UNKNOWN] = []
    best = max(fitting, key=lambda code: (len(hits[code]), len(set(hits[code]))))
    if script == "arabic":
        return _arabic_language(text, best)
    different, share = len(set(words)), len(hits[best]) / max(1, len(words))
    if script != "latin":
        return best if different < SEVERAL or share >= FEW else UNKNOWN
    if different >= LONG and len(hits[ENGLISH]) < FEW * len(words) and share < SOME:
        return UNKNOWN
    found, english = set(hits[best]), set(hits[ENGLISH])
    enough = sum(len(word) > 1 for word in found) >= MIN_HITS or (not english and _ACCENTED.search(text))
    if len(found) > len(english) and enough:
        return best if different < SEVERAL or share >= SOME else UNKNOWN
    if not english and different >= SEVERAL and has_foreign_letters(words, ENGLISH):
        return UNKNOWN
    return ENGLISH if english else _by_letters(text)


def language_of_part(part: str, language: str) -> str:
    """The language of a part of a text that is mostly in `language`: another one where its script or its words say so.

    A short part in the same script, which may be a name or a title, is in the language of the text.
    """
    script = _script(part)
    ours = next((known for known, codes in _LANGUAGES.items() if language in codes), language)
    if not any(char.isalpha() for char in part) or ours not in _SCRIPTS:
        return language
    own = language_of(part)
    if script != ours and {script, ours} != {"kana", "han"}:
        return own
    return own if own != UNKNOWN and len(set(_WORD.findall(part))) >= SEVERAL else language


@functools.cache
def _words_that_show(language: str) -> frozenset[str]:
    """The function words by which a language is told; for English the package's longer table too, but for a few."""
    if language != ENGLISH:
        return function_words(language)
    longer = {word for word in get_stop_words(ENGLISH) if len(word) > 1}
    return function_words(ENGLISH) | (longer - {*_FOREIGN.split()})


def _is_function_word(word: str, language: str) -> bool:
    table = _words_that_show(language)
    before, apostrophe, _ = word.replace("’", "'").partition("'")
    return word in table or (bool(apostrophe) and before in _ELIDED.get(language, ()))


_ELIDED = {"fr": ("l", "d", "qu", "n", "s", "j", "c", "m", "t"), "it": ("l", "d", "dell", "all", "un", "c")}


def _by_letters(text: str) -> str:
    """German for a short text with ß or umlauts, Spanish for one with ¿, ¡ or ñ; else English."""
    if re.search("[¿¡ñ]", text):
        return "es"
    return "de" if "ß" in text else ENGLISH


def _arabic_language(text: str, best: str) -> str:
    """Urdu and Persian by letters that Arabic lacks."""
    letters = Counter(text)
    urdu, persian = (sum(letters[letter] for letter in only) for only in (_URDU_ONLY, _PERSIAN_ONLY))
    if urdu >= 2:
        return "ur"
    return "fa" if persian >= 2 else "ar" if best == "ur" else best


def _script(text: str) -> str:
    """The script that most letters belong to. Some kana among Chinese characters make a text Japanese."""
    if text.isascii():
        return "latin"
    counts: Counter[str] = Counter()
    for char, count in Counter(text).items():
        if char.isalpha():
            counts[_script_of(ord(char))] += count
    if not counts:
        return "latin"
    if counts["kana"] >= 0.1 * counts["han"] > 0:
        counts["kana"] += counts.pop("han")
    # Names in Latin letters are common in every script; one Chinese character says as much as two letters.
    counts["latin"] //= 2
    return max(counts, key=lambda script: counts[script])


@functools.cache
def _script_of(codepoint: int) -> str:
    known = next((script for script, first, last in _RANGES if first <= codepoint <= last), "")
    return known or ("latin" if _is_latin(chr(codepoint)) else UNKNOWN)


def _is_latin(letter: str) -> bool:
    """Whether a letter is Latin, or a sign for one, such as ª."""
    return "LATIN" in unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "")
