"""Other words for the words of a passage, as the model itself would put them: questions rarely use the passage's own.

They need not be right. They vary the ways that lead to a sentence, never the sentence, which is what is learnt. Names
and numbers have none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt
from seal_agent.text.phrases import phrases_of, sentences_of
from seal_agent.text.words import words_of
from seal_agent.types import Sampling, Synonyms

SHORTEST = 4  # letters; shorter words are mostly parts of something else
_SAID = Sampling(max_tokens=12, stop=("\n",))  # three words, mostly
_LEADING = re.compile(r"^(?:to|an?|the) ")
_WORDS = re.compile(r"[^\W\d_]{3,}(?: [^\W\d_]+)?")  # two words at most


def synonyms_of(engine: Engine, passages: Sequence[str], most: int, progress: Progress | None = None) -> list[Synonyms]:
    """For each passage at most `most` other words for every word of it that has some."""
    of_passages = [_common_words(passage) for passage in passages] if most else [[] for _ in passages]
    every = list(dict.fromkeys(chain(*of_passages)))
    template = load_prompt("synonyms")
    said = engine.generate([fill(template, word=word) for word in every], _SAID, progress=progress) if every else []
    found = {word: others for word, one in zip(every, said, strict=True) if (others := _others(word, one.text, most))}
    return [tuple((word, found[word]) for word in words if word in found) for words in of_passages]


def _common_words(passage: str) -> list[str]:
    """Words of the passage's phrases that are no names, each once."""
    phrases = [phrase for sentence in sentences_of(passage) for phrase in phrases_of(sentence)]
    words = [word for phrase in phrases for word in phrase.split()]
    return list(dict.fromkeys(word for word in words if word.islower() and word.isalpha() and len(word) >= SHORTEST))


def _others(word: str, said: str, most: int) -> tuple[str, ...]:
    """What was said, without the word itself in another form and without what is no word."""
    own = {*words_of(word)}
    others = [_LEADING.sub("", part.strip()) for part in said.split(",")]
    return tuple(dict.fromkeys(one for one in others if _WORDS.fullmatch(one) and not own & {*words_of(one)}))[:most]
