"""Letters, marks and word counts of any script."""

from __future__ import annotations

import re
import unicodedata

MARKS = "".join(chr(code) for code in range(0x300, 0x1B00) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
"""Vowel signs and other marks that belong to the letter before them."""
JOINERS = "\u200c\u200d"
"""Without width, inside Persian and Indic words."""
LETTER = rf"(?:[^\W\d_]|[{MARKS}{JOINERS}])"
"""A pattern of one letter or mark."""
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""A character of a script that does not separate words, Thai to Chinese."""
LETTERS_PER_WORD = 2  # in those scripts; most Chinese words have two characters


def word_count(text: str) -> int:
    """How many words a text has, separated by spaces; an estimate where the script has no spaces."""
    unspaced = len(UNSPACED.findall(text))
    return len(text.split()) if not unspaced else len(UNSPACED.sub("", text).split()) + unspaced // LETTERS_PER_WORD
