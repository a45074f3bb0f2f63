"""Letters, marks and word counts of any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MARKS = "".join(chr(code) for code in range(0x300, 0x1B00) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
"""Vowel signs and other marks that belong to the letter before them."""
JOINERS = "\u200c\u200d"
"""Without width, inside Persian and Indic words."""
MARK = rf"[{MARKS}{JOINERS}]"
"""A pattern of one mark."""
LETTER = rf"(?:[^\W\d_]|[{MARKS}{JOINERS}])"
"""A pattern of one letter or mark."""
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""A character of a script that does not separate words, Thai to Chinese."""
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "km", "my")
"""Languages of those scripts."""
LETTERS_PER_WORD = 2  # in those scripts; most Chinese words have two characters

SEVERAL_BYTES = 1.5  # in UTF-8, per letter; not tuned
NUMERAL = re.compile(r"[\d〇零一二三四五六七八九十百千万萬億亿兆两兩]")
"""A character of a number, in digits or in Chinese or Japanese."""


def word_count(text: str) -> int:
    """How many words a text has, separated by spaces; an estimate where the script has no spaces."""
    unspaced = len(UNSPACED.findall(text))
    return len(text.split()) if not unspaced else len(UNSPACED.sub("", text).split()) + unspaced // LETTERS_PER_WORD


def room_in_script(texts: Iterable[str], tokens: int) -> int:
    """How many tokens an answer about one of these texts, none of them English, may take; `tokens` in English.

    Twice as many, and four times where most letters have several bytes: tokenizers cut those into their bytes.
    """
    bytes_per_letter = [len(text.encode(errors="replace")) / max(1, len(text)) for text in texts]
    return tokens * (4 if max(bytes_per_letter, default=0) >= SEVERAL_BYTES else 2 if bytes_per_letter else 1)
