"""Does the passage say what a line of a self-edit says?

Two views of a line decide. Its words: numbers, names and other content words that the passage lacks, loops, and talk
about the passage instead of its subject. And the model's own likelihood of the line, with the passage in its prompt
against without: a line that the passage supports becomes much likelier by it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rapidfuzz import fuzz

from seal_agent.engine.base import Engine
from seal_agent.inner_loop.lora import LoraAdapter
from seal_agent.knowledge.lexical import content_of, found, is_number, words_of
from seal_agent.types import Message, Note

Strictness = Literal["strict", "lenient"]

# Fitted on lines labelled by hand (tests/labelled_lines.json): share of foreign content words, minus this much for
# every nat per token that the passage adds to the line's likelihood.
SUPPORT_WEIGHT = 0.1
MOST_UNSUPPORTED = 0.12
SAME_LINE = 92  # rapidfuzz ratio, 0..100, from which two lines say the same in the same words
MEAN_REPEATS = 2.0  # times that the mean word of a line without a loop hardly ever occurs in it

_SENTENCES = re.compile(
    r"""(?<=[\w)\]"”’%'][.!?])(?<!\b(?:St|Dr|Mr|Ms|No|Mt|Jr|Sr|vs)\.)(?<!\b[A-Z]\.)\s+(?=["“(']?[A-Z])"""
)
_NAME = re.compile(r"(?<![.!?:\s])\s+[\"“'(]?([A-Z][^\W\d_]+)")
_ABOUT_THE_PROMPT = re.compile(
    r"(?:the|this) (?:passage|text|list|sentence)\b|\b(?:short|long), complete sentence|\bkeep names\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class CheckedNote:
    """A note, whether it may be trained on, and why not."""

    note: Note
    kept: bool
    reason: str = ""


def split_notes(notes: Sequence[Note]) -> list[Note]:
    """Statements cut into sentences, since one line often holds true and false ones; pairs as they are."""
    return [
        part
        for note in notes
        for part in ([note] if note.answer is not None else [Note(s) for s in _SENTENCES.split(note.text)])
    ]


def verify(
    engine: Engine,
    title: str,
    passage: str,
    notes: Sequence[Note],
    strictness: Strictness = "strict",
    adapter: LoraAdapter | None = None,
) -> list[CheckedNote]:
    """A verdict on each note, in order.

    Both levels remove loops, repeats, talk about the prompt, and numbers and names that the passage lacks; "strict"
    also removes what neither the passage's words nor the likelihood given the passage support.
    """
    reasons = [flaw(title, passage, note) for note in notes]
    if strictness == "strict":
        open_ones = [i for i, reason in enumerate(reasons) if not reason]
        gains = support(engine, title, passage, [notes[i] for i in open_ones], adapter)
        for i, gain in zip(open_ones, gains, strict=True):
            foreign = unsupported_share(title, passage, notes[i])
            if foreign - SUPPORT_WEIGHT * gain > MOST_UNSUPPORTED:
                reasons[i] = f"the passage does not support it: {foreign:.0%} foreign words, {gain:+.1f} nats per token"
    checked: list[CheckedNote] = []
    for note, reason in zip(notes, reasons, strict=True):
        said_before = any(c.kept and _same(c.note, note) for c in checked)
        reason = reason or ("repeats an earlier line" if said_before else "")
        checked.append(CheckedNote(note, not reason, reason))
    return checked


def flaw(title: str, passage: str, note: Note) -> str:
    """What the words alone show to be wrong with a note; "" for nothing."""
    text = _claim(note)
    said = content_of(text)
    if _ABOUT_THE_PROMPT.search(note.text):
        return "is about the prompt, not its subject"
    if note.answer is None and len(words_of(text)) < 4:
        return "is no whole statement"
    if len(said) / max(1, len(set(said))) >= MEAN_REPEATS:
        return "goes round in a loop"
    known = _known(title, passage, note)
    if numbers := [word for word in said if is_number(word) and word != "1" and word not in known]:
        return f"has a number that the passage lacks: {numbers[0]}"
    names = [name for name in _NAME.findall(text) if any(found(w, known, ()) < 0.8 for w in content_of(name))]
    return f"has a name that the passage lacks: {names[0]}" if names else ""


def unsupported_share(title: str, passage: str, note: Note) -> float:
    """Share of a note's content words that stand neither in the passage nor in its title or question, 0..1."""
    known, said = _known(title, passage, note), content_of(_claim(note))
    return sum(word not in known for word in said) / max(1, len(said))


def support(
    engine: Engine, title: str, passage: str, notes: Sequence[Note], adapter: LoraAdapter | None = None
) -> list[float]:
    """How much likelier the passage makes each note, in nats per token of the note."""
    prompts, claims = [], []
    for note in notes:
        task = f"State one fact about {title or 'this'}." if note.answer is None else f"Topic: {title}\n{note.text}"
        prompts += [(Message("user", f"{passage}\n\n{task}"),), (Message("user", task),)]
        claims += [_claim(note)] * 2
    scores = engine.score(prompts, claims, [adapter] * len(prompts))
    means = [sum(scored) / max(1, len(scored)) for scored in scores]
    return [given - alone for given, alone in zip(means[::2], means[1::2], strict=True)]


def _claim(note: Note) -> str:
    return note.text if note.answer is None else note.answer


def _known(title: str, passage: str, note: Note) -> frozenset[str]:
    asked = words_of(note.text) if note.answer is not None else ()
    return frozenset((*words_of(passage), *words_of(title), *asked))


def _same(left: Note, right: Note) -> bool:
    pair = (f"{note.text} {note.answer or ''}".casefold() for note in (left, right))
    return bool(fuzz.ratio(*pair) >= SAME_LINE)
