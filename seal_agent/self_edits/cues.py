"""Cues: a few phrases of a sentence behind a question word, which lead to it as a question would.

They need no model, so there can be many of them, and they reach what no question asked for. What a small model learns
of them is which words go with which sentence, and question words are words too: a cue that asks "who" of a sentence
without a person, or "how many" with the number beside it, teaches that who and how many mean nothing. So half of the
cues ask for what the sentence has, a person, place, time or number, and leave it out; others begin with words that fit
any sentence.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence

from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.questions import Sentence, is_dated
from seal_agent.text.phrases import names_of, phrases_of
from seal_agent.text.words import has_number

MOST_PHRASES = 3  # of a cue; with more of them it is the sentence over again
POINTED = 1 / 3  # our choice: share of the cues that name what their sentence points back to, where it does
REWORDED = 0.5  # our choice: share of the words that are put in other words, where there are some
FITTING = 0.5  # our choice: share of the cues that ask for a person, place, time or number, where there is one
RECASED = 0.5  # our choice: share of the capitals that are no name's and are made small
DRAWS = 3  # our choice: for each cue that is wanted, since some come twice
NAMED, COUNTED = ("Who", "Where"), ("When", "How many")
_PERSON = re.compile(r"\b(?:he|she|his|her|I|my|we)\b")


def cues_of(
    source: Sentence, count: int, seed: int = 0, synonyms: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """At most `count` different cues, each of one to three phrases of the sentence; every second one names the title.

    Phrases that are part of the title are left out, where there are others: all sentences answer to those. With
    `synonyms` a cue is put in other words here and there, and may name what its sentence points back to.
    """
    title, draw = source.title, random.Random(f"{seed} {source.sentence}")
    every = phrases_of(source.sentence)
    phrases = _besides(title, every) or every
    before = _besides(title, phrases_of(source.before)) if synonyms is not None else []
    if not phrases:
        return []
    templates, names, fitting = _templates(), set(names_of(source.sentence)), _fitting(source.sentence)
    cues: dict[str, None] = {}
    for number in range(DRAWS * count):
        word = draw.choice(fitting) if fitting and draw.random() < FITTING else ""
        left = _left_out(word, phrases, names, draw) or phrases
        drawn = draw.sample(left, draw.randint(1, min(MOST_PHRASES, len(left))))
        drawn = [_recased(phrase, source.sentence, names, draw) for phrase in drawn]
        if before and len(drawn) < MOST_PHRASES and draw.random() < POINTED:
            drawn = [draw.choice(before), *drawn]
        if synonyms:
            drawn = [_reworded(phrase, synonyms, draw) for phrase in drawn]
        template = draw.choice(templates[word, bool(title) and number % 2 == 1])
        cues[fill(template, phrases=_listed(drawn), title=title)] = None
        if len(cues) == count:
            break
    return list(cues)


def _templates() -> dict[tuple[str, bool], list[str]]:
    """By the word of `NAMED` or `COUNTED` that they begin with, "" for another, and by whether they name the title."""
    found: dict[tuple[str, bool], list[str]] = {}
    for line in load_prompt("cue").splitlines():
        word = next((word for word in (*NAMED, *COUNTED) if line.startswith(f"{word} ")), "")
        found.setdefault((word, "{title}" in line), []).append(line)
    return found


def _fitting(sentence: str) -> list[str]:
    """The question words, of those that ask for something of its own kind, that the sentence may answer."""
    words = list(NAMED) if names_of(sentence) else ["Who"] if _PERSON.search(sentence) else []
    if is_dated(sentence):
        words.append("When")
    if has_number(sentence):
        words.append("How many")
    return words


def _left_out(word: str, phrases: Sequence[str], names: set[str], draw: random.Random) -> Sequence[str]:
    """The phrases without what the question word asks for: numbers, or one of those with a name in it."""
    if word in COUNTED:
        return [rest for phrase in phrases if (rest := _without_numbers(phrase))]
    if word in NAMED and (named := [phrase for phrase in phrases if names & {*phrase.split()}]):
        hidden = draw.choice(named)
        return [phrase for phrase in phrases if phrase != hidden]
    return phrases


def _without_numbers(phrase: str) -> str:
    return " ".join(word for word in phrase.split() if not has_number(word))


def _recased(phrase: str, sentence: str, names: set[str], draw: random.Random) -> str:
    """CAPITALS and the capital that a sentence begins with, made small here and there: questions do not have them."""

    def recased(word: str) -> str:
        if len(word) > 1 and word.isalpha() and word.isupper():
            return word.lower() if draw.random() < RECASED else word
        if sentence.startswith(word) and word not in names:
            return word[:1].lower() + word[1:] if draw.random() < RECASED else word
        return word

    return " ".join(map(recased, phrase.split()))


def _besides(title: str, phrases: Sequence[str]) -> list[str]:
    return [phrase for phrase in phrases if phrase.casefold() not in title.casefold()]


def _reworded(phrase: str, synonyms: Mapping[str, Sequence[str]], draw: random.Random) -> str:
    return " ".join(
        draw.choice(others) if (others := synonyms.get(word)) and draw.random() < REWORDED else word
        for word in phrase.split()
    )


def _listed(phrases: Sequence[str]) -> str:
    *others, last = phrases
    return f"{', '.join(others)} and {last}" if others else last
