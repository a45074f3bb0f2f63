"""Notes about a picture: what samples agree on and the picture makes likelier is kept, the rest is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from fakes import ScriptedEngine
from seeing_models import picture

from seal_agent.config import PictureConfig
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.self_edits.pictures import Vote, is_answer, look_at, questions_in, says_same, vote_key, vote_of
from seal_agent.types import Completion, Grammar, Prompt, Sampling

CONFIG = PictureConfig(samples=4, questions=2)
PLAN = ("Plan", picture(1))


@dataclass
class Seer(ScriptedEngine):
    """Says the i-th of a task's texts in its i-th sample; a line is likelier with its picture unless it is a habit."""

    samples: dict[str, tuple[str, ...]] = field(default_factory=dict)
    habits: tuple[str, ...] = ()

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        grammars: Sequence[Grammar | None] | None = None,
    ) -> list[Completion]:
        said: dict[str, int] = {}
        completions = []
        for prompt in prompts:
            (turn,) = prompt
            assert turn.pictures == (PLAN[1],)
            key = next(key for key in self.samples if key in turn.content)
            texts = self.samples[key]
            completions.append(Completion(texts[said.get(key, 0) % len(texts)], 3, 1, "stop"))
            said[key] = said.get(key, 0) + 1
        return completions

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        return [
            (-1.0 if prompt[0].pictures and text not in self.habits else -2.0,)
            for prompt, text in zip(prompts, continuations, strict=True)
        ]


SEER = Seer(
    samples={
        "Describe": (
            "There are two red doors on the wall. A cat sleeps on the mat.",
            "Two red doors are there on the wall.\nA bird sings.",
            "There are three red doors on the wall. It is a picture of a house.",
            "On the wall there are two red doors. It is a picture of a house.",
        ),
        "Copy": ("EXIT 4\nnone", "EXIT 4", "EXIT  4", "EXIT 7"),
        "Write 2 short questions": ("1. What colour are the doors?\n2. What is the number of the exit?\nNo question",),
        "What colour": (
            "red",
            "Red.",
            "red",
            "I cannot tell you anything about that as my eyes are closed, so sorry",
        ),
        "What is the number": ("4", "7", "8", "9"),
    },
    habits=("It is a picture of a house.",),
)


def test_what_samples_agree_on_is_kept_and_the_rest_says_why_not() -> None:
    (seen,) = look_at(SEER, [PLAN], CONFIG)
    why = {checked.note.text: checked.reason for checked in seen.notes}
    assert not why["There are two red doors on the wall."]
    assert why["A cat sleeps on the mat."] == "only 25% of its descriptions say so"
    assert why["There are three red doors on the wall."].startswith("only 25%")
    assert why["It is a picture of a house."] == "the picture does not make it likelier (+0.00 nats per token)"
    assert not why['The picture says "EXIT 4".']
    assert why['The picture says "EXIT 7".'].startswith("only 25%")
    assert not why["What colour are the doors?"]
    assert why["What is the number of the exit?"] == "only 25% of its answers say so"
    assert seen.text == 'There are two red doors on the wall.\nThe picture says "EXIT 4".'
    assert [(c.note.text, c.note.answer) for c in seen.pairs if c.kept] == [("What colour are the doors?", "red")]


def test_answers_that_cannot_be_read_are_shown_and_not_counted() -> None:
    vote = vote_of(["seven", "Seven.", "", "x " * 40])
    assert vote == Vote("seven", 1.0, ("", "x " * 40), True)
    assert "can be read" in vote_of(["", "y " * 30]).flaw(CONFIG)
    assert not is_answer(" \n")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("The sign has 3 arrows.", "The sign has three arrows.", True),
        ("The sign has 3 arrows.", "The sign has 4 arrows.", False),
        ("A dog runs.", "The church is tall.", False),
        ("A black cat sleeps under the large table.", "A black cat sleeps on the large table.", False),
        ("A black cat sleeps under the large table.", "Below the large table sleeps a black cat.", True),
        ("A black cat sleeps left of the large table.", "A black cat sleeps right of the large table.", False),
        ("The door of the house is not open.", "The door of the house is open.", False),
        ("The door of the house isn't open.", "The door of the house is not open.", True),
        ("The bridge is not over the river.", "The bridge is over the river.", False),
    ],
)
def test_two_sentences_say_the_same_with_the_same_words_numbers_places_and_not(
    left: str, right: str, same: bool
) -> None:
    assert says_same(left, right) == same


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("not open", "open", False),
        ("It isn't open.", "not open", True),
        ("No, it is closed", "closed", True),
        ("under the table", "on the table", False),
        ("on the table", "the table", True),
        ("on the left", "left", True),
        ("next to the door", "beside the door", True),
    ],
)
def test_answers_count_as_the_same_with_the_same_words_places_and_not(left: str, right: str, same: bool) -> None:
    assert (vote_key(left) == vote_key(right)) == same


def test_of_those_that_agree_the_commonest_wording_is_kept() -> None:
    assert vote_of(["the boat red", "red boat", "red boat", "blue"]).answer == "red boat"
    described = ("The red doors are on a wall.", "There are red doors on the wall.", "There are red doors on the wall.")
    seer = replace(SEER, samples={**SEER.samples, "Describe": described})
    (seen,) = look_at(seer, [PLAN], replace(CONFIG, samples=3))
    assert [checked.note.text for checked in seen.lines if "doors" in checked.note.text] == [described[1]]


def test_lines_that_are_read_keep_their_order() -> None:
    text = "\n".join(f"LINE {letter}" for letter in "HGFEDCBA")
    (seen,) = look_at(replace(SEER, samples={**SEER.samples, "Copy": (text,)}), [PLAN], CONFIG)
    read = [checked.note.text for checked in seen.lines if checked.note.text.startswith("The picture says")]
    assert read == [f'The picture says "{line}".' for line in text.splitlines()]


def test_questions_are_lines_that_end_as_questions_do() -> None:
    assert questions_in("- Who is it?\nA house.\n2) Where is the door?\nWho is it?\nWhy?") == [
        "Who is it?",
        "Where is the door?",
    ]


def test_a_title_stands_before_every_task_and_every_sample_has_its_picture() -> None:
    seen: list[str] = []

    def script(text: str, adapter: LoraAdapter | None) -> str:
        seen.append(text)
        return ""

    look_at(ScriptedEngine(script), [PLAN], CONFIG)
    assert len(seen) == 2 * CONFIG.samples + 2
    assert all(text.startswith("Topic: Plan\n") for text in seen)
