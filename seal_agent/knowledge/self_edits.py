"""Self-edits: their formats, how they are asked for, and how raw text becomes clean notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from seal_agent.config import SelfEditConfig
from seal_agent.engine.base import Engine, Progress
from seal_agent.errors import InputError
from seal_agent.inner_loop.lora_bank import LoraAdapter
from seal_agent.knowledge.data import split_document
from seal_agent.models import BaseModel
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Message, Note, SelfEdit

PASSAGE = "passage"
WRITTEN_FORMATS = ("implications", "implications-long", "rewrite", "self-qa")
FORMATS = (PASSAGE, *WRITTEN_FORMATS)


def check_format(name: str) -> None:
    """A bundled format, or a text file of one's own with {context} in it. Raises InputError."""
    if name in FORMATS:
        return
    if name.endswith(".txt"):
        if "{context}" not in load_prompt(name):
            raise InputError(f"the format file {name} has no {{context}}; write {{context}} where the passage belongs")
        return
    raise InputError(f"there is no self-edit format {name!r}; use {', '.join(FORMATS)} or the path of a .txt file")


def passages_of(base: BaseModel, text: str, limit: int) -> list[str]:
    """The parts of a text, at most `limit` tokens each, that fit the model's window. Raises InputError."""
    room = min(limit, base.window // 2)  # the other half is for the prompt and what is written
    return split_document(text, lambda part: len(base.tokens(part)), room)


def write_self_edits(
    engine: Engine,
    title: str,
    passages: Sequence[str],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[SelfEdit, ...]:
    """Every format's self-edits of every passage, written by the model (or by its policy adapter)."""
    (edits,) = write_self_edits_for(engine, [(title, passages)], config, writer=writer, seed=seed, progress=progress)
    return edits


def write_self_edits_for(
    engine: Engine,
    sources: Sequence[tuple[str, Sequence[str]]],
    config: SelfEditConfig,
    *,
    writer: LoraAdapter | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[tuple[SelfEdit, ...]]:
    """The self-edits of several contexts, each given as title and passages, all written in one batch."""
    for name in config.formats:
        check_format(name)
    asked = [
        (source, name, fill(load_prompt(name), title=title, context=passage))
        for source, (title, passages) in enumerate(sources)
        for passage in passages
        for name in config.formats
        if name != PASSAGE
        for _ in range(config.per_format)
    ]
    sampling = config.sampling(seed)
    completions = engine.generate(
        [(Message("user", prompt),) for _, _, prompt in asked], sampling, [writer] * len(asked), progress
    )
    edits: list[list[SelfEdit]] = [[SelfEdit(PASSAGE)] if PASSAGE in config.formats else [] for _ in sources]
    for index, ((source, name, prompt), completion) in enumerate(zip(asked, completions, strict=True)):
        edits[source].append(SelfEdit(name, prompt, completion.text, sampling, seed + index))
    return [tuple(of_source) for of_source in edits]


# ---------------------------------------------------------------- parsing


def parse(self_edit: SelfEdit, title: str = "") -> tuple[Note, ...]:
    """The clean notes in a self-edit's raw text; none for the format "passage".

    Question-answer formats give pairs, the others one note per line. List markers, markup, preambles,
    repetitions and an unfinished last line are dropped.
    """
    lines = [line for line in map(_clean, _before_drift(self_edit.completion)) if line]
    if self_edit.format == "self-qa" or (self_edit.format not in FORMATS and _looks_like_questions(lines)):
        notes = _pairs(lines)
    else:
        notes = [Note(line) for line in _finished(_statements(lines)) if line.casefold() != title.casefold()]
    return tuple(dict.fromkeys(notes))


def notes_of(self_edits: Iterable[SelfEdit], title: str = "") -> tuple[Note, ...]:
    """Notes of several self-edits, each once, in order."""
    return tuple(dict.fromkeys(note for edit in self_edits for note in parse(edit, title)))


_MARKER = re.compile(r"^\s*(?:[-*•–—·▪◦>#]+\s+|#+\s*|\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,4})[.)]\s+|\d{1,3}[:]\s+)")
_BARE_MARKER = re.compile(r"^\s*[(\[]?(?:\d{1,3}|[-*•–—·▪◦>#=_.]+)[.):\]]?\s*$")
_EMPHASIS = re.compile(r"(\*\*|__)(.+?)\1")
_DRIFT = re.compile(r"^\s*(?:You are an? (?:AI|helpful)|<\|?\w+|(?:Human|User|Assistant|System)\s*:)", re.IGNORECASE)
_PREAMBLE = re.compile(
    r"^(?:(?:sure|certainly|of course|absolutely|okay|ok|great|alright|yes)[,!.:]?\s"
    r"|(?:sure|certainly|of course)[!.]?$"
    r"|(?:here(?:'s| is| are)|below (?:is|are)|the following (?:is|are)|these are|as requested|i have|i've|i will|i'll|let me)\b"
    r".*(?::|below|passage|rewrit\w+|implications?|list|versions?|facts?|questions?)"
    r"|(?:title|passage|context|implications?|facts?|list of (?:facts|implications)|rewritten passages?|rewritten versions?"
    r"|rewrites?|versions?|paragraphs?|summary|note)\s*(?:\d+)?\s*:?\s*$)",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:implications?|facts?|statements?|rewritten(?: (?:passage|version|text))?|rewrites?|versions?|paragraphs?|passages?|point)"
    r"\s*(?:#?\d+)?\s*[:.]\s+",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"^(?:question|q)\s*#?\d*\s*[:.)]\s*(.*)$", re.IGNORECASE)
_ANSWER = re.compile(r"^(?:answer|ans|a)\s*#?\d*\s*[:.)]\s*(.*)$", re.IGNORECASE)
_SAME_LINE = re.compile(r"\s+(?:answer|ans|a)\s*#?\d*\s*:\s*", re.IGNORECASE)
_END = re.compile(r"[.!?…。！？][\"'”’)\]]*$|[\"”]$")


def _before_drift(text: str) -> list[str]:
    """Lines up to where a model starts to play another role or to continue its prompt template."""
    lines = []
    for line in text.splitlines():
        if _DRIFT.match(line):
            break
        lines.append(line)
    return lines


def _clean(line: str) -> str:
    """One line without list markers, emphasis and stray quotes; "" if nothing is left."""
    line = _EMPHASIS.sub(r"\2", line).replace("**", "").strip()
    while (shorter := _MARKER.sub("", line, count=1).strip()) != line:
        line = shorter
    return "" if _BARE_MARKER.match(line) else line


def _statements(lines: Iterable[str]) -> list[str]:
    """Lines that state something: without preambles, headings and labels such as "Implication 3:"."""
    kept = []
    for line in lines:
        line = _clean(_LABEL.sub("", line, count=1))
        if line and not _PREAMBLE.match(line) and len(line.split()) > 1 and not line.endswith(":"):
            kept.append(line)
    return kept


def _finished(lines: list[str]) -> list[str]:
    """Without a last line that broke off, where the others end as sentences do."""
    if len(lines) > 1 and not _END.search(lines[-1]) and sum(bool(_END.search(x)) for x in lines[:-1]) * 2 > len(lines):
        return lines[:-1]
    return lines


def _looks_like_questions(lines: Sequence[str]) -> bool:
    return any(_QUESTION.match(line) for line in lines) and any(_ANSWER.match(line) for line in lines)


def _pairs(lines: Sequence[str]) -> list[Note]:
    """Question-answer pairs. A first question may lack its label: prompts often end with "Question 1:"."""
    pairs: list[Note] = []
    question = ""
    for line in lines:
        asked, inline = _QUESTION.match(line), _SAME_LINE.split(line, maxsplit=1)
        if (
            asked
            or (line.split(" ")[0] and line.rstrip().endswith("?") and not _ANSWER.match(line))
            or (len(inline) == 2 and "?" in inline[0])
        ):
            text = asked.group(1) if asked else line
            parts = _SAME_LINE.split(text, maxsplit=1)
            question = _clean(parts[0])
            if len(parts) == 2:
                question = _add_pair(pairs, question, parts[1])
        elif (answered := _ANSWER.match(line)) and question:
            question = _add_pair(pairs, question, answered.group(1)) if answered.group(1).strip() else question
        elif question and not _PREAMBLE.match(line):
            question = _add_pair(pairs, question, line)
    return pairs


def _add_pair(pairs: list[Note], question: str, answer: str) -> str:
    """Keep a pair whose two sides say something; returns the question still open, which is none."""
    answer = _clean(answer)
    if len(question.split()) > 1 and answer:
        pairs.append(Note(question, answer))
    return ""
