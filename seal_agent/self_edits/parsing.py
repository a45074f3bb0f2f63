"""Parses the raw text of a self-edit into clean notes.

The patterns come from 400 self-edits of a 7B model and from what a 135M model writes. These are removed: list markers,
headings, preambles, remarks about the task, echoes of the prompt, and everything after the model left its task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from seal_agent.errors import InputError
from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.pairs import PAIRED_FORMATS, looks_like_questions, read_pairs
from seal_agent.text.languages import language_of
from seal_agent.text.lines import Line, ends_a_sentence, has_two_words, normalize, read_lines
from seal_agent.text.reasoning import without_reasoning
from seal_agent.text.scripts import word_count
from seal_agent.text.sentences import sentences_of
from seal_agent.types import Note, SelfEdit

_ROLE = re.compile(r"\s*(?:assistant|model)\s*(?::|\n)", re.IGNORECASE)  # a chat template's label, written out
_HEADING_WORDS = 12  # a line this short that ends with a colon is a heading
_UNPUNCTUATED_HEADING_WORDS = 15  # so is a line this short without a full stop, in a rewrite that has full stops


def parse(self_edit: SelfEdit, title: str = "") -> tuple[Note, ...]:
    """The notes in a self-edit's raw text, in order and without duplicates; none for the format "passage".

    Question-answer formats give pairs, the others one note per line.
    """
    lines = read_lines(_without_role(without_reasoning(self_edit.completion)))
    may_have_pairs = self_edit.format.endswith(".txt") and looks_like_questions(lines)
    has_pairs = self_edit.format in PAIRED_FORMATS or may_have_pairs
    lines = _on_task(lines, _instructions(self_edit.format, title), ends_after_list=not has_pairs)
    notes = read_pairs(lines) if has_pairs else [Note(text) for text in _statements(lines, title, self_edit.format)]
    return _unique(_without_truncated_end(notes, self_edit.completion))


def _without_role(text: str) -> str:
    label = _ROLE.match(text)
    return text[label.end() :] if label else text


def notes_of(self_edits: Iterable[SelfEdit], title: str = "") -> tuple[Note, ...]:
    """The trainable notes of several self-edits, in order and without duplicates. Checked notes must have passed."""
    return _unique(note for edit in self_edits for note in _trainable_notes(edit, title))


def _trainable_notes(edit: SelfEdit, title: str) -> Iterable[Note]:
    if edit.checked is None:
        return parse(edit, title)
    return (checked.note for checked in edit.checked if checked.kept)


def _unique(notes: Iterable[Note]) -> tuple[Note, ...]:
    """The first of notes that differ only in case, spacing and punctuation."""
    unique: dict[tuple[str, str], Note] = {}
    for note in notes:
        unique.setdefault((normalize(note.text), normalize(note.answer or "")), note)
    return tuple(unique.values())


# ---------------------------------------------------------------- off-task text

_SUBJECT = (
    r"(?:passages?|texts?|rewr\w+|implications?|lists?|versions?|facts?|questions?|sentences?|paraphras\w+|summar\w+)"
)
_INTERJECTION = r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|great|alright|yes|no problem)[,!.:]"
_OFFER = (
    r"(?:here(?:['’]s| is| are)|below (?:is|are)|the following (?:is|are)|these are|as requested"
    r"|i(?:['’]ve|['’]ll| have| will| can) (?:rewr|provide|list|create|write|written|summar|paraphras|help))"
)
_TASK_REMARKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_INTERJECTION}(?:\s+\S+){{0,3}}$",
        rf"{_INTERJECTION}\s.*(?::$|\bhere\b|\bbelow\b|\bi['’]ll\b|\b{_SUBJECT}\b)",
        rf"{_OFFER}.*(?::$|\b{_SUBJECT}\b)",
        rf"(?:the )?(?:(?:list of |rewritten |long )?{_SUBJECT}|context|paragraph|note)\s*\d*\s*:?$",
        r"(?:these|the above|this list of) (?:implications|rewrites|rewritten|versions|questions|sentences)\b",
        r"(?:(?:yet )?another|this) (?:\w+ ){0,2}way to (?:rephrase|rewrite|say)\b",
        r"by (?:asking|answering|reading) these\b",
        r"this question is\b",
        r"how(?:ever, )?i can simplify\b",
    )
)
_LOOSE_REMARKS = re.compile(  # of an item of a list, they may say what the passage says
    rf"(?:note|disclaimer)\b.*\b{_SUBJECT}\b|(?:(?:yet )?another|this) (?:\w+ ){{0,2}}version\b", re.IGNORECASE
)
_LEAVES_LIST = re.compile(  # what addresses the task; other requests in a list may be the passage's own
    r"you are an? (?:ai|helpful)\b|<\||```|ask me\b|you have successfully\b|given the (?:implications|passage|above)"
    rf"|(?:please|now|thanks|let us|let['’]s|can you|could you|(?:re)?write|create|go through)\b.*\b{_SUBJECT}\b"
    r"|.*\bquestion-answer (?:format|pairs)\b|.*\brewrit\w+ (?:this|the|a)(?: \w+)? (?:passage|text)\b",
    re.IGNORECASE,
)
_DRIFT = re.compile(
    r"you are an? (?:ai|helpful)\b|(?:human|user|system|assistant)\s*:|<\||```|please\b|thanks\b(?! to\b)|ask me\b"
    r"|choose the\b|let us\b|let['’]s (?:try|test|read|discuss|take|see|go)\b|now,? (?:let|read|write|answer|the more)"
    r"|you have successfully\b|(?:can|could) you (?:go|please|think|.*\b(?:paraphrase|passage))\b"
    r"|(?:re)?write (?:a|the|this|down|questions)\b|create (?:a|long)\b|go through this passage"
    r"|given the (?:implications|passage|above)|guidelines for\b|references?\s*:\s*(?:$|[\[\d]|http)"
    r"|.*\bquestion-answer (?:format|pairs)\b|.*\brewrit\w+ (?:this|the|a)(?: \w+)? (?:passage|text)\b",
    re.IGNORECASE,
)
_PASSAGE = re.compile(r"passage\s*\d*\s*:?$", re.IGNORECASE)


def _on_task(lines: Sequence[Line], instructions: str, ends_after_list: bool) -> list[Line]:
    """Lines up to where the model leaves its task, without its remarks about the task.

    An item of a list that the model began leaves the task only if it speaks of it: "Please ring twice" may be a rule
    of the passage.
    """
    kept: list[Line] = []
    labelled = False
    for line in lines:
        new_passage = bool(_PASSAGE.match(line.text)) and not labelled
        labelled = labelled or new_passage
        if _is_echo(line.text, instructions):
            continue
        in_list = line.item and bool(kept) and kept[-1].item
        drifted = new_passage or bool((_LEAVES_LIST if in_list else _DRIFT).match(line.text))
        if kept and drifted:
            break
        if drifted or _is_task_remark(line.text) or (_LOOSE_REMARKS.match(line.text) and not line.item):
            continue
        if ends_after_list and _follows_list(line, kept):
            break
        kept.append(line)
    return kept


def _is_task_remark(text: str) -> bool:
    return any(pattern.match(text) for pattern in _TASK_REMARKS)


def _is_echo(text: str, instructions: str) -> bool:
    """Whether a text of three words or more stands in the prompt, outside the passage."""
    normalized = normalize(text)
    return normalized.count(" ") >= 2 and f" {normalized} " in f" {instructions} "


def _follows_list(line: Line, kept: Sequence[Line]) -> bool:
    """Prose after a numbered list of whole sentences comments on the list, or begins the model's next task."""
    items = [earlier for earlier in kept if earlier.numbered]
    return not line.numbered and len(items) >= 2 and kept[-1].numbered and ends_a_sentence(kept[-1].text)


def _instructions(name: str, title: str) -> str:
    """The normalized prompt of a format without its passage; "" if its file no longer exists."""
    try:
        template = load_prompt(name)
    except InputError:
        return ""
    return normalize(fill(template, title=title, context="\n"))


# ---------------------------------------------------------------- statements

_TITLE_LINE = re.compile(r"(?:title|topic|subject|heading)\s*\d*\s*:", re.IGNORECASE)
_LABEL = re.compile(
    r"(?:implication|fact|statement|sentence|text|(?:rewritten )?(?:passage|version|text|paragraph)|rewrite|version"
    r"|paragraph|point|note|summary|answer)s?(?:\s*#?\d+\s*[:.)–-]|\s*:)\s+",
    re.IGNORECASE,
)
_SPEAKER = re.compile(r"[A-Z][\w.]*(?: [\w.]+)?\s*:\s+")


def _statements(lines: Sequence[Line], title: str, format_name: str) -> list[str]:
    """Lines of two words or more, without headings, titles, and labels such as "Implication 3:"."""
    is_heading = _heading_test(lines, title, format_name)
    label = _SPEAKER if format_name == "discussion" else _LABEL
    unlabelled = [replace(line, text=label.sub("", line.text, count=1)) for line in lines]
    return [line.text for line in unlabelled if not is_heading(line) and has_two_words(line.text)]


def _heading_test(lines: Sequence[Line], title: str, format_name: str) -> Callable[[Line], bool]:
    has_sentences = format_name == "rewrite" and any(ends_a_sentence(line.text) for line in lines)

    def is_heading(line: Line) -> bool:
        length = word_count(line.text)
        if _TITLE_LINE.match(line.text) or normalize(line.text) == normalize(title):
            return True
        if line.text.endswith((":", "：")):
            return length <= _HEADING_WORDS
        if ends_a_sentence(line.text):
            return False
        return line.bold or (has_sentences and length <= _UNPUNCTUATED_HEADING_WORDS)

    return is_heading


# ---------------------------------------------------------------- truncated endings

_SHORT = 5  # words; a text this short may be complete without a full stop, unless it ends as in _UNFINISHED
_UNFINISHED = re.compile(r"(?:[,;:–-]|\b(?:an?|and|as|at|by|for|from|his|in|is|its|of|on|or|that|the|to|was|with))$")


def _seems_truncated(text: str) -> bool:
    return not ends_a_sentence(text) and (word_count(text) > _SHORT or bool(_UNFINISHED.search(text)))


def _whole_sentences(text: str, language: str) -> str:
    """A text without its last sentence; "" if it has only one."""
    sentences = sentences_of(text, language)
    return text[: text.rindex(sentences[-1])].strip() if len(sentences) > 1 else ""


def _without_truncated_end(notes: list[Note], completion: str) -> list[Note]:
    """Cut the last note to whole sentences, or drop it, if the completion broke off there.

    Where half of the other notes or more lack sentence punctuation, its lack shows nothing, and the note stays.
    """
    texts = [note.text if note.answer is None else note.answer for note in notes]
    if not texts or not _seems_truncated(texts[-1]) or not completion.rstrip().endswith(texts[-1][-12:]):
        return notes
    if len(texts) > 1 and sum(map(ends_a_sentence, texts[:-1])) * 2 <= len(texts) - 1:
        return notes
    last = notes[-1]
    if whole := _whole_sentences(texts[-1], language_of(completion)):
        trimmed = Note(whole) if last.answer is None else Note(last.text, whole)
        return [*notes[:-1], trimmed]
    return notes[:-1] if len(notes) > 1 else notes
