"""The format "sentence-qa": questions about each sentence, answered from that sentence alone."""

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
    flat = [sentence for passage_sentences in sentences for sentence in passage_sentences]
    pairs = iter(ask_and_answer(engine, flat, config.per_sentence, seed=seed, progress=progress))
    return [
        DerivedNotes(tuple(note for _ in passage_sentences for note in next(pairs))) for passage_sentences in sentences
    ]


SENTENCE_QA = DerivedFormat("sentence-qa", _derive)
