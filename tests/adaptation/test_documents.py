"""Documents with sections: every note stands under its section's title, and what cannot be learnt is refused first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedEngine

from seal_agent.adaptation.adapt import lesson_of
from seal_agent.adaptation.lesson import sequences_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_LORA, SelfEditConfig
from seal_agent.data.documents.markdown import read_markdown
from seal_agent.errors import InputError
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.entries import from_json, to_json
from seal_agent.types import Context, PassageSource, Question

QUICK = replace(PLAIN_LORA, rank=2, alpha=4.0, epochs=1)
SENTENCES = SelfEditConfig(formats=("sentences",), self_test=0)
TEXT = """# Handbook

## Remote work
Staff may work from home on two days. Ask Ann first.

    mill --turn

## Leave
Ask Ann first. Leave is granted by the head.
"""
PLACES = ("section Handbook > Remote work",) * 2 + ("section Handbook > Leave",)
TITLES = ("Handbook: Remote work", "Handbook: Remote work", "Handbook: Leave")


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine())


@pytest.mark.parametrize("given", [TEXT, Context(TEXT), read_markdown(TEXT)], ids=["text", "context", "document"])
def test_every_note_stands_under_the_title_of_its_section(model: SelfAdaptingModel, given: Any) -> None:
    proposal = model.propose(given, self_edit=SENTENCES)
    assert proposal.context.title == "Handbook"
    assert proposal.passages == (
        "Staff may work from home on two days. Ask Ann first.",
        "mill --turn",
        "Ask Ann first. Leave is granted by the head.",
    )
    assert proposal.sources == tuple(map(PassageSource, TITLES, PLACES))
    sequences = sequences_of(model.engine, model.base, lesson_of(proposal), QUICK)
    learnt = [model.base.tokenizer.decode(sequence.input_ids) for sequence in sequences]
    assert learnt == [
        "Handbook: Remote work\nStaff may work from home on two days.",
        "Handbook: Remote work\nAsk Ann first.",
        f"Handbook: Remote work\n{proposal.passages[0]}",
        f"Handbook: Remote work\n{proposal.passages[1]}",
        "Handbook: Leave\nAsk Ann first.",
        "Handbook: Leave\nLeave is granted by the head.",
        f"Handbook: Leave\n{proposal.passages[2]}",
    ]


def test_the_place_of_each_passage_is_kept_with_the_revision(model: SelfAdaptingModel) -> None:
    revision = model.adapt(TEXT, title="Orrin", self_edit=SENTENCES, inner_loop=QUICK)
    assert [source.title for source in revision.sources] == [f"Orrin: {title}" for title in TITLES]
    assert [source.place for source in revision.sources] == list(PLACES)
    assert "from      section Handbook > Remote work, section Handbook > Leave\n" in str(revision)
    assert model.history() == [revision]
    later = model.adapt("The mill turns by night.", self_edit=SENTENCES, inner_loop=QUICK)
    assert later.sources == ()
    model.forget(later.id)
    assert lesson_of(model.history()[0]).title_of(2) == "Orrin: Handbook: Leave"


def test_what_is_retrained_keeps_its_sections(model: SelfAdaptingModel) -> None:
    first = model.adapt("The mill turns by night.", self_edit=SENTENCES, inner_loop=QUICK)
    second = model.adapt(TEXT, self_edit=SENTENCES, inner_loop=QUICK)
    again = model.forget(first.id)
    assert again is not None
    assert again.sources == second.sources


def test_the_self_test_asks_about_several_sections(tiny_base: BaseModel, tmp_path: Path) -> None:
    def learner(text: str, adapter: object) -> str:
        if "Write" in text or "question" in text.lower():
            return "Who grants leave to the staff of the mill?"
        return "head"

    engine = ScriptedEngine(learner)
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=engine)
    model.propose(TEXT, self_edit=SelfEditConfig(formats=("sentences",)))
    asked = {str(prompt) for call in engine.calls for prompt in call.prompts}
    assert any("Handbook: Remote work" in prompt and "two days" in prompt for prompt in asked)
    assert any("Handbook: Leave" in prompt and "granted" in prompt for prompt in asked)


def test_old_ledgers_stay_readable_and_plain_proposals_keep_their_ids(model: SelfAdaptingModel) -> None:
    revision = model.adapt("The mill turns by night.", self_edit=SENTENCES, inner_loop=QUICK)
    body = json.loads(to_json(revision))
    del body["sources"]
    assert from_json(json.dumps(body)) == revision
    plain = model.propose("The mill turns by night.", self_edit=SENTENCES)
    assert plain.sources == ()
    assert plain.id != replace(plain, sources=(PassageSource("", "page 1"),)).id


def test_a_heading_too_long_for_the_window_is_shortened(model: SelfAdaptingModel) -> None:
    proposal = model.propose(f"# Mill\n\n## {'long ' * 300}\nThe mill turns by night.", self_edit=SENTENCES)
    assert proposal.sources[0].title.startswith("Mill: long long")
    assert len(model.base.tokens(proposal.sources[0].title)) <= model.base.window // 8


# ---------------------------------------------------------------- what cannot be learnt

BAD: list[tuple[str, dict[str, Any], str]] = [
    ("surrogate in the text", {"context": "The mill \ud83d turns."}, "lone surrogate"),
    ("surrogate in the title", {"context": "It turns.", "title": "Mill \udce9"}, "lone surrogate"),
    ("NUL", {"context": "The mill\0turns."}, "NUL character at position 8"),
    ("title of control characters", {"context": "It turns.", "title": " \x07\x1b "}, "control characters"),
    ("title of a Context", {"context": Context("It turns.", "a\x00")}, "NUL character"),
    ("title longer than the window", {"context": "It turns.", "title": "mill " * 2000}, "give a shorter one"),
    ("brackets", {"context": "[" * 100_000}, "holds no words"),
    ("empty", {"context": " \n\t "}, "is empty"),
    ("no text", {"context": 7}, "a context is a text"),
    ("bytes", {"context": b"It turns."}, "a context is a text"),
    ("question", {"context": "It turns.", "questions": [Question("Wh\ud83d?", ("a",))]}, "lone surrogate"),
    ("gold", {"context": "It turns.", "questions": [Question("What?", ("\0",))]}, "NUL"),
    ("metadata of numbers", {"context": "It turns.", "metadata": {"page": 3}}, "maps text to text"),
    ("metadata with half a character", {"context": "It turns.", "metadata": {"user": "\ud83d"}}, "lone surrogate"),
    ("metadata that is none", {"context": "It turns.", "metadata": [("a", "b")]}, "give a dictionary"),
]


@pytest.mark.parametrize(("options", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_is_refused_before_anything_is_written(
    model: SelfAdaptingModel, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        model.adapt(**options, self_edit=SENTENCES, inner_loop=QUICK)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert isinstance(model.engine, ScriptedEngine)
    assert model.engine.calls == []
    assert not model.ledger.adapters_folder.exists()
    assert model.adapters() == {}


def test_a_bad_proposal_is_refused_before_training(model: SelfAdaptingModel) -> None:
    proposal = model.propose("The mill turns by night.", self_edit=SENTENCES)
    with pytest.raises(InputError, match="lone surrogate"):
        model.commit(replace(proposal, context=Context("half \ud83d")), inner_loop=QUICK)
    with pytest.raises(InputError, match="maps text to text"):
        model.commit(proposal, inner_loop=QUICK, metadata={"page": 3})  # type: ignore[dict-item]
    assert not model.ledger.adapters_folder.exists()


def test_a_window_of_512_learns_or_says_why_not(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from seal_agent.generation.hf import HFEngine

    monkeypatch.setattr(model.base.module.config, "max_position_embeddings", 512)
    text = " ".join(f"The mill of Orrin has {n} wheels and turns by night." for n in range(40))
    proposal = model.propose(text, self_edit=SENTENCES)
    assert max(len(model.base.tokens(passage)) for passage in proposal.passages) <= 256
    assert model.commit(proposal, inner_loop=QUICK).accepted
    model.engine = HFEngine(model.base)
    before = sorted(model.ledger.adapters_folder.iterdir())
    with pytest.raises(InputError, match="window"):  # a token is a byte here: the prompts alone do not fit
        model.adapt(text, inner_loop=QUICK)
    assert sorted(model.ledger.adapters_folder.iterdir()) == before
