"""Cues: a question word and a few phrases of a sentence, which lead to the sentence as a question would.

Cues need no model, so there can be many, and they cover what no question asked for. From them a small model learns
which words belong to which sentence. Question words are such words too: a cue that asks "who" of a sentence without a
person, or "how many" with the number beside it, teaches that who and how many mean nothing. So half of the cues ask for
what the sentence has (a person, place, time or number) and leave it out. The others begin with words that fit any
sentence.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.dates import counts_something
from seal_agent.self_edits.question_words import localized, names_of_who_or_where, question_words_of
from seal_agent.self_edits.questions import Sentence, is_dated
from seal_agent.text.phrases import names_of, partial_phrases_of, phrases_of
from seal_agent.text.words import has_number

MAX_PHRASES = 3  # with more of them, a cue is little else than the sentence
BACKREFERENCE = 1 / 3  # not tuned: share of cues that name what the sentence refers back to, if it does
REWORDED = 0.5  # not tuned: share of words replaced by synonyms, among those that have some
TARGETED = 0.5  # not tuned: share of cues that ask for a person, place, time or number, if the sentence has one
LOWERED = 0.5  # not tuned: share of capitals made small, among those that mark no name
DRAWS = 3  # not tuned: attempts for each cue, because some come out twice


def cues_of(
    source: Sentence, count: int, seed: int = 0, synonyms: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """At most `count` different cues, each with one to three phrases of the sentence. Every second one names the title.

    Phrases that are part of the title are left out if there are others, because they would fit every sentence.

    Args:
        source: The sentence that the cues lead to.
        count: How many cues; there are fewer if the sentence has few phrases.
        seed: Of the draws, together with the sentence.
        synonyms: Other words for some words. If given, some cues also name what the sentence refers back to.
    """
    title, draw, language = source.title, random.Random(f"{seed} {source.sentence}"), source.language
    all_phrases = partial_phrases_of(source.sentence, language)
    phrases = _outside_title(title, all_phrases) or all_phrases
    previous = _outside_title(title, phrases_of(source.previous, language)) if synonyms is not None else []
    if not phrases or _is_whole(phrases[:1], source.sentence):
        return []
    templates, names = _templates(language), set(names_of(source.sentence, language))
    question_words = _answerable_question_words(source)
    cues: dict[str, None] = {}
    for number in range(DRAWS * count):
        word = draw.choice(question_words) if question_words and draw.random() < TARGETED else ""
        candidates = _without_answer(word, phrases, names, draw, language) or phrases
        drawn = draw.sample(candidates, draw.randint(1, min(MAX_PHRASES, len(candidates))))
        if _is_whole(drawn, source.sentence):
            drawn = drawn[1:]
        drawn = [_lower_capitals(phrase, source, names, draw) for phrase in drawn]
        if previous and len(drawn) < MAX_PHRASES and draw.random() < BACKREFERENCE:
            drawn = [draw.choice(previous), *drawn]
        if synonyms:
            drawn = [_reword(phrase, synonyms, draw) for phrase in drawn]
        template = draw.choice(templates[word, bool(title) and number % 2 == 1])
        cues[fill(template, phrases=_enumerate(drawn, language), title=title)] = None
        if len(cues) == count:
            break
    return list(cues)


def _templates(language: str) -> dict[tuple[str, bool], list[str]]:
    """Cue templates, keyed by question word ("" for any that is neither a name nor a number word) and title or none.

    In a language without question words, the phrases stand alone or beside the title.
    """
    table = question_words_of(language)
    templates: dict[tuple[str, bool], list[str]] = {}
    for line in load_prompt(localized("cue", language) if table else "any/cue").splitlines():
        words = (*table.names, *table.numbers) if table else ()
        word = next((word for word in words if re.match(rf"{re.escape(word)}(?: |{{phrases}})", line)), "")
        templates.setdefault((word, "{title}" in line), []).append(line)
    return templates


def _answerable_question_words(source: Sentence) -> list[str]:
    """The name and number question words that the sentence may answer."""
    table, sentence = question_words_of(source.language), source.sentence
    if table is None:
        return []
    named = names_of_who_or_where(sentence, source.language)
    words = list(table.names) if named else [table.who] if table.person.search(sentence) else []
    if is_dated(sentence, source.language):
        words.append(table.when)
    if counts_something(sentence, source.language):
        words.append(table.how_many)
    return words


def _without_answer(
    word: str, phrases: Sequence[str], names: set[str], draw: random.Random, language: str
) -> Sequence[str]:
    """The phrases without what the question word asks for: without numbers, or without one of those with a name."""
    table = question_words_of(language)
    if table and word in table.numbers:
        return [stripped for phrase in phrases if (stripped := _without_numbers(phrase, language))]
    if table and word in table.names and (with_name := [phrase for phrase in phrases if names & {*phrase.split()}]):
        hidden = draw.choice(with_name)
        return [phrase for phrase in phrases if phrase != hidden]
    return phrases


def _without_numbers(phrase: str, language: str) -> str:
    return " ".join(word for word in phrase.split() if not has_number(word, language))


def _lower_capitals(phrase: str, source: Sentence, names: set[str], draw: random.Random) -> str:
    """Lower some words in CAPITALS and some capitals that begin the sentence, since questions do not have them.

    German nouns keep their capitals.
    """

    def lower(word: str) -> str:
        if len(word) > 1 and word.isalpha() and word.isupper():
            return word.lower() if draw.random() < LOWERED else word
        if source.sentence.startswith(word) and word not in names and source.language != "de":
            return word[:1].lower() + word[1:] if draw.random() < LOWERED else word
        return word

    return " ".join(map(lower, phrase.split()))


def _is_whole(phrases: Sequence[str], sentence: str) -> bool:
    """Whether phrases of a sentence are all of its words."""
    return sum(map(_letters, phrases)) >= _letters(sentence)


def _letters(text: str) -> int:
    return sum(char.isalnum() for char in text)


def _outside_title(title: str, phrases: Sequence[str]) -> list[str]:
    return [phrase for phrase in phrases if phrase.casefold() not in title.casefold()]


def _reword(phrase: str, synonyms: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    return " ".join(
        draw.choice(alternatives) if (alternatives := synonyms.get(word)) and draw.random() < REWORDED else word
        for word in phrase.split()
    )


def _enumerate(phrases: Sequence[str], language: str) -> str:
    table = question_words_of(language)
    joint, last_joint = (table.joint, table.last_joint) if table else (", ", ", ")
    *initial, last = phrases
    return f"{joint.join(initial)}{last_joint}{last}" if initial else last
