"""The model's synonyms for the words of a passage, because questions rarely use the passage's own words.

A synonym need not be right: synonyms vary the cues that lead to a sentence, never the sentence that is learned. Names
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

MIN_LETTERS = 4  # shorter words are mostly parts of something else
_SAMPLING = Sampling(max_tokens=12, stop=("\n",))  # mostly enough for three words
_LEADING = re.compile(r"^(?:to|an?|the) ")
_WORDS = re.compile(r"[^\W\d_]{3,}(?: [^\W\d_]+)?")  # at most two words


def synonyms_of(
    engine: Engine, passages: Sequence[str], limit: int, progress: Progress | None = None
) -> list[Synonyms]:
    """For each passage, its words that have synonyms, each with at most `limit` of them. A limit of 0 writes none."""
    words_by_passage = [_common_words(passage) for passage in passages] if limit else [[] for _ in passages]
    words = list(dict.fromkeys(chain(*words_by_passage)))
    template = load_prompt("synonyms")
    prompts = [fill(template, word=word) for word in words]
    completions = engine.generate(prompts, _SAMPLING, progress=progress) if words else []
    synonyms = {
        word: parsed
        for word, completion in zip(words, completions, strict=True)
        if (parsed := _parse_synonyms(word, completion.text, limit))
    }
    return [
        tuple((word, synonyms[word]) for word in passage_words if word in synonyms)
        for passage_words in words_by_passage
    ]


def _common_words(passage: str) -> list[str]:
    """Words of the passage's phrases, without names and duplicates."""
    phrases = [phrase for sentence in sentences_of(passage) for phrase in phrases_of(sentence)]
    words = [word for phrase in phrases for word in phrase.split()]
    return list(dict.fromkeys(word for word in words if word.islower() and word.isalpha() and len(word) >= MIN_LETTERS))


def _parse_synonyms(word: str, completion: str, limit: int) -> tuple[str, ...]:
    """The synonyms in a completion, without inflections of the word itself and without what is no word."""
    stems = {*words_of(word)}
    candidates = [_LEADING.sub("", part.strip()) for part in completion.split(",")]
    synonyms = dict.fromkeys(
        candidate for candidate in candidates if _WORDS.fullmatch(candidate) and not stems & {*words_of(candidate)}
    )
    return tuple(synonyms)[:limit]
