"""The interface of the formats that are derived sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.types import CheckedNote, Note, Synonyms


@dataclass(frozen=True, slots=True)
class TitledPassage:
    """A passage and the title of its context."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class DerivedNotes:
    """The notes about one passage, already checked."""

    notes: tuple[CheckedNote, ...]
    synonyms: Synonyms = ()


Derive = Callable[[Engine, Sequence[TitledPassage], SelfEditConfig, int, Progress | None], list[DerivedNotes]]
"""Takes engine, passages, config, seed and progress callback; returns the notes about each passage, in order."""


@dataclass(frozen=True, slots=True)
class DerivedFormat:
    """A format and its name, as `--format` and `SelfEditConfig.formats` take it."""

    name: str
    derive: Derive


def copied_format(name: str, notes_of: Callable[[str, int], list[Note]]) -> DerivedFormat:
    """A format that only repeats the passage's own words. It generates nothing, and its notes need no check.

    `notes_of` takes a passage and a seed.
    """

    def derive(
        engine: Engine,
        passages: Sequence[TitledPassage],
        config: SelfEditConfig,
        seed: int,
        progress: Progress | None,
    ) -> list[DerivedNotes]:
        return [
            DerivedNotes(tuple(CheckedNote(note, True) for note in notes_of(passage.text, seed)))
            for passage in passages
        ]

    return DerivedFormat(name, derive)
