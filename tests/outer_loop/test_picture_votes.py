"""Votes over a model's own answers about pictures: who agrees becomes likelier, and unanimity teaches nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from seeing_models import picture, seeing

from seal_agent.adaptation.propose import write_proposal
from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_LORA, PictureConfig, PictureVotesConfig, PolicyGradientConfig, SelfEditConfig
from seal_agent.errors import CollapseError, InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop import collapse
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.picture_votes import VoteRound, entropy_of, learn_by_votes
from seal_agent.outer_loop.policy import POLICIES, load_policy
from seal_agent.progress import Progress, StageClock
from seal_agent.self_edits.pictures import asked_of
from seal_agent.types import Completion, Context, Grammar, Prompt, Sampling

PICTURES = (picture(1), picture(2, 60, 40))
QUESTION = "What is in the picture?"
CONFIG = PictureVotesConfig(
    rounds=1,
    pictures=PictureConfig(samples=4, questions=1, temperature=1.0),
    gradient=PolicyGradientConfig(passes=4, learning_rate=1e-2, rank=4, alpha=8.0, kl=0.0, clip=0.9),
    finetuning=replace(PLAIN_LORA, rank=4, alpha=8.0, epochs=4, learning_rate=1e-2, targets=("all",), batch_size=4),
)
SPLIT = ("a red box", "a red box", "a blue hat", "\n")


@dataclass
class Voter(HFEngine):
    """Writes one question, and answers it with the given samples in turn."""

    base: BaseModel
    answers: tuple[str, ...] = SPLIT
    calls: list[Sequence[LoraAdapter | None]] = field(default_factory=list)

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
        self.calls.append(adapters or ())
        texts = [
            QUESTION if "Write 1 short" in prompt[0].content else self.answers[i % len(self.answers)]
            for i, prompt in enumerate(prompts)
        ]
        return [Completion(text, 3, 1, "stop") for text in texts]


def rounds_in(folder: Path, engine: Voter, config: PictureVotesConfig = CONFIG) -> list[VoteRound]:
    run = Run(folder, {"test": 1}, {})
    try:
        return learn_by_votes(engine.base, engine, PICTURES, config, run)
    finally:
        run.close()


@pytest.mark.parametrize("update", ["grpo", "best-of-n"])
def test_the_answer_of_most_becomes_likelier_than_the_other(update: str, tmp_path: Path) -> None:
    base = seeing("llava")
    config = replace(CONFIG, update=update)
    (result,) = rounds_in(tmp_path, Voter(base), config)
    assert [(q.vote, round(q.share, 2), q.unreadable) for q in result.questions] == [("a red box", 0.67, 1)] * 2
    assert (result.learnt, result.unreadable) == (2, 2)
    policy = load_policy(tmp_path / POLICIES / result.next_policy, base.identity).adapter
    prompts = [asked_of("", PICTURES[0], QUESTION)] * 2
    before, after = (
        HFEngine(base).score(prompts, ["a red box", "a blue hat"], [adapter] * 2) for adapter in (None, policy)
    )
    margins = [sum(scores[0]) - sum(scores[1]) for scores in (before, after)]
    assert margins[1] > margins[0] + 0.1


def test_a_finished_round_is_not_done_again_and_the_next_is_asked_of_its_policy(tmp_path: Path) -> None:
    base = seeing("llava")
    engine = Voter(base)
    config = replace(CONFIG, rounds=2)
    first, second = rounds_in(tmp_path, engine, config)
    assert second.policy == first.next_policy != ""
    assert all(adapter is not None for adapter in engine.calls[-1])
    again = Voter(base)
    assert rounds_in(tmp_path, again, config) == [first, second]
    assert not again.calls


def test_wholly_equal_answers_teach_nothing_and_stop_the_run(tmp_path: Path) -> None:
    engine = Voter(seeing("llava"), ("a red box",))
    with pytest.raises(CollapseError, match="no longer differ"):
        rounds_in(tmp_path, engine)
    assert not (tmp_path / POLICIES).exists()


@dataclass
class Collapsing(Voter):
    """Agrees with itself nearly always from the second policy on."""

    def generate(self, *args: Any, **more: Any) -> list[Completion]:
        done = super().generate(*args, **more)
        policies = {id(adapter) for adapters in self.calls for adapter in adapters if adapter}
        self.answers = SPLIT if len(policies) > 1 else ("a red box", "a blue hat")
        return done


def test_a_collapse_is_seen_before_anything_is_learnt_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collapse, "MIN_ENTROPY", 0.65)  # of SPLIT it is 0.64, of two halves 0.69
    base, config = seeing("llava"), replace(CONFIG, rounds=4, update="best-of-n")
    for engine in (Collapsing(base), Collapsing(base)):
        run, rounds = Run(tmp_path, {"test": 1}, {}), list[VoteRound]()
        with pytest.raises(CollapseError, match="stopped after round 3"):
            learn_by_votes(base, engine, PICTURES, config, run, on_round=rounds.append)
        run.close()
        first, second, third = rounds
        assert (third.policy, third.next_policy, third.learnt) == (second.next_policy, second.next_policy, 0)
        folders = {path.name for path in (tmp_path / POLICIES).iterdir() if path.is_dir()}
        assert folders == {first.next_policy, second.next_policy}
        last = (tmp_path / POLICIES / "last").read_text(encoding="utf-8").strip()
        assert last == first.next_policy, "the policy before the one that collapsed"
    assert not engine.calls, "and the same command finds the same again"


def test_a_model_that_does_not_see_says_so(tiny_base: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not see"):
        rounds_in(tmp_path, Voter(tiny_base))


def test_a_model_whose_picture_tokens_see_each_other_is_refused_before_it_is_asked(tmp_path: Path) -> None:
    engine = Voter(seeing("gemma3"))
    with pytest.raises(InputError, match=r"see each other.*choose another model"):
        rounds_in(tmp_path, engine)
    shown = Context("", "Harbour", images=PICTURES[:1])
    config = SelfEditConfig(formats=("sentences", "picture-in-view"))
    options: dict[str, Any] = {"adapter": "work", "parent": None, "writer": None, "seed": 0}
    with pytest.raises(InputError, match=r"see each other.*leave the format picture-in-view out"):
        write_proposal(engine, engine.base, shown, None, config, StageClock(None), **options)
    assert not engine.calls


def test_entropy_counts_readable_answers() -> None:
    assert entropy_of(["a red box", "the red box", "\n"]) == 0.0
    assert entropy_of(["red", "blue"]) == pytest.approx(0.6931, abs=1e-4)
    assert entropy_of(["\n"]) == 0.0
