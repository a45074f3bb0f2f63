"""Does the passage say what a line of a self-edit says?

Two views of a line decide. Its words: numbers, names and other content words that the passage lacks, loops, and talk
about the passage instead of its subject. And the model's own likelihood of the line, with the passage in its prompt
against without: a line that the passage supports becomes much likelier by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from rapidfuzz import fuzz

from seal_agent.config import Strictness
from seal_agent.engine.base import Engine
from seal_agent.knowledge.lexical import content_of, found, is_number, words_of
from seal_agent.knowledge.phrases import names_of, sentences_of
from seal_agent.knowledge.text_lines import ends_a_sentence
from seal_agent.types import CheckedNote, Message, Note

Written = tuple[str, str, Sequence[Note]]
"""A title, the passage, and notes about it."""

# Fitted on lines labelled by hand (tests/labelled_lines.json): the share of foreign content words, minus the share of
# word pairs that stand side by side in the passage too, minus this much for every nat per token that the passage adds
# to the line's likelihood. Weights of 0.05 to 0.1, and of 0.6 to 1 for the pairs, do about equally well there.
SUPPORT_WEIGHT = 0.05
MOST_UNSUPPORTED = -0.26
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
    gains = support(engine, [(title, passage, note) for title, passage, note, _, _ in open_ones])
    for (title, passage, note, at, i), gain in zip(open_ones, gains, strict=True):
        foreign, borrowed = unsupported_share(title, passage, note), borrowed_share(passage, note)
        if foreign - borrowed - SUPPORT_WEIGHT * gain > MOST_UNSUPPORTED:
            at[i] = (
                f"the passage does not support it: {foreign:.0%} foreign words, {borrowed:.0%} of its wording, "
                f"{gain:+.1f} nats per token"
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
    if numbers := [word for word in said if is_number(word) and word != "1" and word not in known]:
        return f"has a number that the passage lacks: {numbers[0]}"
    names = [name for name in names_of(text) if any(found(w, known, ()) < 0.8 for w in content_of(name))]
    return f"has a name that the passage lacks: {names[0]}" if names else ""


def unsupported_share(title: str, passage: str, note: Note) -> float:
    """Share of a note's content words that stand neither in the passage nor in its title or question, 0..1."""
    known, said = _known(title, passage, note), content_of(_claim(note))
    return sum(word not in known for word in said) / max(1, len(said))


def borrowed_share(passage: str, note: Note) -> float:
    """Share of a note's pairs of neighbouring words that are neighbours in the passage too, 0..1."""
    there, said = words_of(passage), words_of(_claim(note))
    neighbours = set(pairwise(there))
    return sum(pair in neighbours for pair in pairwise(said)) / max(1, len(said) - 1)


def support(engine: Engine, notes: Sequence[tuple[str, str, Note]]) -> list[float]:
    """How much likelier its passage makes each (title, passage, note), in nats per token of the note."""
    prompts, claims = [], []
    for title, passage, note in notes:
        task = f"State one fact about {title or 'this'}." if note.answer is None else f"Topic: {title}\n{note.text}"
        prompts += [(Message("user", f"{passage}\n\n{task}"),), (Message("user", task),)]
        claims += [_claim(note)] * 2
    scores = engine.score(prompts, claims)
    means = [sum(scored) / max(1, len(scored)) for scored in scores]
    return [given - alone for given, alone in zip(means[::2], means[1::2], strict=True)]


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
