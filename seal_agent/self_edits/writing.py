"""Self-edits: their formats, and how they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig, Strictness
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.prompts import fill, load_prompt
from seal_agent.self_edits.formats.cloze import cloze_notes
from seal_agent.self_edits.formats.evidence import EVIDENCE, evidence_notes
from seal_agent.self_edits.formats.sentences import sentence_notes, shuffled_notes
from seal_agent.self_edits.parsing import notes_of as notes_of
from seal_agent.self_edits.parsing import parse as parse
from seal_agent.self_edits.questions import ask_and_answer, sources_of, statements_of
from seal_agent.self_edits.synonyms import synonyms_of
from seal_agent.self_edits.verification import split_notes, verify
from seal_agent.text.documents import split_document
from seal_agent.types import CheckedNote, Message, Note, SelfEdit

PASSAGE = "passage"
WRITTEN_FORMATS = ("implications", "implications-long", "rewrite", "self-qa")
DERIVED_FORMATS = ("sentences", "shuffled", "cloze", "sentence-qa", EVIDENCE)
"""Made sentence by sentence instead of by one prompt about the whole passage."""
FORMATS = (PASSAGE, *WRITTEN_FORMATS, *DERIVED_FORMATS)


def check_format(name: str) -> None:
    """A bundled format, or a text file of one's own with {context} in it. Raises InputError."""
    if name in FORMATS:
        return
    if name.endswith(".txt"):
        if "{context}" not in load_prompt(name):
            raise InputError(f"the format file {name} has no {{context}}; write {{context}} where the passage belongs")
        return
    raise InputError(f"there is no self-edit format {name!r}; use {', '.join(FORMATS)} or the path of a .txt file")


def is_model_written(name: str) -> bool:
    """Whether a self-edit of this format is one text that a model writes, and so a policy can learn to write."""
    return name not in (PASSAGE, *DERIVED_FORMATS)


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
        (source, part, name, fill(load_prompt(name), title=title, context=passage))
        for source, (title, passages) in enumerate(sources)
        for part, passage in enumerate(passages)
        for name in config.formats
        if is_model_written(name)
        for _ in range(config.per_format)
    ]
    sampling = config.sampling(seed)
    completions = engine.generate(
        [(Message("user", prompt),) for *_, prompt in asked], sampling, [writer] * len(asked), progress
    )
    edits: list[list[SelfEdit]] = [[SelfEdit(PASSAGE)] if PASSAGE in config.formats else [] for _ in sources]
    for index, ((source, part, name, prompt), completion) in enumerate(zip(asked, completions, strict=True)):
        edits[source].append(SelfEdit(name, prompt, completion.text, sampling, seed + index, part))
    for name in dict.fromkeys(name for name in config.formats if name in DERIVED_FORMATS):
        for of_source, derived in zip(edits, _derive(engine, sources, name, config, seed, progress), strict=True):
            of_source += derived
    return [tuple(of_source) for of_source in edits]


def _derive(
    engine: Engine,
    sources: Sequence[tuple[str, Sequence[str]]],
    name: str,
    config: SelfEditConfig,
    seed: int,
    progress: Progress | None,
) -> list[list[SelfEdit]]:
    """One self-edit of this format for every passage."""
    if name in ("sentence-qa", EVIDENCE):
        cutter = statements_of if name == EVIDENCE else sources_of
        cut = [[cutter(title, passage) for passage in passages] for title, passages in sources]
        every = [sentence for of_source in cut for of_passage in of_source for sentence in of_passage]
        if name == EVIDENCE:
            pairs = iter(evidence_notes(engine, every, config.per_sentence, config.cues, seed=seed, progress=progress))
        else:
            pairs = iter(ask_and_answer(engine, every, config.per_sentence, seed=seed, progress=progress))
        found = [[[c for _ in of_passage for c in next(pairs)] for of_passage in of_source] for of_source in cut]
    else:
        found = [
            [[CheckedNote(n, True) for n in _rearranged(name, p, seed)] for p in passages] for _, passages in sources
        ]
    words = iter(
        synonyms_of(
            engine,
            [p for _, passages in sources for p in passages],
            config.synonyms if name == EVIDENCE else 0,
            progress,
        )
    )
    return [
        [
            SelfEdit(name, seed=seed, part=part, checked=tuple(notes), synonyms=next(words))
            for part, notes in enumerate(of_source)
        ]
        for of_source in found
    ]


def _rearranged(name: str, passage: str, seed: int) -> list[Note]:
    """Notes in the passage's own words."""
    if name == "shuffled":
        return shuffled_notes(passage, seed)
    return sentence_notes(passage) if name == "sentences" else cloze_notes(passage)


def check_self_edits(
    engine: Engine, title: str, passages: Sequence[str], edits: Sequence[SelfEdit], strictness: Strictness
) -> tuple[SelfEdit, ...]:
    """The same self-edits, with a verdict on each line; as they are where strictness is "off"."""
    (checked,) = check_self_edits_of(engine, [(title, passages)], [edits], strictness)
    return checked


def check_self_edits_of(
    engine: Engine,
    sources: Sequence[tuple[str, Sequence[str]]],
    edits: Sequence[Sequence[SelfEdit]],
    strictness: Strictness,
) -> list[tuple[SelfEdit, ...]]:
    """As `check_self_edits` for several contexts, each given as title and passages, in one batch."""
    if strictness == "off":
        return [tuple(of_source) for of_source in edits]
    written = [
        (title, passages[edit.part], split_notes(parse(edit, title)))
        for (title, passages), of_source in zip(sources, edits, strict=True)
        for edit in of_source
        if _is_unchecked(edit)
    ]
    verdicts = iter(verify(engine, written, strictness))
    return [
        tuple(replace(edit, checked=next(verdicts)) if _is_unchecked(edit) else edit for edit in of_source)
        for of_source in edits
    ]


def _is_unchecked(edit: SelfEdit) -> bool:
    """Derived formats are checked as they are made."""
    return edit.format != PASSAGE and edit.checked is None
