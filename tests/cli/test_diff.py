"""`seal diff`: what two revisions answer differently, lost answers first, as a person and as a program reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Call, caller
from fakes import ScriptedEngine
from test_model import adapt

from seal_agent.base_model.model import BaseModel
from seal_agent.cli import console
from seal_agent.cli.options import ModelOptions
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Question, Revision

TEXTS = ("Tarawa is the capital of Kiribati.", "Banaba lies in the west.")
QUESTIONS = (
    Question("What is the capital?", ("Tarawa",)),
    Question("How many keys are there?", ("forty",)),
    Question("Where is Banaba?", ("in the west",)),
)
ANSWERS = {
    "What is the capital?": ("No idea", "It is Tarawa", "It is Betio"),
    "How many keys are there?": ("No idea", "No idea", "Nobody counted"),
    "Where is Banaba?": ("No idea", "No idea", "It is in the west"),
}


class Learned(ScriptedEngine):
    """Answers by how many adapters it has met: the base model, the first revision, the second."""

    def __init__(self) -> None:
        self.met: list[LoraAdapter] = []
        super().__init__(self._say_by_age)

    def _say_by_age(self, prompt: str, adapter: LoraAdapter | None) -> str:
        if "Answer in a few words." in prompt:  # the reader, about the sentence that was recalled
            return prompt.splitlines()[1]
        question = next((text for text in ANSWERS if text in prompt), None)
        if question is None:
            return "Tarawa is the capital."
        if adapter is not None and not any(adapter is known for known in self.met):
            self.met.append(adapter)
        age = 0 if adapter is None else 1 + next(i for i, known in enumerate(self.met) if known is adapter)
        return ANSWERS[question][age]


@pytest.fixture
def revisions(tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Revision, Revision]:
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=Learned())
    monkeypatch.setattr(ModelOptions, "load", lambda self, home=None: model)
    first = adapt(model, TEXTS[0], questions=QUESTIONS, title="Kiribati")
    return first, adapt(model, TEXTS[1], questions=QUESTIONS, title="Kiribati")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.setattr(console.out, "_width", 160)
    return caller(monkeypatch, capsys)


def test_what_was_lost_stands_before_what_was_gained(call: Call, revisions: tuple[Revision, Revision]) -> None:
    first, second = revisions
    said = call("diff", first.id, second.id, "--json").json
    rows = [(row["kind"], row["left"]["text"], row["right"]["text"]) for row in said["changes"]]
    assert rows == [
        ("lost", "It is Tarawa", "It is Betio"),
        ("gained", "No idea", "It is in the west"),
        ("other words", "No idea", "Nobody counted"),
    ]
    assert said["asked"] == len(QUESTIONS) + 2, "general ones too"
    assert (said["left"], said["right"]) == (first.id, second.id)
    assert {row["title"] for row in said["changes"]} == {"Kiribati"}


def test_people_see_how_many_and_which_with_titles_and_both_answers(
    call: Call, revisions: tuple[Revision, Revision]
) -> None:
    first, second = revisions
    shown = call("diff", first.id, second.id)
    assert shown.code == 0
    assert f"from {first.id} to {second.id}, 3 of 5 answers changed: 1 lost, 1 gained, 1 other words" in shown.out
    lines = [line for line in shown.out.splitlines() if "Kiribati: What is the capital?" in line]
    assert len(lines) == 1
    assert [part in lines[0] for part in ("lost", "Tarawa", "✓ It is Tarawa", "✗ It is Betio")] == [True] * 4
    assert shown.out.index("lost   ") < shown.out.index("gained   ")


def test_the_base_model_is_a_side_too_and_no_change_is_said(call: Call, revisions: tuple[Revision, Revision]) -> None:
    first, _ = revisions
    assert "3 of 5 answers changed: 0 lost, 1 gained, 2 other words" in call("diff", "base", first.id).out
    assert call("diff", first.id, first.id).out.strip() == "both answer all 5 questions alike"
    unknown = call("diff", "base", "nothing")
    assert (unknown.code, "there is no revision 'nothing'" in unknown.err) == (1, True)
