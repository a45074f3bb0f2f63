"""The reader: what it is trained on, where it is kept, and what it finds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from conftest import random_adapter
from fakes import BRANCH, ScriptedEngine

from seal_agent.answering import reader as room
from seal_agent.answering.reader import NOT_STATED, exercises, has_reader, reader_of
from seal_agent.answering.reading import read
from seal_agent.base_model.model import BaseModel
from seal_agent.cli.ask import _learn_to_read
from seal_agent.data import bundled
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.types import IGNORE_LABEL, ReadingPassage

PASSAGE = ReadingPassage(
    "Tarnby Light",
    ("Tarnby Light was built in 1867 by Odile Brannock.", "It burns hazelnut oil.", "A ferry sank there."),
    ((0, "Who built Tarnby Light?", "Odile Brannock"), (1, "What does it burn?", "hazelnut oil")),
    ("How many steps does Tarnby Light have?",),
)


def same(left: LoraAdapter, right: LoraAdapter) -> bool:
    return all(torch.equal(left.pairs[name].b_RO, right.pairs[name].b_RO) for name in left.pairs)


def texts_of(base: BaseModel, passages: list[ReadingPassage], seed: int = 0) -> list[tuple[str, str]]:
    """Prompt and answer of every exercise."""
    return [
        (
            base.tokenizer.decode([i for i, label in zip(s.input_ids, s.labels, strict=True) if label == IGNORE_LABEL]),
            base.tokenizer.decode([label for label in s.labels if label != IGNORE_LABEL]),
        )
        for s in exercises(base, passages, seed)
    ]


def test_every_question_is_asked_about_its_sentence(tiny_base: BaseModel) -> None:
    texts = texts_of(tiny_base, [PASSAGE])
    for number, question, answer in PASSAGE.questions:
        (prompt,) = [prompt for prompt, said in texts if question in prompt and answer in said]
        assert PASSAGE.sentences[number] in prompt
        assert "Tarnby Light" in prompt


def test_what_no_sentence_states_is_learnt_too(tiny_base: BaseModel) -> None:
    texts = texts_of(tiny_base, [PASSAGE] * 20)
    unanswered = [prompt for prompt, said in texts if NOT_STATED in said]
    assert sum("How many steps" in prompt for prompt in unanswered) == 20
    assert 2 <= sum("Who built" in prompt for prompt in unanswered) <= 14
    assert not any("Who built" in prompt and "Odile" in prompt for prompt in unanswered)


def test_exercises_depend_on_the_seed_alone(tiny_base: BaseModel) -> None:
    passages = [PASSAGE, *bundled.reading_passages()]
    assert exercises(tiny_base, passages, 0) == exercises(tiny_base, passages, 0)
    assert exercises(tiny_base, passages, 0) != exercises(tiny_base, passages, 1)


def test_it_is_trained_once_per_model_and_kept(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "cache_home", lambda: tmp_path)
    tiny_base.memo.pop("reader")
    assert not has_reader(tiny_base)
    told: list[tuple[int, int]] = []
    first = reader_of(tiny_base, lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] > 0
    assert reader_of(tiny_base) is first
    tiny_base.memo.pop("reader")
    monkeypatch.setattr(room, "train_reader", None)  # it is read from now on
    assert has_reader(tiny_base)
    assert same(reader_of(tiny_base), first)


def test_whoever_asks_for_a_reader_waits_for_no_training(tiny_base: BaseModel, tmp_path: Path) -> None:
    tiny_base.memo.pop("reader")
    with room._lock, ThreadPoolExecutor(1) as other:
        assert other.submit(has_reader, tiny_base).result(timeout=30) is False


def test_asking_says_that_a_reader_is_trained_first(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(room, "cache_home", lambda: tmp_path)
    trained = tiny_base.memo.pop("reader")
    monkeypatch.setattr(room, "train_reader", lambda *_: trained)
    _learn_to_read(tiny_base)
    assert "no reader yet" in capsys.readouterr().err
    assert tiny_base.memo["reader"] is trained
    _learn_to_read(tiny_base)
    assert not capsys.readouterr().err


def test_a_damaged_reader_is_trained_again(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(room, "cache_home", lambda: tmp_path)
    tiny_base.memo.pop("reader")
    first = reader_of(tiny_base)
    assert "has no reader yet" in caplog.text, "nobody watches a bar"
    (weights,) = tmp_path.rglob("*.safetensors")
    weights.write_bytes(b"nothing")
    tiny_base.memo.pop("reader")
    assert same(reader_of(tiny_base), first)


def test_a_folder_that_cannot_be_written_does_no_harm(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "readers").write_text("a file where the folder should be")
    monkeypatch.setattr(room, "cache_home", lambda: tmp_path)
    tiny_base.memo.pop("reader")
    assert reader_of(tiny_base).pairs


def test_the_bundled_passages_hold_their_answers() -> None:
    for passage in bundled.reading_passages():
        for number, question, answer in passage.questions:
            assert answer in passage.sentences[number], (passage.title, answer)
            assert answer.casefold() not in question.casefold()


def test_a_reading_says_how_likely_it_is_that_nothing_is_stated(tiny_base: BaseModel) -> None:
    reader = random_adapter(tiny_base, 0)
    rows = [("Tarnby Light", PASSAGE.sentences[0], "Who built it?"), ("", PASSAGE.sentences[1], "Who built it?")]

    def say(turn: str, adapter: LoraAdapter | None) -> str:
        assert adapter is reader
        return f"Odile Brannock{BRANCH}{NOT_STATED}" if "1867" in turn else f"{NOT_STATED}{BRANCH}hazelnut oil"

    stated, silent = read(ScriptedEngine(say), reader, rows)
    assert stated.text == "Odile Brannock"
    assert silent.text == "hazelnut oil"
    assert silent.not_stated > 0.5


@pytest.mark.parametrize(
    ("question", "said"),
    [("What was tied to the pianos?", "a rope"), ("Was it the pianos or the harps?", "the pianos")],
)
def test_an_answer_of_the_questions_words_stands_where_it_names_alternatives(
    tiny_base: BaseModel, question: str, said: str
) -> None:
    engine = ScriptedEngine(lambda *_: f"the pianos{BRANCH}a rope")
    (reading,) = read(engine, random_adapter(tiny_base, 0), [("", "A rope was tied to the pianos.", question)])
    assert reading.text == said
