"""The letters of languages that share a script, by which their neighbours are told from them."""

from __future__ import annotations

from collections.abc import Sequence

_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщьюя"
_ALPHABETS = {  # in the Latin script, the letters beside a to z
    "ru": f"{_CYRILLIC}ёъыэ",
    "uk": f"{_CYRILLIC}єіїґ",
    "bg": f"{_CYRILLIC}ъѝ",
    "en": "",
    "de": "äöüßé",
    "fr": "àâæçéèêëîïôœùûüÿ",
    "es": "áéíñóúüªº",
    "it": "àèéìíîòóùú",
    "pt": "áâãàçéêíóôõúüªº",
    "nl": "éëïóöèüáê",
    "sv": "åäöéü",
    "da": "æøåéö",
    "nb": "æøåéòôê",
    "fi": "äöåšž",
    "pl": "ąćęłńóśźż",
    "cs": "áčďéěíňóřšťúůýž",
    "sk": "áäčďéíĺľňóôŕšťúýž",
    "hu": "áéíóöőúüű",
    "ro": "ăâîșțşţ",
    "ca": "àçèéíïòóúü",
    "id": "é",
    "tr": "çğıöşüâîû",
}
_LATIN = frozenset("abcdefghijklmnopqrstuvwxyz")
MIN_FOREIGN, FOREIGN = 2, 0.05  # words, and their share, with a letter that a language lacks; fewer may be names


def has_foreign_letters(words: Sequence[str], language: str) -> bool:
    """Whether too many words, in lower case, have a letter that the language lacks, for them to be in it."""
    if language not in _ALPHABETS:
        return False
    letters = frozenset(_ALPHABETS[language])
    if letters.isdisjoint(_CYRILLIC):
        letters |= _LATIN
    own = [word for word in words if not letters.isdisjoint(word)]  # the others are names in another script
    foreign = sum(any(char.isalpha() and char not in letters for char in word) for word in own)
    return foreign >= max(MIN_FOREIGN, FOREIGN * len(own))
