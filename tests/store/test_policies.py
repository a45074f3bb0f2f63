"""Policies that learnt from a text which a store forgot later are flagged, and say so."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import random_adapter
from outer_loop_fakes import CONFIG, AdapterEngine, domain, worker

from seal_agent.adaptation.forget import delete_adapter
from seal_agent.base_model.model import BaseModel
from seal_agent.cli.train.show import show_status
from seal_agent.config import RECIPES, SelfEditConfig, recorded_settings
from seal_agent.errors import PolicyWarning
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.learn import facts, settings
from seal_agent.outer_loop.plan import plan
from seal_agent.outer_loop.policy import load_policy, save_policy
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import QuestionReward
from seal_agent.store.ledger import Ledger
from seal_agent.store.policies import METADATA, flag_policies, flagged_policies, register_policies, text_hash

TEXT, OTHER = "Keeper Abbo lost 11 keys.", "Tarawa has a lagoon."
NOTES = SelfEditConfig(formats=("passage",), self_test=0)
QUICK = RECIPES["paper"].inner_loop


@pytest.fixture
def policy(tiny_base: BaseModel, tmp_path: Path) -> Path:
    name = save_policy(
        random_adapter(tiny_base, 5), ("rewrite",), tiny_base, tmp_path / "run" / "policy", [text_hash(TEXT)]
    )
    return tmp_path / "run" / "policy" / name


def test_the_hash_of_a_text_is_that_of_its_words() -> None:
    assert text_hash("Keeper  Abbo\n\nlost 11 keys.") == text_hash(TEXT) != text_hash(OTHER)


def test_a_policy_on_a_forgotten_text_is_flagged_and_warns(tmp_path: Path, policy: Path) -> None:
    ledger = Ledger(tmp_path / "home")
    register_policies(ledger, tmp_path / "run")
    register_policies(ledger, tmp_path / "run")
    assert flag_policies(ledger, [OTHER]) == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_policy(policy).forgotten == ()
    assert flag_policies(ledger, [TEXT]) == [policy.resolve()]
    assert list(flagged_policies(tmp_path / "run")) == list(flagged_policies(policy)) == [policy.name]
    with pytest.warns(PolicyWarning, match="was finetuned on a text that was forgotten on"):
        assert load_policy(policy, None).forgotten


def test_the_weights_of_a_flagged_policy_still_load_as_whole(
    tiny_base: BaseModel, tmp_path: Path, policy: Path
) -> None:
    ledger = Ledger(tmp_path / "home")
    register_policies(ledger, policy)
    flag_policies(ledger, [TEXT])
    with pytest.warns(PolicyWarning):
        load_policy(policy, tiny_base.identity)
    assert sorted(path.name for path in policy.parent.iterdir()) == [policy.name], "no draft is left"


@pytest.mark.parametrize("damage", ["gone", "broken"])
def test_policies_that_are_gone_or_damaged_do_not_stop_forgetting(tmp_path: Path, policy: Path, damage: str) -> None:
    ledger = Ledger(tmp_path / "home")
    register_policies(ledger, policy)
    (policy / METADATA).unlink() if damage == "gone" else (policy / METADATA).write_text("{")
    assert flag_policies(ledger, [TEXT]) == []
    assert flagged_policies(policy) == {}


@pytest.mark.parametrize("how", ["forget", "delete_adapter", "without a model"])
def test_forgetting_and_deleting_flag_the_policies_that_a_store_knows(
    tiny_base: BaseModel, tmp_path: Path, policy: Path, how: str
) -> None:
    seal = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=AdapterEngine(), policy=policy)
    other = SelfAdaptingModel(tiny_base, home=tmp_path / "home", engine=AdapterEngine())
    revision = other.adapt(TEXT, self_edit=NOTES, inner_loop=QUICK, gate=None)
    assert flagged_policies(policy) == {}
    if how == "forget":
        other.forget(revision.id)
    elif how == "delete_adapter":
        other.delete_adapter("default")
    else:
        delete_adapter(other.ledger, "default")
    assert flagged_policies(policy)
    assert TEXT not in (policy / METADATA).read_text()
    assert seal.policy


def test_a_run_knows_the_texts_of_its_winners_and_its_status_shows_the_flag(
    tiny_base: BaseModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at_work, passages, reward = worker(tiny_base), domain(), QuestionReward()
    cases = passages.cases(at_work, passages.items(CONFIG.contexts, 0, CONFIG.seed), CONFIG.seed)
    about = facts(tiny_base, plan(passages, reward, CONFIG, cases))
    run = Run(tmp_path / "run", settings(tiny_base, passages, reward, CONFIG), about)
    results = rest_em(passages, reward, CONFIG, worker=at_work, executor=InlineExecutor(at_work), run=run)
    run.close()
    names = [result.next_policy for result in results]
    won = [{context.title for context in result.contexts if context.kept} for result in results]
    texts = {context.title: context.text for context in passages.contexts}
    first, last = (load_policy(tmp_path / "run" / "policy" / str(name)) for name in names)
    assert set(first.contexts) == {text_hash(texts[title]) for title in won[0]}
    assert set(last.contexts) == {text_hash(texts[title]) for title in won[0] | won[1]}, "it goes on from the first"

    ledger = Ledger(tmp_path / "home")
    register_policies(ledger, tmp_path / "run")
    flag_policies(ledger, [texts[min(won[0])]])
    show_status(tmp_path / "run", as_json=True)
    assert set(json.loads(capsys.readouterr().out)["forgotten"]) == set(names)
    show_status(tmp_path / "run", as_json=False)
    assert "was finetuned on a text that was forgotten" in capsys.readouterr().out


def test_settings_that_came_later_and_are_off_are_not_in_what_runs_compare() -> None:
    recorded = recorded_settings(asdict(CONFIG))
    assert asdict(CONFIG)["policy"]["full"] is False, "the setting is there"
    assert "full" not in recorded["policy"]
    assert "equal_shares" not in recorded["self_edit"]
    assert recorded_settings(asdict(RECIPES["spa"].self_edit))["equal_shares"] is True
