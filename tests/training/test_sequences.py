"""Notes become token ids, and labels say what of them is learnt."""

from __future__ import annotations

import pytest

from seal_agent.base_model.model import BaseModel
from seal_agent.training.sequences import encode, encode_note, encode_text
from seal_agent.types import IGNORE_LABEL, Note, TrainingSequence

PAIR = Note("Where is Tarawa?", "In the Pacific.")


def read(base: BaseModel, sequence: TrainingSequence) -> str:
    return str(base.tokenizer.decode(sequence.input_ids))


def learnt(base: BaseModel, sequence: TrainingSequence) -> str:
    return str(base.tokenizer.decode([label for label in sequence.labels if label != IGNORE_LABEL]))


def test_a_statement_is_learnt_whole_under_its_title(tiny_base: BaseModel) -> None:
    sequence = encode_note(tiny_base, "Kiribati", Note("Tarawa is big."))
    assert read(tiny_base, sequence) == "Kiribati\nTarawa is big."
    assert sequence.labels == sequence.input_ids


def test_without_a_title_the_text_stands_alone(tiny_base: BaseModel) -> None:
    assert read(tiny_base, encode_text(tiny_base, "", "Tarawa is big.")) == "Tarawa is big."


def test_of_a_pair_only_the_answer_and_the_end_of_its_turn_are_learnt(tiny_base: BaseModel) -> None:
    sequence = encode_note(tiny_base, "Kiribati", PAIR)
    assert read(tiny_base, sequence) == (
        "<turn>user\nTopic: Kiribati\nWhere is Tarawa?</turn>\n<turn>assistant\nIn the Pacific.</turn>\n"
    )
    assert learnt(tiny_base, sequence) == "In the Pacific.</turn>\n"


def test_a_pair_without_a_title_names_no_topic(tiny_base: BaseModel) -> None:
    assert "Topic" not in read(tiny_base, encode_note(tiny_base, "", PAIR))


def test_a_base_model_without_a_template_learns_the_answer_and_the_end_of_text(tiny_base_plain: BaseModel) -> None:
    sequence = encode_note(tiny_base_plain, "Kiribati", PAIR)
    assert read(tiny_base_plain, sequence) == (
        "User: Topic: Kiribati\nWhere is Tarawa?\nAssistant: In the Pacific.<eos>"
    )
    assert learnt(tiny_base_plain, sequence) == " In the Pacific.<eos>"


def test_passages_come_last(tiny_base: BaseModel) -> None:
    sequences = encode(tiny_base, "Kiribati", [Note("Tarawa is big."), PAIR], ["Passage one.", "Passage two."])
    assert [read(tiny_base, s) for s in sequences[-2:]] == ["Kiribati\nPassage one.", "Kiribati\nPassage two."]
    assert len(sequences) == 4


def test_the_question_is_trained_on_as_it_is_asked(tiny_base: BaseModel) -> None:
    from seal_agent.prompts import question_prompt
    from seal_agent.types import Message

    asked = tiny_base.encode((Message("user", question_prompt("Kiribati", PAIR.text)),))
    sequence = encode_note(tiny_base, "Kiribati", PAIR)
    assert list(sequence.input_ids[: len(asked)]) == asked
    assert set(sequence.labels[: len(asked)]) == {IGNORE_LABEL}


def test_ids_and_labels_have_one_length() -> None:
    with pytest.raises(ValueError, match="2 tokens but 1 labels"):
        TrainingSequence((1, 2), (1,))
