"""A picture is learnt as text: what the model says of it becomes passages, notes and questions of the revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import pytest
from conftest import with_reader
from seeing_models import picture, seeing

from seal_agent.adaptation.lesson import job_of, write_lessons
from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import FIRST_ID
from seal_agent.config import UNPROTECTED, InnerLoopConfig, PictureConfig, SelfEditConfig
from seal_agent.errors import AdapterError, InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.images.pictures import image_of
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import Progress
from seal_agent.store.entries import from_json, to_json
from seal_agent.types import Completion, Context, Grammar, Message, Prompt, Question, Revision, Sampling, content_hash

PICTURE = picture(1)
SAID = {
    "Describe": "The harbour has two red cranes. The ferry is called Mirabel.",
    "Copy": "PIER 9",
    "Write 2 short": "What is the ferry called?",
    "What is the ferry called?": "Mirabel",
}
PICTURES = PictureConfig(samples=2, questions=2)
NOTES = SelfEditConfig(formats=("sentences",), verify="off", self_test=0)
TRAINING = replace(UNPROTECTED, rank=2, alpha=4.0, epochs=1, openings=0, replay=0.0)


@dataclass
class Seer(HFEngine):
    """The model's own engine, but for what it says of pictures, which is scripted and likelier with a picture."""

    base: BaseModel
    said: Mapping[str, str] = field(default_factory=lambda: SAID)

    def __post_init__(self) -> None:
        super().__init__(self.base)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: Progress | None = None,
        grammars: Sequence[Grammar | None] | None = None,
    ) -> list[Completion]:
        if not prompts or not pictured(prompts[0]):
            return super().generate(prompts, sampling, adapters, progress, grammars)
        texts = [next((v for k, v in self.said.items() if k in p[0].content), "") for p in prompts]
        return [Completion(text, 3, 1, "stop") for text in texts]

    def score(
        self,
        prompts: Sequence[Prompt],
        continuations: Sequence[str],
        adapters: Sequence[LoraAdapter | None] | None = None,
    ) -> list[tuple[float, ...]]:
        if not any(map(pictured, prompts)):
            return super().score(prompts, continuations, adapters)
        return [(-1.0 if pictured(prompt) else -2.0,) for prompt in prompts]


def pictured(prompt: Prompt) -> bool:
    return isinstance(prompt, tuple) and bool(prompt[0].pictures)


@pytest.fixture
def model(tmp_path: Path) -> SelfAdaptingModel:
    base = with_reader(seeing("llava"))
    return SelfAdaptingModel(base, home=tmp_path, engine=Seer(base))


def learn(model: SelfAdaptingModel, context: Context, adapter: str = "default") -> Revision:
    return model.adapt(context, adapter=adapter, self_edit=NOTES, inner_loop=TRAINING, pictures=PICTURES, gate=None)


def test_a_picture_is_learnt_kept_and_forgotten(model: SelfAdaptingModel) -> None:
    revision = learn(model, Context("", "Harbour", images=(image_of(PICTURE),)))
    assert revision.context.images == (PICTURE,)
    assert revision.passages == (
        'The harbour has two red cranes.\nThe ferry is called Mirabel.\nThe picture says "PIER 9".',
    )
    assert [(s.place, s.picture) for s in revision.sources] == [("picture 1", 1)]
    (about,) = (edit for edit in revision.self_edits if edit.format == "picture")
    assert about.completion
    assert ("What is the ferry called?", "Mirabel") in [(c.note.text, c.note.answer) for c in about.checked or ()]
    assert from_json(to_json(revision)) == revision
    assert model.history()[0].context.images == (PICTURE,)
    assert learn(model, Context("", "Harbour", images=(PICTURE,))).id == revision.id

    other = learn(model, Context("", "Harbour", images=(picture(2),)))
    assert other.id != revision.id
    model.forget(revision.id)
    with pytest.raises(AdapterError, match="forgotten"):
        model.weights_of(revision.id)
    assert PICTURE.png.encode() not in (model.home / "ledger.sqlite").read_bytes()
    assert [r.context.images for r in model.history()] == [(picture(2),)]


def test_a_text_and_its_pictures_are_one_lesson(model: SelfAdaptingModel) -> None:
    context = Context("Old Tom built the pier.", "Harbour", images=(PICTURE, picture(2)))
    proposal = model.propose(context, self_edit=NOTES, pictures=PICTURES)
    assert [source.picture for source in proposal.sources] == [0, 1, 2]
    assert [edit.part for edit in proposal.self_edits if edit.format == "picture"] == [1, 2]
    assert proposal.id != model.propose(replace(context, images=(PICTURE,)), self_edit=NOTES, pictures=PICTURES).id


def test_a_context_without_pictures_hashes_as_before_there_were_any() -> None:
    facts = asdict(Context("Old Tom built the pier.", "Harbour", (Question("Who?", ("Tom",)),)))
    assert facts.pop("images") == ()
    assert content_hash(facts) == content_hash({**facts, "images": ()})
    assert content_hash(facts) != content_hash({**facts, "images": [asdict(PICTURE)]})


def test_a_picture_of_which_nothing_can_be_kept_is_refused(model: SelfAdaptingModel) -> None:
    model.engine = Seer(model.base, {})
    with pytest.raises(InputError, match="does not agree with itself"):
        learn(model, Context("", "Harbour", images=(PICTURE,)))


def test_a_model_that_does_not_see_says_so(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path)
    for call in (
        lambda: model.adapt(Context("", "Harbour", images=(PICTURE,))),
        lambda: model.ask("What is this?", image=PICTURE),
        lambda: model.chat([{"role": "user", "content": [{"type": "image", "image": image_of(PICTURE)}]}]),
    ):
        with pytest.raises(InputError, match="'tiny' does not see"):
            call()


def test_questions_and_chats_may_show_pictures(tmp_path: Path) -> None:
    model = SelfAdaptingModel(seeing("llava"), home=tmp_path)
    asked = model.ask("What is this?", image=image_of(PICTURE))
    assert asked == model.ask("What is this?", image=PICTURE)
    assert asked != model.ask("What is this?", image=[picture(2), PICTURE])
    turns = [{"role": "user", "content": [{"type": "image", "image": PICTURE}, {"type": "text", "text": "Hm?"}]}]
    said = model.chat(turns, max_tokens=6)
    assert said == model.chat([Message("user", "Hm?", pictures=(PICTURE,))], max_tokens=6)
    assert "".join(model.chat(turns, max_tokens=6, stream=True)) == said


def test_questions_are_trained_with_the_picture_in_view_on_request(model: SelfAdaptingModel) -> None:
    base, engine = model.base, model.engine
    formats = ("sentences", "picture-in-view")
    context = Context("", "Harbour", images=(PICTURE,))
    lessons = {
        name: write_lessons(engine, base, [context], replace(NOTES, formats=name), pictures=PICTURES)[0]
        for name in (formats, formats[:1])
    }
    config = replace(TRAINING, targets=("all+vision",))
    job = job_of(engine, base, lessons[formats], config)
    in_view = [s for s in job.sequences if max(s.input_ids) >= FIRST_ID]
    assert len(in_view) == 1
    assert len(job.sequences) > 1
    with pytest.raises(InputError, match="picture-in-view"):
        job_of(engine, base, lessons[formats[:1]], config)
    with pytest.raises(InputError, match="nothing protects"):
        InnerLoopConfig(targets=("vision",))
