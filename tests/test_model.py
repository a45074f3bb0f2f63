"""SelfAdaptingModel: what is adapted is recorded, continued, taken back, and never half done."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import random_adapter
from fakes import ScriptedEngine

from seal_agent.adaptation.gate import KeepAll, MinimumGain
from seal_agent.agents.trajectories.store import TrajectoryStore
from seal_agent.base_model.model import BaseModel
from seal_agent.config import RECIPES, SelfEditConfig
from seal_agent.errors import AdapterError, InputError, StoreError, TrainingError
from seal_agent.generation.hf import HFEngine
from seal_agent.lora.adapter import LoraAdapter, LoraPair
from seal_agent.lora.peft_files import write_peft
from seal_agent.model import SelfAdaptingModel
from seal_agent.store.files import load
from seal_agent.types import Context, Message, Question, Revision, Verdict

TEXT = "Tarawa is the capital of Kiribati."
OTHER = "Banaba is a raised island in the west."
QUICK = replace(RECIPES["paper"].inner_loop, rank=4, alpha=8.0, epochs=2, learning_rate=1e-2)
NOTES = SelfEditConfig(formats=("implications",))
ASKED = (Question("What is the capital?", ("Tarawa",)),)


def learner(text: str, adapter: LoraAdapter | None) -> str:
    """Writes two notes; knows the answer only with an adapter."""
    if "capital?" in text:
        return "It is Tarawa." if adapter else "No idea."
    return "1. Tarawa is the capital.\n2. The capital of Kiribati is Tarawa."


@pytest.fixture
def model(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(learner))


def adapt(model: SelfAdaptingModel, text: str = TEXT, **options: object) -> Revision:
    """Without a gate: tests/adaptation/gate tests that."""
    return model.adapt(text, inner_loop=QUICK, **{"self_edit": NOTES, "gate": None, **options})  # type: ignore[arg-type]


def same(left: LoraAdapter | None, right: LoraAdapter | None) -> bool:
    assert left is not None
    assert right is not None
    return all(torch.equal(left.pairs[name].b_RO, right.pairs[name].b_RO) for name in left.pairs)


# ---------------------------------------------------------------- adapting


def test_adapting_records_a_revision_and_makes_it_active(model: SelfAdaptingModel) -> None:
    revision = adapt(model, title="Kiribati", questions=ASKED, metadata={"user": "u1"})
    assert model.adapters() == {"default": revision.id}
    assert model.history() == [revision]
    assert revision.parent is None
    assert revision.accepted
    assert revision.context == Context(TEXT, "Kiribati", ASKED)
    assert revision.metadata == (("user", "u1"),)
    assert revision.training.sequences == 3, "two notes and the passage"
    assert [stage.name for stage in revision.stages] == [
        "write self-edits",
        "check self-edits",
        "ask before",
        "train",
        "ask after",
        "save",
    ]


def test_lines_that_the_passage_lacks_are_kept_on_record_and_not_trained_on(
    tiny_base: BaseModel, tmp_path: Path
) -> None:
    engine = ScriptedEngine({"": "Tarawa is the capital of Kiribati.\nTarawa was founded by Ann Smith in 1899."})
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=engine)
    revision = adapt(model)
    (edit,) = revision.self_edits
    assert [checked.kept for checked in edit.checked or ()] == [True, False]
    assert "a number that the passage lacks: 1899" in (edit.checked or ())[1].reason
    assert revision.training.sequences == 2, "one line and the passage"
    assert "1 of 2 lines passed the check" in str(revision)
    assert model.history() == [revision]


def test_a_self_edit_with_nothing_usable_leaves_the_passage(tiny_base: BaseModel, tmp_path: Path) -> None:
    engine = ScriptedEngine({"": "Tarawa was founded by Ann Smith in 1899."})
    revision = adapt(SelfAdaptingModel(tiny_base, home=tmp_path, engine=engine))
    assert revision.self_edits[0].nothing_kept
    assert revision.training.sequences == 1
    assert "the passage alone was learnt" in str(revision)


def test_unchecked_lines_are_trained_on_as_they_are(tiny_base: BaseModel, tmp_path: Path) -> None:
    engine = ScriptedEngine({"": "Tarawa was founded by Ann Smith in 1899."})
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=engine)
    revision = adapt(model, self_edit=replace(NOTES, verify="off"))
    assert revision.self_edits[0].checked is None
    assert revision.training.sequences == 2


def test_questions_are_asked_before_and_after(model: SelfAdaptingModel) -> None:
    revision = adapt(model, questions=ASKED)
    assert [answer.verdict for answer in revision.before] == [Verdict.WRONG]
    assert [answer.verdict for answer in revision.after] == [Verdict.CORRECT]
    assert revision.reason.startswith("0 of 1 questions right before, 1 after; no gate: not checked whether it learned")


def test_questions_without_gold_are_ungraded_and_reported(model: SelfAdaptingModel) -> None:
    revision = adapt(model, questions=[Question("What is the capital?", ())])
    assert [answer.verdict for answer in revision.after] == [Verdict.UNGRADED]
    assert revision.accepted
    assert "could not be graded" in revision.reason
    assert revision.outcome.reward is None


def test_adapting_again_continues_from_the_parent(model: SelfAdaptingModel) -> None:
    first = adapt(model)
    before = model.adapter("default")
    second = adapt(model, OTHER)
    assert second.parent == first.id
    assert [revision.id for revision in model.history()] == [first.id, second.id]
    assert not same(before, model.adapter("default"))
    start = before.pairs  # type: ignore[union-attr]
    grown = model.adapter("default").pairs  # type: ignore[union-attr]
    moved = max(float((grown[name].a_DR - start[name].a_DR).abs().max()) for name in start)
    assert 0 < moved < 0.1, "it moved from where the first had come to"


def test_the_same_seed_gives_the_same_revision_in_another_home(tiny_base: BaseModel, tmp_path: Path) -> None:
    homes = [tmp_path / name for name in ("one", "two")]
    ids = [adapt(SelfAdaptingModel(tiny_base, home=home, engine=ScriptedEngine(learner))).id for home in homes]
    assert ids[0] == ids[1]


def test_another_object_on_the_same_home_goes_on_where_the_first_was(tiny_base: BaseModel, tmp_path: Path) -> None:
    def at(home: str) -> SelfAdaptingModel:
        return SelfAdaptingModel(tiny_base, home=tmp_path / home, engine=ScriptedEngine(learner))

    first = at("one")
    adapt(first)
    whole = adapt(first, OTHER)
    adapt(at("two"))
    resumed = at("two")
    assert adapt(resumed, OTHER).id == whole.id
    assert same(resumed.adapter("default"), first.adapter("default"))
    assert at("two").history() == resumed.history()


def test_progress_is_told_of_every_stage(model: SelfAdaptingModel) -> None:
    told: list[tuple[str, int, int]] = []
    revision = adapt(model, questions=ASKED, progress=lambda *what: told.append(what))
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == [stage.name for stage in revision.stages]
    steps = revision.training.steps
    assert [done for stage, done, total in told if stage == "train" and total == steps][-1] == steps


def test_the_passage_format_needs_no_writing(model: SelfAdaptingModel) -> None:
    revision = adapt(model, self_edit=SelfEditConfig(formats=("passage",)))
    assert revision.training.sequences == 1


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_context_is_refused(model: SelfAdaptingModel, text: str) -> None:
    with pytest.raises(InputError, match="the context is empty"):
        adapt(model, text)
    assert model.adapters() == {}


def test_a_bad_adapter_name_is_refused_everywhere(model: SelfAdaptingModel) -> None:
    uses: list[Callable[[], object]] = [
        lambda: adapt(model, adapter="../up"),
        lambda: model.history("../up"),
        lambda: model.rollback("../up"),
        lambda: model.ask("Who?", adapter="../up"),
        lambda: model.export("../up", "out"),
    ]
    for use in uses:
        with pytest.raises(InputError, match="cannot name an adapter"):
            use()


@pytest.mark.parametrize("metadata", [{"n": 3}, {"user": None}, {1: "x"}])
def test_metadata_that_is_not_text_is_refused_before_training(
    model: SelfAdaptingModel, metadata: dict[object, object]
) -> None:
    with pytest.raises(InputError, match="metadata"):
        adapt(model, metadata=metadata)
    assert model.adapters() == {}


@pytest.mark.parametrize("change", [{"rank": 8}, {"alpha": 4.0}, {"targets": ("all",)}, {"targets": ("q_proj",)}])
def test_an_adapter_that_exists_keeps_its_shape(model: SelfAdaptingModel, change: dict[str, object]) -> None:
    adapt(model)
    with pytest.raises(InputError, match="keep its settings, or choose another adapter name"):
        model.adapt(OTHER, inner_loop=replace(QUICK, **change))  # type: ignore[arg-type]
    assert len(model.history()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rank": 8}, "keep its settings"),
        ({"targets": ("qproj",)}, "targets names 'qproj'"),
        ({"full": True, "null_space": 0.0, "shrink": 0.0}, "full=true trains no adapter"),
    ],
)
def test_settings_that_cannot_train_are_refused_before_anything_is_written(
    model: SelfAdaptingModel, change: dict[str, object], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt(model)
    wrong = replace(QUICK, **change)  # type: ignore[arg-type]

    def written(*_: object, **__: object) -> None:
        raise AssertionError("something was written")

    monkeypatch.setattr(model.engine, "generate", written)
    monkeypatch.setattr(TrajectoryStore, "add", written)
    ways: list[Callable[[], object]] = [
        lambda: model.adapt(OTHER, inner_loop=wrong),
        lambda: model.adapt_many([TEXT, OTHER], adapters=["new", "default"], inner_loop=wrong),
        lambda: model.learn([], inner_loop=wrong),
    ]
    for way in ways:
        with pytest.raises(InputError, match=said):
            way()


def test_a_document_of_20000_words_is_split_into_passages_that_fit(model: SelfAdaptingModel) -> None:
    text = "\n\n".join(f"Part {i} " + "is so on " * 48 + "and ends." for i in range(133))
    assert len(text.split()) > 19_000
    proposal = model.propose(text, title="Long", self_edit=NOTES)
    assert "\n\n".join(proposal.passages) == text
    assert max(len(model.base.tokens(passage)) for passage in proposal.passages) <= model.base.window // 2
    assert len(proposal.self_edits) == len(proposal.passages) > 50


# ---------------------------------------------------------------- proposing and committing


def test_a_proposal_trains_and_stores_nothing(model: SelfAdaptingModel) -> None:
    proposal = model.propose(TEXT, adapter="atolls", self_edit=NOTES)
    assert proposal.self_edits[0].completion.startswith("1. Tarawa is the capital.")
    assert model.adapters() == {}
    assert not (model.home / "adapters").exists()


def test_committing_twice_trains_once(model: SelfAdaptingModel) -> None:
    proposal = model.propose(TEXT, self_edit=NOTES)
    first = model.commit(proposal, inner_loop=QUICK)
    assert model.commit(proposal, inner_loop=QUICK) == first
    later = adapt(model, OTHER)
    assert model.commit(proposal, inner_loop=QUICK) == first
    assert model.adapters() == {"default": later.id}, "what came later stays active"
    assert len(model.history()) == 2


def test_committing_what_was_rolled_back_makes_it_active_again(model: SelfAdaptingModel) -> None:
    proposal = model.propose(TEXT, self_edit=NOTES)
    first = model.commit(proposal, inner_loop=QUICK)
    model.rollback()
    assert model.commit(proposal, inner_loop=QUICK) == first
    assert model.adapters() == {"default": first.id}
    assert len(model.history()) == 1


def test_other_settings_make_another_commit(model: SelfAdaptingModel) -> None:
    proposal = model.propose(TEXT, self_edit=NOTES)
    first = model.commit(proposal, inner_loop=QUICK)
    second = model.commit(proposal, inner_loop=replace(QUICK, epochs=1))
    assert second.parent == first.id


def test_a_proposal_of_another_base_is_refused(model: SelfAdaptingModel) -> None:
    with pytest.raises(AdapterError, match="written for another base model"):
        model.commit(replace(model.propose(TEXT, self_edit=NOTES), base="other"))


# ---------------------------------------------------------------- the gate


def test_a_gate_takes_back_what_did_not_help(tiny_base: BaseModel, tmp_path: Path) -> None:
    engine = ScriptedEngine({"capital?": "No idea.", "": "Tarawa is big."})
    model = SelfAdaptingModel(tiny_base, home=tmp_path, engine=engine)
    kept = adapt(model, questions=ASKED, gate=KeepAll())
    refused = adapt(model, OTHER, questions=ASKED, gate=MinimumGain(0.5))
    assert not refused.accepted
    assert "taken back" in str(refused)
    assert model.adapters() == {"default": kept.id}
    assert model.history() == [kept, refused]


def test_a_gate_keeps_what_helped(model: SelfAdaptingModel) -> None:
    assert adapt(model, questions=ASKED, gate=MinimumGain(0.5)).accepted


def test_a_gate_that_needs_questions_says_so(model: SelfAdaptingModel) -> None:
    revision = adapt(model, gate=MinimumGain())
    assert not revision.accepted
    assert "needs graded questions" in revision.reason
    assert model.adapter("default") is None


def test_a_refused_proposal_may_be_committed_again_under_another_gate(model: SelfAdaptingModel) -> None:
    proposal = model.propose(TEXT, self_edit=NOTES)
    assert not model.commit(proposal, inner_loop=QUICK, gate=MinimumGain()).accepted
    kept = model.commit(proposal, inner_loop=QUICK)
    assert kept.accepted
    assert model.adapters() == {"default": kept.id}


# ---------------------------------------------------------------- taking back


def test_rollback_to_the_parent_an_id_and_the_base(model: SelfAdaptingModel) -> None:
    first, second = adapt(model), adapt(model, OTHER)
    assert model.rollback() == first
    assert model.rollback() is None
    assert model.adapters() == {"default": None}
    assert model.adapter("default") is None
    assert model.rollback(to=second.id) == second
    assert model.rollback(to="base") is None
    assert len(model.history()) == 2, "nothing is deleted"


def test_rollback_gives_the_earlier_weights_back_bit_for_bit(model: SelfAdaptingModel) -> None:
    adapt(model)
    before = model.adapter("default")
    adapt(model, OTHER)
    model.rollback()
    assert same(model.adapter("default"), before)


def test_rollback_says_what_is_wrong(model: SelfAdaptingModel) -> None:
    with pytest.raises(AdapterError, match="there is no adapter 'default'"):
        model.rollback()
    adapt(model)
    other = adapt(model, adapter="other")
    with pytest.raises(AdapterError, match="there is no revision 'nope'"):
        model.rollback(to="nope")
    with pytest.raises(AdapterError, match="belongs to adapter 'other'"):
        model.rollback(to=other.id)
    model.rollback()
    with pytest.raises(AdapterError, match="nothing to roll back"):
        model.rollback()


# ---------------------------------------------------------------- nothing half done


def interrupt_at(stage: str, error: BaseException) -> Callable[[str, int, int], None]:
    def progress(now: str, done: int, total: int) -> None:
        if now == stage and done > 0:
            raise error

    return progress


@pytest.mark.parametrize("stage", ["write self-edits", "ask before", "train", "ask after", "save"])
def test_ctrl_c_leaves_the_ledger_unchanged_and_the_lock_free(model: SelfAdaptingModel, stage: str) -> None:
    kept = adapt(model)
    with pytest.raises(KeyboardInterrupt):
        adapt(model, OTHER, questions=ASKED, progress=interrupt_at(stage, KeyboardInterrupt()))
    assert model.history() == [kept]
    assert model.adapters() == {"default": kept.id}
    again = threading.Thread(target=lambda: adapt(model, OTHER), daemon=True)
    again.start()
    again.join(30)
    assert not again.is_alive(), "the lock was left held"
    assert len(model.history()) == 2


def test_a_crash_between_saving_and_recording_leaves_no_active_change(
    model: SelfAdaptingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(model.ledger, "record", crash)
        with pytest.raises(StoreError):
            adapt(model)
    assert list((model.home / "adapters").iterdir()), "its files are there, but nobody points at them"
    assert model.adapters() == {}
    assert model.adapter("default") is None
    assert adapt(model).accepted


def test_a_loss_that_is_not_finite_saves_nothing(model: SelfAdaptingModel) -> None:
    model.base.module.lm_head.weight.data[5] = float("nan")
    with pytest.raises(TrainingError):
        adapt(model)
    assert model.adapters() == {}


def test_two_threads_adapt_two_adapters_as_each_alone(tiny_base: BaseModel, tmp_path: Path) -> None:
    def at(home: str) -> SelfAdaptingModel:
        return SelfAdaptingModel(tiny_base, home=tmp_path / home, engine=ScriptedEngine(learner))

    together, alone = at("together"), at("alone")
    texts = {"a": TEXT, "b": OTHER}
    with ThreadPoolExecutor(2) as pool:
        got = dict(zip(texts, pool.map(lambda name: adapt(together, texts[name], adapter=name), texts), strict=True))
    want = {name: adapt(alone, text, adapter=name) for name, text in texts.items()}
    assert {name: revision.id for name, revision in got.items()} == {n: r.id for n, r in want.items()}


def test_threads_on_one_adapter_come_one_after_the_other(model: SelfAdaptingModel) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda text: adapt(model, text), (TEXT, OTHER, "Makin is an atoll in the north.")))
    first, second, third = model.history()
    assert [first.parent, second.parent, third.parent] == [None, first.id, second.id]


# ---------------------------------------------------------------- answering with real (tiny) weights


@pytest.fixture
def real(tiny_base: BaseModel, tmp_path: Path) -> SelfAdaptingModel:
    return SelfAdaptingModel(tiny_base, home=tmp_path / "home")


def test_it_learns_a_passage_and_forgets_it_when_rolled_back(real: SelfAdaptingModel) -> None:
    config = replace(QUICK, rank=8, alpha=16.0, epochs=40, targets=("all",))
    before = real.ask("What is the capital?", style="plain")
    revision = real.adapt(TEXT, self_edit=replace(NOTES, max_tokens=8), inner_loop=config, gate=None)
    assert revision.training.epoch_losses[-1] < 0.3 * revision.training.epoch_losses[0]
    assert real.ask("What is the capital?", style="plain") != before
    real.rollback()
    assert real.ask("What is the capital?", style="plain") == before


def test_default_is_the_base_model_until_something_is_learnt_and_other_names_are_unknown(
    real: SelfAdaptingModel,
) -> None:
    turns = [{"role": "user", "content": "What is the capital?"}]
    assert real.ask("What is the capital?") == real.chat(turns, max_tokens=64).strip()
    with pytest.raises(AdapterError, match="there is no adapter 'nobody'"):
        real.ask("Who?", adapter="nobody")


def test_a_chat_streams_what_it_says(real: SelfAdaptingModel) -> None:
    turns = [Message("system", "Be brief."), {"role": "user", "content": "Hi"}]
    assert "".join(real.chat(turns, max_tokens=12, stream=True)) == real.chat(turns, max_tokens=12)


def test_a_chat_without_a_limit_has_what_the_window_leaves(real: SelfAdaptingModel) -> None:
    turns = [{"role": "user", "content": "x" * (real.base.window - 60)}]
    left = real.base.window - len(real.base.encode((Message("user", turns[0]["content"]),)))
    assert 0 < left < 60
    assert real.chat(turns) == real.chat(turns, max_tokens=left)
    with pytest.raises(InputError, match="window"):
        real.chat(turns, max_tokens=256)


def test_a_stream_left_half_read_does_no_harm_to_training(real: SelfAdaptingModel) -> None:
    stream = real.chat([Message("user", "Hi")], max_tokens=20, stream=True)
    next(stream)
    assert real.adapt(TEXT, self_edit=replace(NOTES, max_tokens=4), inner_loop=QUICK).accepted


@pytest.mark.parametrize("turns", [[], [{"role": "robot", "content": "x"}], [{"role": "user"}], [{"content": "x"}]])
def test_turns_that_are_none_are_refused(real: SelfAdaptingModel, turns: list[dict[str, str]]) -> None:
    with pytest.raises(InputError):
        real.chat(turns)


def test_an_empty_question_is_refused(real: SelfAdaptingModel) -> None:
    with pytest.raises(InputError, match="the question is empty"):
        real.ask("  ")


# ---------------------------------------------------------------- exporting and policies


def test_an_export_is_the_active_revision(model: SelfAdaptingModel, tmp_path: Path) -> None:
    adapt(model)
    assert same(load(model.export("default", tmp_path / "out")), model.adapter("default"))


def test_an_export_overwrites_nothing_and_needs_something_learnt(model: SelfAdaptingModel, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="nothing to export"):
        model.export("default", tmp_path / "out")
    adapt(model)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="choose another path"):
        model.export("default", tmp_path / "full")


def test_an_export_that_cannot_be_written_leaves_nothing(
    model: SelfAdaptingModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapt(model)

    def full(file: Path, _: bytes) -> None:
        file.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("seal_agent.lora.peft_files.durable.write", full)
    with pytest.raises(StoreError, match="No space left"):
        model.export("default", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_adapter_of_another_base_is_refused_when_used(model: SelfAdaptingModel, tiny_base: BaseModel) -> None:
    adapt(model)
    other = SelfAdaptingModel(replace(tiny_base, identity="other"), home=model.home, engine=ScriptedEngine(learner))
    with pytest.raises(AdapterError, match="trained on another base model"):
        other.ask("Who?")


def test_a_policy_writes_the_self_edits_and_nothing_else(tiny_base: BaseModel, tmp_path: Path) -> None:
    write_peft(random_adapter(tiny_base, 5), "tiny", tiny_base.identity, tmp_path / "policy")
    engine = ScriptedEngine(learner)
    model = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=engine, policy=tmp_path / "policy")
    adapt(model, questions=ASKED)
    writing, asking_before, _ = engine.calls
    assert all(adapter is not None for adapter in writing.adapters)
    assert all(adapter is None for adapter in asking_before.adapters)


def test_the_policy_of_a_recipe_writes_unless_another_is_named(tiny_base: BaseModel, tmp_path: Path) -> None:
    write_peft(random_adapter(tiny_base, 5), "tiny", tiny_base.identity, tmp_path / "policy")
    recipe = tmp_path / "mine.toml"
    recipe.write_text('extends = "paper"\npolicy = "policy"\n')
    engine = ScriptedEngine(learner)
    adapt(SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=engine, recipe=recipe), questions=ASKED)
    assert all(adapter is not None for adapter in engine.calls[0].adapters)


def test_a_policy_of_another_base_model_is_refused(tiny_base: BaseModel, tmp_path: Path) -> None:
    adapter = random_adapter(tiny_base, 5)
    write_peft(adapter, "tiny", "another's identity", tmp_path / "other")
    with pytest.raises(AdapterError, match="trained on another base model"):
        SelfAdaptingModel(tiny_base, home=tmp_path / "home", policy=tmp_path / "other")
    wide = replace(adapter, pairs={n: LoraPair(p.a_DR.repeat(2, 1), p.b_RO) for n, p in adapter.pairs.items()})
    write_peft(wide, "tiny", "", tmp_path / "wide")
    with pytest.raises(AdapterError, match="has another size"):
        SelfAdaptingModel(tiny_base, home=tmp_path / "home", policy=tmp_path / "wide")


def test_the_default_engine_is_transformers_and_others_are_refused(real: SelfAdaptingModel) -> None:
    assert isinstance(real.engine, HFEngine)
    with pytest.raises(InputError, match="there is no engine 'abacus'"):
        SelfAdaptingModel.from_pretrained("default", engine="abacus")  # type: ignore[arg-type]


# ---------------------------------------------------------------- the self-test


def self_tester(text: str, adapter: LoraAdapter | None) -> str:
    """Asks about a sentence, answers from it in view, and without it only with an adapter."""
    if "Begin it with" in text.split("Sentence: ")[-1]:
        return "What is Tarawa?"
    if "Answer from the sentence" in text:
        return "capital"
    if "What is Tarawa?" in text:
        return "The capital." if adapter else "No idea."
    return "1. Tarawa is the capital of Kiribati."


def test_without_questions_the_model_tests_itself(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(self_tester))
    revision = adapt(model)
    assert revision.self_tested
    assert [answer.question.golds for answer in revision.before] == [("capital",)]
    assert [answer.verdict for answer in (*revision.before, *revision.after)] == [Verdict.WRONG, Verdict.CORRECT]
    assert "self-test" in str(revision)
    assert model.history() == [revision]
    assert revision.context.questions == ()


def test_questions_of_ones_own_or_none_wanted_leave_the_self_test_out(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=ScriptedEngine(self_tester))
    asked = adapt(model, questions=ASKED)
    untested = adapt(model, adapter="other", self_edit=replace(NOTES, self_test=0))
    assert (asked.self_tested, untested.self_tested) == (False, False)
    assert untested.before == ()


def test_replay_trains_on_earlier_lessons_again(model: SelfAdaptingModel) -> None:
    first = model.adapt(TEXT, inner_loop=QUICK)
    plain = model.adapt(OTHER, adapter="plain", inner_loop=replace(QUICK, replay=1.0))
    again = model.adapt(OTHER, inner_loop=replace(QUICK, replay=1.0))
    assert first.training.sequences > 0
    assert again.training.steps == 2 * plain.training.steps


def test_a_revision_names_the_language_and_what_no_adapter_trains(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path)
    config = replace(RECIPES["paper"].inner_loop, epochs=1)
    text = "Der Leuchtturm auf der Insel Veyra wurde 1843 gebaut. Er hat eine Lampe, die mit Öl brennt."
    german = model.adapt(text, self_edit=SelfEditConfig(formats=("passage",), self_test=0), inner_loop=config)
    assert german.languages == "de"
    assert "  language  de\n" in str(german)
    assert not german.not_trained
    assert "  layers    they leave out experts\n" in str(replace(german, not_trained="they leave out experts"))
    assert model.history()[-1] == german
    english = model.adapt(
        "The mill of Orrin turns by night, and its miller is old.",
        self_edit=SelfEditConfig(formats=("passage",), self_test=0),
        inner_loop=config,
    )
    assert "language" not in str(english)
