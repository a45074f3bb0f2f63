"""Several contexts at once: an adapter each, trained side by side, as each alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from fakes import ScriptedEngine
from test_model import ASKED, NOTES, QUICK, learner

from seal_agent.adaptation import adapt as adapting
from seal_agent.base_model.model import BaseModel
from seal_agent.config import SelfEditConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Context, Revision

CONTEXTS = (
    Context("Tarawa is the capital of Kiribati.", "Kiribati", ASKED),
    Context("Banaba is a raised island in the west."),
    Context("Betio is the largest town of South Tarawa.", "Betio"),
)
NAMES = ("first", "second", "third")


def make(base: BaseModel, home: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(base, home=home, engine=ScriptedEngine(learner))


def learn(model: SelfAdaptingModel, names: Sequence[str] = NAMES) -> list[Revision]:
    return model.adapt_many(CONTEXTS, adapters=names, self_edit=NOTES, inner_loop=QUICK, gate=None)


def test_each_learns_what_it_would_learn_alone(tiny_base: BaseModel, tmp_path: Path) -> None:
    many, single = make(tiny_base, tmp_path / "many"), make(tiny_base, tmp_path / "single")
    revisions = learn(many)
    assert many.adapters() == {name: revision.id for name, revision in zip(NAMES, revisions, strict=True)}
    for name, context, revision in zip(NAMES, CONTEXTS, revisions, strict=True):
        alone = single.adapt(context, adapter=name, self_edit=NOTES, inner_loop=QUICK, gate=None)
        assert (revision.context, revision.after, revision.training.steps) == (
            alone.context,
            alone.after,
            alone.training.steps,
        )
        ours, theirs = many.adapter(name), single.adapter(name)
        assert ours is not None
        assert theirs is not None
        for layer, pair in ours.pairs.items():
            torch.testing.assert_close(pair.b_RO, theirs.pairs[layer].b_RO, atol=1e-4, rtol=1e-3)


def test_stages_are_each_ones_share(tiny_base: BaseModel, tmp_path: Path) -> None:
    revisions = learn(make(tiny_base, tmp_path))
    trained = {next(stage.seconds for stage in revision.stages if stage.name == "train") for revision in revisions}
    assert len(trained) == 1


def test_adapters_that_exist_are_continued_and_known_texts_are_not_learned_again(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    model = make(tiny_base, tmp_path)
    first = learn(model)
    assert learn(model) == first
    turned = model.adapt_many(CONTEXTS[::-1], adapters=NAMES, self_edit=NOTES, inner_loop=QUICK, gate=None)
    assert [revision.parent for revision in turned] == [first[0].id, None, first[2].id]
    assert turned[1] == first[1], "the one in the middle is the same text for the same adapter"


@pytest.mark.parametrize("names", [("a", "b"), ("a", "b", "a"), ("a", "b", "../c")])
def test_names_that_do_not_fit_are_refused_before_anything_is_trained(
    tiny_base: BaseModel, tmp_path: Path, names: Sequence[str]
) -> None:
    model = make(tiny_base, tmp_path)
    with pytest.raises(InputError):
        learn(model, names)
    assert model.adapters() == {}


def test_a_training_that_fails_loses_only_itself(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = adapting.train_each

    def second_fails(base: BaseModel, jobs: Sequence[object], *more: object) -> object:
        results, report = really(base, jobs, *more)  # type: ignore[arg-type]
        results[1] = TrainingError("the loss became nan")
        return results, report

    model = make(tiny_base, tmp_path)
    monkeypatch.setattr(adapting, "train_each", second_fails)
    with pytest.raises(TrainingError, match=r"1 of 3 trainings failed, the others are kept \(second: the loss"):
        learn(model)
    assert set(model.adapters()) == {"first", "third"}


def test_a_text_with_nothing_to_learn_loses_only_itself(tiny_base: BaseModel, tmp_path: Path) -> None:
    model, plain = make(tiny_base, tmp_path), SelfEditConfig(formats=("passage",), self_test=0)
    with pytest.raises(TrainingError, match=r"1 of 2 trainings failed.*\(short: .*'x' has no token to learn"):
        model.adapt_many(["x", CONTEXTS[0]], adapters=["short", "long"], self_edit=plain, inner_loop=QUICK, gate=None)
    assert set(model.adapters()) == {"long"}
    with pytest.raises(InputError, match="'x' has no token to learn"):
        model.adapt("x", self_edit=plain, inner_loop=QUICK, gate=None)
