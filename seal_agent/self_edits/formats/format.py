"""What a self-edit format is that is derived sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.types import CheckedNote, Note, Synonyms


@dataclass(frozen=True, slots=True)
class TitledPassage:
    """A passage, and the title that stands before every note about it."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class DerivedNotes:
    """The notes about one passage, checked as they were made."""

    notes: tuple[CheckedNote, ...]
    synonyms: Synonyms = ()


Derive = Callable[[Engine, Sequence[TitledPassage], SelfEditConfig, int, Progress | None], list[DerivedNotes]]
"""Engine, passages, settings, seed and progress in; the notes about each passage out, in the order of the passages."""


@dataclass(frozen=True, slots=True)
class DerivedFormat:
    """A format by its name, as `--format` and `SelfEditConfig.formats` take it."""

    name: str
    derive: Derive


def rearranged(name: str, notes_of: Callable[[str, int], list[Note]]) -> DerivedFormat:
    """A format that repeats the passage's own words: no engine is asked, and nothing needs a check.

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
