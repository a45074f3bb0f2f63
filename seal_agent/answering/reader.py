"""The reader: an adapter of the base model that answers a question from a sentence, in a few words of it.

An adapter that learnt a passage recalls its sentences; the reader finds in them what was asked for. It is trained once
per model, on passages of invented facts that come with the package, and has nothing to do with any lesson. For the
bundled model it is shipped; for others it is kept in the cache folder.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path

from seal_agent.base_model.model import BaseModel
from seal_agent.config import READING, InnerLoopConfig, recorded_settings
from seal_agent.data import bundled
from seal_agent.errors import AdapterError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import read_peft, write_peft
from seal_agent.paths import cache_home, keep_in_cache
from seal_agent.progress import Progress
from seal_agent.prompts import load_prompt, reading_prompt
from seal_agent.seeds import derived_seed
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_turns
from seal_agent.training.train import train
from seal_agent.types import ReadingPassage, TrainingSequence, content_hash

NOT_STATED = "not stated"
"""What the reader says where the sentence does not answer the question."""

PASSAGES = 60  # that a reader is trained on where it is needed at once; the shipped one has learnt from all
UNANSWERED = 0.3  # of the questions, asked about a sentence that does not answer them too; not tuned

SHIPPED = Path(str(resources.files("seal_agent") / "data" / "reader"))
"""The reader of the bundled model; `benchmarks/reader.py --ship` makes it."""

_log = logging.getLogger(__name__)
_lock = threading.Lock()


def reader_of(base: BaseModel, progress: Progress | None = None) -> LoraAdapter:
    """The reader of this model: shipped, from the cache, or trained now.

    Args:
        progress: Called with the optimiser steps done, if it is trained.
    """
    if not has_reader(base):
        with _lock:
            if not has_reader(base):
                base.memo["reader"] = _trained(base, _cache_path(base), progress)
    reader: LoraAdapter = base.memo["reader"]
    return reader


def has_reader(base: BaseModel) -> bool:
    """Whether the reader of this model need not be trained first. Waits for no training."""
    if "reader" not in base.memo:
        if "reader shipped" not in base.memo:  # read once: it is another model's, or this one's
            base.memo["reader shipped"] = _read(SHIPPED, base)
        if found := base.memo["reader shipped"] or _read(_cache_path(base), base):
            base.memo.setdefault("reader", found)
    return "reader" in base.memo


def train_reader(
    base: BaseModel,
    passages: Sequence[ReadingPassage],
    config: InnerLoopConfig,
    progress: Progress | None = None,
    start: LoraAdapter | None = None,
) -> LoraAdapter:
    """A reader, trained on the questions of these passages, those that no sentence answers included.

    Args:
        start: The reader that is continued; default: a new one.
    """
    sequences = tuple(exercises(base, passages, config.seed))
    (trained,) = train(base, [TrainJob(sequences, config, start)], progress)
    return trained.adapter


def exercises(base: BaseModel, passages: Sequence[ReadingPassage], seed: int) -> list[TrainingSequence]:
    """A sequence for every question with its sentence, and some with a sentence that does not answer it."""
    draw = random.Random(derived_seed(seed, "reading"))
    rows = [row for passage in passages for row in _rows(passage, draw)]
    draw.shuffle(rows)
    return [encode_turns(base, reading_prompt(*prompt), answer) for prompt, answer in rows]


def _rows(passage: ReadingPassage, draw: random.Random) -> list[tuple[tuple[str, str, str], str]]:
    """Title, sentence and question, and the answer."""
    title, sentences = passage.title, passage.sentences
    rows: list[tuple[tuple[str, str, str], str]] = []
    for number, question, answer in passage.questions:
        rows.append(((title, sentences[number], question), answer))
        silent = [sentence for sentence in sentences if answer.casefold() not in sentence.casefold()]
        if silent and draw.random() < UNANSWERED:
            rows.append(((title, draw.choice(silent), question), NOT_STATED))
    rows += [((title, draw.choice(sentences), question), NOT_STATED) for question in passage.not_stated]
    return rows


# ---------------------------------------------------------------- on disk


def _some_passages() -> list[ReadingPassage]:
    """At most `PASSAGES` of the bundled ones, evenly spread."""
    passages = bundled.reading_passages()
    count = min(PASSAGES, len(passages))
    return [passages[i * len(passages) // count] for i in range(count)]


def _cache_path(base: BaseModel) -> Path:
    """One folder per model, passages, prompts and settings."""
    prompts = [load_prompt(name) for name in ("read-answer", "read-answer-untitled")]
    key = content_hash([recorded_settings(asdict(READING)), prompts, [asdict(passage) for passage in _some_passages()]])
    return cache_home() / "readers" / f"{base.identity[:32]}-{key[:16]}"


def _read(folder: Path, base: BaseModel) -> LoraAdapter | None:
    """The reader in a folder; None where there is none, it is damaged, or it belongs to another model."""
    try:
        adapter, made_for = read_peft(folder)
    except AdapterError:
        return None
    return adapter if base.is_same_as(made_for) else None


def _trained(base: BaseModel, path: Path, progress: Progress | None) -> LoraAdapter:
    """Train the reader and keep it, in place of a damaged one."""
    if progress is None:
        _log.warning("%s has no reader yet; it is trained once, which takes half an hour and more on a CPU", base.name)
    adapter = train_reader(base, _some_passages(), READING, progress)

    def write(draft: Path) -> None:
        draft.mkdir()
        write_peft(adapter, base.name, base.identity, draft)

    keep_in_cache(path, write)
    return adapter
