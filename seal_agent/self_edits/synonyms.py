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
from seal_agent.self_edits.question_words import localized
from seal_agent.text.languages import language_of
from seal_agent.text.phrases import phrases_of
from seal_agent.text.reasoning import without_reasoning
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import words_of
from seal_agent.types import Sampling, Synonyms

LANGUAGES = ("en", "de", "fr", "es", "ru")
"""Those with a prompt that asks for synonyms; words of other languages get none."""
MIN_LETTERS = 4  # shorter words are mostly parts of something else
_SAMPLING = Sampling(max_tokens=12, stop=("\n",))  # mostly enough for three words
_LEADING = re.compile(r"^(?:to|an?|the) ")
_WORDS = re.compile(r"[^\W\d_]{3,}(?: [^\W\d_]+)?")  # at most two words


def synonyms_of(
    engine: Engine, passages: Sequence[str], limit: int, progress: Progress | None = None
) -> list[Synonyms]:
    """For each passage, its words that have synonyms, each with at most `limit` of them. A limit of 0 writes none."""
    languages = [language_of(passage) for passage in passages]
    words_by_passage = [
        [(word, language) for word in _common_words(passage, language)] if limit and language in LANGUAGES else []
        for passage, language in zip(passages, languages, strict=True)
    ]
    words = list(dict.fromkeys(chain(*words_by_passage)))
    prompts = [fill(load_prompt(localized("synonyms", language)), word=word) for word, language in words]
    completions = engine.generate(prompts, _SAMPLING, progress=progress) if words else []
    synonyms = {
        (word, language): parsed
        for (word, language), completion in zip(words, completions, strict=True)
        if (parsed := _parse_synonyms(word, without_reasoning(completion.text), limit, language))
    }
    return [
        tuple((key[0], synonyms[key]) for key in passage_words if key in synonyms) for passage_words in words_by_passage
    ]


def _common_words(passage: str, language: str) -> list[str]:
    """Words of the passage's phrases, without names and duplicates."""
    phrases = [phrase for sentence in sentences_of(passage, language) for phrase in phrases_of(sentence, language)]
    words = [word for phrase in phrases for word in phrase.split()]
    return list(dict.fromkeys(word for word in words if word.islower() and word.isalpha() and len(word) >= MIN_LETTERS))


def _parse_synonyms(word: str, completion: str, limit: int, language: str) -> tuple[str, ...]:
    """The synonyms in a completion, without inflections of the word itself and without what is no word."""
    stems = {*words_of(word, language)}
    candidates = [_LEADING.sub("", part.strip()) for part in completion.split(",")]
    synonyms = dict.fromkeys(
        candidate
        for candidate in candidates
        if _WORDS.fullmatch(candidate) and not stems & {*words_of(candidate, language)}
    )
    return tuple(synonyms)[:limit]
