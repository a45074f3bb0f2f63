"""From the raw text of a self-edit to clean notes.

Patterns come from 400 self-edits of a 7B model and from what a 135M model writes. What is not a note: list markers,
headings, preambles, remarks about the task, echoes of the prompt, and everything after the model left the task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from seal_agent.errors import InputError
from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.pairs import looks_like_questions, read_pairs
from seal_agent.text.lines import Line, ends_a_sentence, read_lines, words
from seal_agent.types import Note, SelfEdit

_ROLE = re.compile(r"\s*(?:assistant|model)\s*(?::|\n)", re.IGNORECASE)  # a chat template's own label, said aloud
_HEADING_WORDS = 12  # a line this short that ends with a colon is a heading
_UNPUNCTUATED_HEADING_WORDS = 15  # in a rewrite, whose sentences end with full stops, so is one without


def parse(self_edit: SelfEdit, title: str = "") -> tuple[Note, ...]:
    """The notes in a self-edit's raw text, each once, in order; none for the format "passage".

    Question-answer formats give pairs, the others one note per line.
    """
    lines = read_lines(_without_role(self_edit.completion))
    asks = self_edit.format == "self-qa" or (self_edit.format.endswith(".txt") and looks_like_questions(lines))
    own = _on_task(lines, _instructions(self_edit.format, title), ends_after_list=not asks)
    notes = read_pairs(own) if asks else [Note(text) for text in _statements(own, title, self_edit.format)]
    return _unique(_without_broken_end(notes, self_edit.completion))


def _without_role(text: str) -> str:
    label = _ROLE.match(text)
    return text[label.end() :] if label else text


def notes_of(self_edits: Iterable[SelfEdit], title: str = "") -> tuple[Note, ...]:
    """Notes of several self-edits to be trained on, each once, in order: of a checked one, those that passed."""
    return _unique(note for edit in self_edits for note in _usable(edit, title))


def _usable(edit: SelfEdit, title: str) -> Iterable[Note]:
    if edit.checked is None:
        return parse(edit, title)
    return (checked.note for checked in edit.checked if checked.kept)


def _unique(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Notes that differ in more than case, spacing and punctuation."""
    first: dict[tuple[str, str], Note] = {}
    for note in notes:
        first.setdefault((words(note.text), words(note.answer or "")), note)
    return tuple(first.values())


# ---------------------------------------------------------------- is the model still on its task?

_SUBJECT = (
    r"(?:passages?|texts?|rewr\w+|implications?|lists?|versions?|facts?|questions?|sentences?|paraphras\w+|summar\w+)"
)
_INTERJECTION = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|great|alright|yes|no problem)[,!.:]"
_OFFER = (
    r"(?:here(?:['’]s| is| are)|below (?:is|are)|the following (?:is|are)|these are|as requested"
    r"|i(?:['’]ve|['’]ll| have| will| can) (?:rewr|provide|list|create|write|written|summar|paraphras|help))"
)
_TALK = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_INTERJECTION}(?:\s+\S+){{0,3}}$",
        rf"{_INTERJECTION}\s.*(?::$|\bhere\b|\bbelow\b|\bi['’]ll\b|\b{_SUBJECT}\b)",
        rf"{_OFFER}.*(?::$|\b{_SUBJECT}\b)",
        rf"(?:the )?(?:(?:list of |rewritten |long )?{_SUBJECT}|context|paragraph|note)\s*\d*\s*:?$",
        rf"(?:note|disclaimer)\b.*\b{_SUBJECT}\b",
        r"(?:these|the above|this list of) (?:implications|rewrites|rewritten|versions|questions|sentences)\b",
        r"(?:(?:yet )?another|this) (?:\w+ ){0,2}(?:version|way to (?:rephrase|rewrite|say))\b",
        r"by (?:asking|answering|reading) these\b",
        r"this question is\b",
        r"how(?:ever, )?i can simplify\b",
    )
)
_DRIFT = re.compile(
    r"you are an? (?:ai|helpful)\b|(?:human|user|system|assistant)\s*:|<\||```|please\b|thanks\b|ask me\b|choose the\b"
    r"|let us\b|let['’]s (?:try|test|read|discuss|take|see|go)\b|now,? (?:let|read|write|answer|the more)"
    r"|you have successfully\b|(?:can|could) you (?:go|please|think|.*\b(?:paraphrase|passage))\b"
    r"|(?:re)?write (?:a|the|this|down|questions)\b|create (?:a|long)\b|go through this passage"
    r"|given the (?:implications|passage|above)|guidelines for\b|references?\s*:"
    r"|.*\bquestion-answer (?:format|pairs)\b|.*\brewrit\w+ (?:this|the|a)(?: \w+)? (?:passage|text)\b",
    re.IGNORECASE,
)
_PASSAGE = re.compile(r"passage\s*\d*\s*:?$", re.IGNORECASE)


def _on_task(lines: Sequence[Line], instructions: str, ends_after_list: bool) -> list[Line]:
    """Lines up to where the model turns to something else, without what it says about its task."""
    kept: list[Line] = []
    labelled = False
    for line in lines:
        new_passage = bool(_PASSAGE.match(line.text)) and not labelled
        labelled = labelled or new_passage
        if _is_echo(line.text, instructions):
            continue
        drifted = new_passage or bool(_DRIFT.match(line.text))
        if kept and drifted:
            break
        if drifted or _is_talk(line.text):
            continue
        if ends_after_list and _follows_a_list(line, kept):
            break
        kept.append(line)
    return kept


def _is_talk(text: str) -> bool:
    return any(pattern.match(text) for pattern in _TALK)


def _is_echo(text: str, instructions: str) -> bool:
    """Three words or more that stand in the prompt outside the passage."""
    said = words(text)
    return said.count(" ") >= 2 and f" {said} " in f" {instructions} "


def _follows_a_list(line: Line, kept: Sequence[Line]) -> bool:
    """Prose behind a numbered list of whole sentences is a comment on it, or the model's next task."""
    listed = [earlier for earlier in kept if earlier.numbered]
    return not line.numbered and len(listed) >= 2 and kept[-1].numbered and ends_a_sentence(kept[-1].text)


def _instructions(name: str, title: str) -> str:
    """Words of a format's prompt without its passage; "" where its file is no longer there."""
    try:
        template = load_prompt(name)
    except InputError:
        return ""
    return words(fill(template, title=title, context="\n"))


# ---------------------------------------------------------------- statements

_TITLE_LINE = re.compile(r"(?:title|topic|subject|heading)\s*\d*\s*:", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:implication|fact|statement|sentence|text|(?:rewritten )?(?:passage|version|text|paragraph)|rewrite|version"
    r"|paragraph|point|note|summary|answer)s?(?:\s*#?\d+\s*[:.)–-]|\s*:)\s+",
    re.IGNORECASE,
)


def _statements(lines: Sequence[Line], title: str, format_name: str) -> list[str]:
    """Lines that state something: without headings, titles, and labels such as "Implication 3:"."""
    is_heading = _heading_test(lines, title, format_name)
    bare = [replace(line, text=_LABEL.sub("", line.text, count=1)) for line in lines]
    return [line.text for line in bare if not is_heading(line) and " " in words(line.text)]


def _heading_test(lines: Sequence[Line], title: str, format_name: str) -> Callable[[Line], bool]:
    has_sentences = format_name == "rewrite" and any(ends_a_sentence(line.text) for line in lines)

    def is_heading(line: Line) -> bool:
        length = len(line.text.split())
        if _TITLE_LINE.match(line.text) or words(line.text) == words(title):
            return True
        if line.text.endswith(":"):
            return length <= _HEADING_WORDS
        if ends_a_sentence(line.text):
            return False
        return line.bold or (has_sentences and length <= _UNPUNCTUATED_HEADING_WORDS)

    return is_heading


# ---------------------------------------------------------------- the end

# The last full stop that is no abbreviation's: two letters or more before it, a capital or quote behind it.
_WHOLE_SENTENCES = re.compile(
    r"""^(.*[\w)\]"”’%]{2}(?<!\b(?:St|Dr|Mr|Ms|No|Mt|Jr|Sr|vs))[.!?]["”’)]*)\s+(?=["“(]?[A-Z])""", re.DOTALL
)


_SHORT = 5  # words; a text this short may well end without a full stop, unless on one of these
_UNFINISHED = re.compile(r"(?:[,;:–-]|\b(?:an?|and|as|at|by|for|from|his|in|is|its|of|on|or|that|the|to|was|with))$")


def _seems_broken(text: str) -> bool:
    return not ends_a_sentence(text) and (len(text.split()) > _SHORT or bool(_UNFINISHED.search(text)))


def _without_broken_end(notes: list[Note], completion: str) -> list[Note]:
    """If the completion broke off in its last note where the others end as sentences do: trimmed, or dropped."""
    texts = [note.text if note.answer is None else note.answer for note in notes]
    if not texts or not _seems_broken(texts[-1]) or not completion.rstrip().endswith(texts[-1][-12:]):
        return notes
    if len(texts) > 1 and sum(map(ends_a_sentence, texts[:-1])) * 2 <= len(texts) - 1:
        return notes
    last = notes[-1]
    if whole := _WHOLE_SENTENCES.match(texts[-1]):
        trimmed = Note(whole.group(1)) if last.answer is None else Note(last.text, whole.group(1))
        return [*notes[:-1], trimmed]
    return notes[:-1] if len(notes) > 1 else notes
