"""Splits sentences into the phrases that a question could be about, and finds their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from seal_agent.text.languages import ENGLISH, function_words
from seal_agent.text.scripts import LETTER, MARKS, UNSPACED, word_count
from seal_agent.text.sentences import sentences_of

__all__ = ["names_of", "phrases_of", "sentences_of"]

_NAME = re.compile(r"(?<![.!?:\s])\s+[\"“'(]?([A-Z][^\W\d_]+)")
_TOKEN = re.compile(r"\d[\d,.:/]*\d|\d|[^\W\d_]+(?:[-'’.][^\W_]+)*|[^\w\s]|_")
_ANY_TOKEN = re.compile(rf"\d[\d,.:/]*\d|\d|[^\W\d_]{LETTER}*(?:[-'’.][^\W_]{LETTER}*)*|[^\w\s]|_")
_WORD = re.compile(r"\S*\w\S*")
_INNER_WORD = re.compile(r"(?<![.!?:\s])\s+[\"“«„'(]?([^\W\d_]{2,})")
# German capitalises every noun. Two capitalised words in a row are a name, and so is one after these words.
_GERMAN_PAIR = re.compile(r"\b([A-ZÄÖÜ][a-zäöüß-]+) (?=([A-ZÄÖÜ][\wäöüß-]+))")
_GERMAN_NAME = re.compile(
    r"\b(?:in|nach|aus|bei|von|durch|über|Herr|Frau|Dr\.|Prof\.|Insel|Stadt) ([A-ZÄÖÜ][a-zäöüß-]+)\b"
)
_CHINESE_NAME = re.compile(r"[A-Za-z]{2,}|[\u4e00-\u9fff]+(?:·[\u4e00-\u9fff]+)+")

# Where words are not separated by spaces, these end a phrase, because they are seldom part of a longer word.
_CHINESE_WORDS = (
    "因为 所以 但是 如果 虽然 他们 她们 它们 我们 你们 这个 那个 这些 那些 以及 或者 为了 由于 已经 可以 每个 没有 "
    "只有 的 了 是 在 和 与 及 被 把 从 由 于 并 也 都 而 但 他 她 它 这 那 有 向 给 对 让 使 就 还 又 很 着 过 至"
)
_THAI_WORDS = "และ ที่ ใน ของ เป็น มี ได้ ให้ กับ จาก โดย คือ หรือ แต่ ซึ่ง จะ ถูก เพื่อ"
_SEPARATORS = {
    code: re.compile("|".join([*map(re.escape, words.split()), rf"(?<!\d)[^\w{MARKS}]+|[^\w{MARKS}]+(?!\d)"]))
    for code, words in {"zh": _CHINESE_WORDS, "th": _THAI_WORDS}.items()
}
_JAPANESE_PHRASE = re.compile(r"[\u3400-\u9fff々ァ-ヺー]{1,}|[A-Za-z]+|\d[\d,.:/]*\d|\d")
_HIRAGANA_PHRASE = re.compile("[ぁ-がき-のひ-ゑん-ゖーばぱ]{2,}")  # は and を end a phrase


def names_of(text: str, language: str = ENGLISH) -> list[str]:
    """Capitalised words that do not begin a sentence; German nouns only where they look like names."""
    if language == ENGLISH:
        return _NAME.findall(text)
    if language == "zh":
        return _CHINESE_NAME.findall(text)
    if language == "de":
        pairs = [name for pair in _GERMAN_PAIR.findall(text) if not _is_function_word(pair[0], "de") for name in pair]
        return [name for name in dict.fromkeys([*pairs, *_GERMAN_NAME.findall(text)]) if name not in ("Dr", "Prof")]
    return [word for word in _INNER_WORD.findall(text) if word[0].isupper()]


def phrases_of(sentence: str, language: str = ENGLISH) -> list[str]:
    """Runs of content words of a sentence, left to right, without duplicates: "forty grey storks", "1782".

    Function words and punctuation separate them, as in RAKE (Rose et al., 2010). In a language without a table of
    function words, every word is a phrase of its own.
    """
    return _texts(sentence, _spans(sentence, language))


def partial_phrases_of(sentence: str, language: str = ENGLISH) -> list[str]:
    """`phrases_of`, or the parts of the only one where that is the whole sentence."""
    return _texts(sentence, partial_spans(sentence, language))


def partial_spans(sentence: str, language: str = ENGLISH, *, least: int = 1) -> list[tuple[int, int]]:
    """Where the phrases of a sentence stand, in order; their parts if fewer than `least` words are beside the phrase.

    Parts are words; halves where a script puts no spaces between words.
    """
    spans = [*_spans(sentence, language)]
    if len(spans) != 1 or words_beside(sentence, spans[0]) >= least:
        return spans
    return _parts(sentence, *spans[0])


def words_beside(sentence: str, phrase: tuple[int, int]) -> int:
    """How many words a sentence has beside a phrase; an estimate where the script has no spaces."""
    beside = f"{sentence[: phrase[0]]} {sentence[phrase[1] :]}"
    words = [word for word in beside.split() if any(char.isalnum() for char in word)]
    return max(bool(words), word_count(" ".join(words)))


def _texts(sentence: str, spans: Iterable[tuple[int, int]]) -> list[str]:
    return list(dict.fromkeys(sentence[start:stop] for start, stop in spans))


def _parts(sentence: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Where the words of a phrase stand; its halves if it is written without spaces; itself if it is one word."""
    words = [word.span() for word in _WORD.finditer(sentence, start, stop)]
    if len(words) > 1 or not UNSPACED.search(sentence, start, stop):
        return words
    middle = (start + stop) // 2
    while middle < stop and sentence[middle] in MARKS:
        middle += 1
    return [(start, middle), (middle, stop)] if start < middle < stop else [(start, stop)]


def _spans(sentence: str, language: str) -> Iterator[tuple[int, int]]:
    if language in _SEPARATORS:
        borders = [0, *(place for border in _SEPARATORS[language].finditer(sentence) for place in border.span())]
        pairs = zip(borders[::2], [*borders[1::2], len(sentence)], strict=True)
        yield from ((start, stop) for start, stop in pairs if start < stop)
    elif language == "ja":
        found = [match.span() for match in _JAPANESE_PHRASE.finditer(sentence)]
        yield from found or (match.span() for match in _HIRAGANA_PHRASE.finditer(sentence))
    else:
        yield from _runs(sentence, language)


def _runs(sentence: str, language: str) -> Iterator[tuple[int, int]]:
    """The runs of content words in a language that puts spaces between words."""
    pattern = _TOKEN if language == ENGLISH else _ANY_TOKEN
    single = language == "ko" or not function_words(language)  # Korean function words are endings
    start = stop = -1
    for match in (*pattern.finditer(sentence), None):
        if match and match.group()[0].isalnum() and not _separates(match, language):
            start, stop = (match.start() if start < 0 else start), match.end()
            if not single:
                continue
        if start >= 0:
            yield start, stop
            start = -1


def _separates(word: re.Match[str], language: str) -> bool:
    """Whether a word ends a phrase: a function word, or outside English a letter with a full stop, as in "z. B."."""
    letter = word.end() - word.start() == 1 and not word.group().isdigit()
    shortened = language != ENGLISH and letter and word.string[word.end() : word.end() + 1] == "."
    return shortened or _is_function_word(word.group(), language)


def _is_function_word(word: str, language: str) -> bool:
    return word.casefold() in function_words(language)
