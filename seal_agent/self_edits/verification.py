"""Verifies notes: does the passage support what a note says?

Two kinds of evidence decide. One is the note's words: numbers, units, times and names that the passage lacks, a denial
of what it says, loops, remarks about the passage instead of its subject, and how much of the note's wording stands
together in the passage. The other is the model's own likelihood of the note, with the passage in the prompt and without
it.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz

from seal_agent.config import Strictness
from seal_agent.generation.engine import Engine
from seal_agent.self_edits.denials import denial
from seal_agent.self_edits.figures import figures_of, lacking, without_known_centuries
from seal_agent.text.languages import language_of
from seal_agent.text.lines import ends_a_sentence
from seal_agent.text.phrases import names_of
from seal_agent.text.scripts import UNSPACED, word_count
from seal_agent.text.sentences import sentences_of
from seal_agent.text.words import content_words, negates, word_match, words_of
from seal_agent.types import CheckedNote, Message, Note

PassageNotes = tuple[str, str, Sequence[Note]]
"""A title, a passage, and notes about the passage."""

# Fitted by `python benchmarks/verification.py --fit` to lines labelled by hand, tests/self_edits/labelled_lines.json.
# The last two weights are negative: among lines with equally foreign wording, those that the model expects are less
# often true.
INTERCEPT = -10.09
WEIGHTS: Mapping[str, float] = {
    "same_words": 6.81,
    "same_sentence": 5.25,
    "covered": 3.41,
    "gain": -0.35,
    "likely": -0.54,
}
SUPPORT_THRESHOLD = 0.35  # probability; keeps a fifth of the false lines and loses a seventh of the true ones
MIN_WORDS = 4  # of a statement; shorter lines are headings or cells
MIN_CHARACTERS = 4  # the same in a script without spaces: 塔高四米
MAX_FRAGMENT_WORDS = 5  # longer lines may be complete without a full stop
REPEAT_RATIO = 92  # rapidfuzz ratio, 0..100, from which two notes count as the same
LOOP_RATIO = 2.0  # content words per distinct content word; hardly any line without a loop reaches it

_ABOUT_THE_PROMPT = re.compile(
    r"(?:the|this) (?:passage|text|list|sentence)\b|\b(?:short|long), complete sentence|\bkeep names\b", re.IGNORECASE
)


def split_notes(notes: Sequence[Note]) -> list[Note]:
    """Split statements into sentences, because one line often has true and false ones. Pairs stay whole."""
    language = language_of("\n".join(note.text for note in notes))
    return [
        part
        for note in notes
        for part in (
            [note] if note.answer is not None else [Note(sentence) for sentence in sentences_of(note.text, language)]
        )
    ]


def verify(engine: Engine, passages: Sequence[PassageNotes], strictness: Strictness) -> list[tuple[CheckedNote, ...]]:
    """Check the notes of each passage with the base model; one tuple per passage, in order.

    "strict" and "lenient" remove loops, repeats, remarks about the prompt, denials of what the passage says, and
    numbers and names that the passage lacks. "strict" also removes notes that neither the passage's wording nor the
    likelihood supports. "off" keeps all.
    """
    if strictness == "off":
        return [tuple(CheckedNote(note, True) for note in notes) for _, _, notes in passages]
    flaws = [[flaw(title, passage, note) for note in notes] for title, passage, notes in passages]
    if strictness == "strict":
        _add_unsupported(engine, passages, flaws)
    return [_check(notes, note_flaws) for (_, _, notes), note_flaws in zip(passages, flaws, strict=True)]


def _add_unsupported(engine: Engine, passages: Sequence[PassageNotes], flaws: Sequence[list[str]]) -> None:
    """Fill in the flaws of unsupported notes that have none yet."""
    flawless = [
        (title, passage, note, note_flaws, i)
        for (title, passage, notes), note_flaws in zip(passages, flaws, strict=True)
        for i, note in enumerate(notes)
        if not note_flaws[i]
    ]
    scores = likelihoods(engine, [(title, passage, note) for title, passage, note, _, _ in flawless])
    for (title, passage, note, note_flaws, i), (with_passage, without) in zip(flawless, scores, strict=True):
        features = support_features(title, passage, note, with_passage, without)
        if probability(features) <= SUPPORT_THRESHOLD:
            note_flaws[i] = (
                f"the passage does not support it: {features['covered']:.0%} of its words stand together there, "
                f"which makes it likelier by {features['gain']:.1f} nats per token"
            )


def _check(notes: Sequence[Note], flaws: Sequence[str]) -> tuple[CheckedNote, ...]:
    """The notes with their flaws, and with repeats of kept notes removed."""
    checked: list[CheckedNote] = []
    for note, note_flaw in zip(notes, flaws, strict=True):
        is_repeat = any(earlier.kept and _is_same(earlier.note, note) for earlier in checked)
        reason = note_flaw or ("repeats an earlier line" if is_repeat else "")
        checked.append(CheckedNote(note, not reason, reason))
    return tuple(checked)


def flaw(title: str, passage: str, note: Note) -> str:
    """What is wrong with a note, judged by its words alone; "" if nothing."""
    text, language = _claim(note), language_of(passage)
    words = content_words(text, language)
    if any(phrase.casefold() not in passage.casefold() for phrase in _ABOUT_THE_PROMPT.findall(note.text)):
        return "is about the prompt, not its subject"
    if note.answer is None and (_is_short(text) or _is_fragment(text)):
        return "is no whole statement"
    if len(words) / max(1, len(set(words))) >= LOOP_RATIO:
        return "goes round in a loop"
    known = [figures_of(source, language) for source in (passage, title, note.text if note.answer else "") if source]
    if number := lacking(text, known, language):
        return f"has a number that the passage lacks: {number}"
    source_words = _source_words(title, passage, note, language)
    names = [
        name
        for name in (() if text.isupper() else names_of(without_known_centuries(text, known), language))
        if any(word_match(word, source_words, ()) < 0.8 for word in content_words(name, language))
    ]
    if names:
        return f"has a name that the passage lacks: {names[0]}"
    if note.answer is not None and negates(words_of(note.text, language), language):
        return ""  # an answer need not repeat the negation of its question
    return denial(text, _sentences(passage, language), title, language)


def support_features(title: str, passage: str, note: Note, with_passage: float, without: float) -> dict[str, float]:
    """Features of how well the passage supports a note; `with_passage` and `without` are its `likelihoods`.

    same_words     rapidfuzz's partial ratio, 0..1: letters of the note against the best matching part of the passage
    same_sentence  token sort ratio of the content words of the note and of the best matching sentence, 0..1
    covered        share of the note's content words in one sentence, the title or the note's question, 0..1
    gain           how much likelier the passage makes the note, nats per token
    likely         log-likelihood of the note with the passage in the prompt, nats per token
    """
    claim, language = _claim(note), language_of(passage)
    words = content_words(claim, language)
    shared = frozenset((*words_of(title, language), *(words_of(note.text, language) if note.answer else ())))
    sentences = [content_words(sentence, language) for sentence in sentences_of(passage, language)] or [()]
    covered = max(sum(word in sentence or word in shared for word in words) for sentence in sentences)
    return {
        "same_words": fuzz.partial_ratio(claim, passage) / 100,
        "same_sentence": max(fuzz.token_sort_ratio(" ".join(words), " ".join(sentence)) for sentence in sentences)
        / 100,
        "covered": covered / max(1, len(words)),
        "gain": with_passage - without,
        "likely": with_passage,
    }


def probability(features: Mapping[str, float]) -> float:
    """Probability that a reader would find the note in the passage, 0..1."""
    return 1 / (1 + math.exp(-INTERCEPT - sum(WEIGHTS[name] * value for name, value in features.items())))


def likelihoods(engine: Engine, notes: Sequence[tuple[str, str, Note]]) -> list[tuple[float, float]]:
    """Log-likelihood of each (title, passage, note) with and without the passage, in nats per token of the note."""
    prompts, claims = [], []
    for title, passage, note in notes:
        task = f"State one fact about {title or 'this'}." if note.answer is None else f"Topic: {title}\n{note.text}"
        prompts += [(Message("user", f"{passage}\n\n{task}"),), (Message("user", task),)]
        claims += [_claim(note)] * 2
    scores = engine.score(prompts, claims)
    means = [sum(token_scores) / max(1, len(token_scores)) for token_scores in scores]
    return list(zip(means[::2], means[1::2], strict=True))


@functools.lru_cache(maxsize=256)
def _sentences(passage: str, language: str) -> tuple[str, ...]:
    return tuple(sentences_of(passage, language))


def _is_fragment(text: str) -> bool:
    return not ends_a_sentence(text) and word_count(text) <= MAX_FRAGMENT_WORDS


def _is_short(text: str) -> bool:
    unspaced = len(UNSPACED.findall(text))
    return unspaced < MIN_CHARACTERS if unspaced else len(words_of(text)) < MIN_WORDS


def _claim(note: Note) -> str:
    """What the note claims: a statement, or the answer of a pair."""
    return note.text if note.answer is None else note.answer


def _source_words(title: str, passage: str, note: Note, language: str) -> frozenset[str]:
    """Words that a note may use: those of the passage, the title and the note's own question."""
    question_words = words_of(note.text, language) if note.answer is not None else ()
    return frozenset((*words_of(passage, language), *words_of(title, language), *question_words))


def _is_same(left: Note, right: Note) -> bool:
    pair = (f"{note.text} {note.answer or ''}".casefold() for note in (left, right))
    return bool(fuzz.ratio(*pair) >= REPEAT_RATIO)
