"""Does the passage say what a line of a self-edit says?

Two views of a line decide. Its words: numbers and names that the passage lacks, loops, talk about the passage instead
of its subject, and how much of its wording stands together in the passage. And the model's own likelihood of the line,
with the passage in its prompt and without.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from rapidfuzz import fuzz

from seal_agent.config import Strictness
from seal_agent.generation.engine import Engine
from seal_agent.text.lines import ends_a_sentence
from seal_agent.text.phrases import names_of, sentences_of
from seal_agent.text.words import centuries, content_of, in_century, is_number, nearness, words_of
from seal_agent.types import CheckedNote, Message, Note

Written = tuple[str, str, Sequence[Note]]
"""A title, the passage, and notes about it."""

# Fitted by `python benchmarks/verification.py --fit` to lines labelled by hand, tests/self_edits/labelled_lines.json.
# The signs of the last two say: of lines in equally foreign words, those that the model expects are less often true.
INTERCEPT = -10.09
WEIGHTS: Mapping[str, float] = {
    "same_words": 6.81,
    "same_sentence": 5.25,
    "covered": 3.41,
    "gain": -0.35,
    "likely": -0.54,
}
LEAST_SUPPORTED = 0.35  # probability, our choice: of false lines a fifth is kept, of true ones a seventh lost
LONGEST_FRAGMENT = 5  # words; longer lines may well lack their full stop
SAME_LINE = 92  # rapidfuzz ratio, 0..100, from which two lines say the same in the same words
MEAN_REPEATS = 2.0  # times that the mean word of a line without a loop hardly ever occurs in it

_ABOUT_THE_PROMPT = re.compile(
    r"(?:the|this) (?:passage|text|list|sentence)\b|\b(?:short|long), complete sentence|\bkeep names\b", re.IGNORECASE
)


def split_notes(notes: Sequence[Note]) -> list[Note]:
    """Statements cut into sentences, since one line often holds true and false ones; pairs as they are."""
    return [
        part
        for note in notes
        for part in ([note] if note.answer is not None else [Note(s) for s in sentences_of(note.text)])
    ]


def verify(engine: Engine, written: Sequence[Written], strictness: Strictness) -> list[tuple[CheckedNote, ...]]:
    """A verdict on each note of each passage, in order, by the base model.

    "strict" and "lenient" remove loops, repeats, talk about the prompt, and numbers and names that the passage lacks;
    "strict" also removes what neither the passage's words nor the likelihood given the passage support.
    """
    if strictness == "off":
        return [tuple(CheckedNote(note, True) for note in notes) for _, _, notes in written]
    reasons = [[flaw(title, passage, note) for note in notes] for title, passage, notes in written]
    if strictness == "strict":
        _find_unsupported(engine, written, reasons)
    return [_with_repeats(notes, flaws) for (_, _, notes), flaws in zip(written, reasons, strict=True)]


def _find_unsupported(engine: Engine, written: Sequence[Written], reasons: Sequence[list[str]]) -> None:
    """Fill in reasons for notes that had none."""
    open_ones = [
        (title, passage, note, at, i)
        for (title, passage, notes), at in zip(written, reasons, strict=True)
        for i, note in enumerate(notes)
        if not at[i]
    ]
    likely = likelihoods(engine, [(title, passage, note) for title, passage, note, _, _ in open_ones])
    for (title, passage, note, at, i), (given, alone) in zip(open_ones, likely, strict=True):
        measured = measures(title, passage, note, given, alone)
        if probability(measured) <= LEAST_SUPPORTED:
            at[i] = (
                f"the passage does not support it: {measured['covered']:.0%} of its words stand together there, "
                f"which makes it likelier by {measured['gain']:.1f} nats per token"
            )


def _with_repeats(notes: Sequence[Note], reasons: Sequence[str]) -> tuple[CheckedNote, ...]:
    checked: list[CheckedNote] = []
    for note, reason in zip(notes, reasons, strict=True):
        said_before = any(c.kept and _same(c.note, note) for c in checked)
        reason = reason or ("repeats an earlier line" if said_before else "")
        checked.append(CheckedNote(note, not reason, reason))
    return tuple(checked)


def flaw(title: str, passage: str, note: Note) -> str:
    """What the words alone show to be wrong with a note; "" for nothing."""
    text = _claim(note)
    said = content_of(text)
    if _ABOUT_THE_PROMPT.search(note.text):
        return "is about the prompt, not its subject"
    if note.answer is None and (len(words_of(text)) < 4 or _is_fragment(text)):
        return "is no whole statement"
    if len(said) / max(1, len(set(said))) >= MEAN_REPEATS:
        return "goes round in a loop"
    known = _known(title, passage, note)
    dated = {str(century) for century in centuries(text) if any(in_century(word, century) for word in known)}
    if numbers := [word for word in said if is_number(word) and word != "1" and word not in {*known, *dated}]:
        return f"has a number that the passage lacks: {numbers[0]}"
    names = [name for name in names_of(text) if any(nearness(w, known, ()) < 0.8 for w in content_of(name))]
    return f"has a name that the passage lacks: {names[0]}" if names else ""


def measures(title: str, passage: str, note: Note, given: float, alone: float) -> dict[str, float]:
    """What speaks for a note, in numbers; `given` and `alone` as `likelihoods` gives them.

    same_words     rapidfuzz's partial ratio of the note and the passage, 0..1: letters of their likest places
    same_sentence  token sort ratio of the content words of the note and the likest sentence, 0..1
    covered        share of the content words of the note that one sentence (or the title) has, 0..1
    gain           how much likelier the passage makes the note, nats per token
    likely         log-likelihood of the note with the passage in view, nats per token
    """
    claim = _claim(note)
    said, named = content_of(claim), frozenset((*words_of(title), *(words_of(note.text) if note.answer else ())))
    sentences = [content_of(sentence) for sentence in sentences_of(passage)] or [()]
    return {
        "same_words": fuzz.partial_ratio(claim, passage) / 100,
        "same_sentence": max(fuzz.token_sort_ratio(" ".join(said), " ".join(words)) for words in sentences) / 100,
        "covered": max(sum(w in words or w in named for w in said) for words in sentences) / max(1, len(said)),
        "gain": given - alone,
        "likely": given,
    }


def probability(measured: Mapping[str, float]) -> float:
    """That a reader would find the note in the passage, 0..1."""
    return 1 / (1 + math.exp(-INTERCEPT - sum(WEIGHTS[name] * value for name, value in measured.items())))


def likelihoods(engine: Engine, notes: Sequence[tuple[str, str, Note]]) -> list[tuple[float, float]]:
    """Log-likelihood of each (title, passage, note) with and without the passage, in nats per token of the note."""
    prompts, claims = [], []
    for title, passage, note in notes:
        task = f"State one fact about {title or 'this'}." if note.answer is None else f"Topic: {title}\n{note.text}"
        prompts += [(Message("user", f"{passage}\n\n{task}"),), (Message("user", task),)]
        claims += [_claim(note)] * 2
    scores = engine.score(prompts, claims)
    means = [sum(scored) / max(1, len(scored)) for scored in scores]
    return list(zip(means[::2], means[1::2], strict=True))


def _is_fragment(text: str) -> bool:
    return not ends_a_sentence(text) and len(text.split()) <= LONGEST_FRAGMENT


def _claim(note: Note) -> str:
    return note.text if note.answer is None else note.answer


def _known(title: str, passage: str, note: Note) -> frozenset[str]:
    asked = words_of(note.text) if note.answer is not None else ()
    return frozenset((*words_of(passage), *words_of(title), *asked))


def _same(left: Note, right: Note) -> bool:
    pair = (f"{note.text} {note.answer or ''}".casefold() for note in (left, right))
    return bool(fuzz.ratio(*pair) >= SAME_LINE)
