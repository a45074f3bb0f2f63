"""sentence-qa: questions about each sentence, each answered from that sentence alone."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.config import SelfEditConfig
from seal_agent.generation.engine import Engine
from seal_agent.progress import Progress
from seal_agent.self_edits.formats.format import DerivedFormat, DerivedNotes, TitledPassage
from seal_agent.self_edits.questions import ask_and_answer, sources_of


def _derive(
    engine: Engine, passages: Sequence[TitledPassage], config: SelfEditConfig, seed: int, progress: Progress | None
) -> list[DerivedNotes]:
    sentences = [sources_of(passage.title, passage.text) for passage in passages]
    every = [sentence for of_passage in sentences for sentence in of_passage]
    pairs = iter(ask_and_answer(engine, every, config.per_sentence, seed=seed, progress=progress))
    return [DerivedNotes(tuple(note for _ in of_passage for note in next(pairs))) for of_passage in sentences]


SENTENCE_QA = DerivedFormat("sentence-qa", _derive)
