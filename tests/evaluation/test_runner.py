"""`seal bench` end to end on a scripted engine and tiny random models, through lm-eval's own evaluator."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("bm25s")

from bench_runs import TINY, data_of, knows, request, run, silent
from conftest import random_adapter
from fakes import ScriptedEngine

from seal_agent.arc.data import task_to_json
from seal_agent.arc.toy import toy_tasks
from seal_agent.base_model.model import BaseModel
from seal_agent.config import recipe_named
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError
from seal_agent.evaluation.contestant import Contestant
from seal_agent.evaluation.journal import Journal
from seal_agent.evaluation.passages import data_hash
from seal_agent.evaluation.retrieval import PassageSearch, with_passages
from seal_agent.evaluation.submit import check_submission
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.lm_eval import arc
from seal_agent.integrations.lm_eval.bench import model as bench_model
from seal_agent.integrations.lm_eval.bench.model import BenchLM
from seal_agent.integrations.lm_eval.bench.plan import Plan, plan_run
from seal_agent.integrations.lm_eval.bench.run import run_suite
from seal_agent.outer_loop.policy import save_policy
from seal_agent.types import Message

LOST = SimpleNamespace(failure="lost")


@pytest.mark.parametrize(("recipe", "right"), [("base", 0.0), ("in_context", 1.0), ("retrieval", 1.0)])
def test_a_suite_runs_and_its_row_can_be_submitted(
    tmp_path: Path, tiny_base: BaseModel, recipe: str, right: float
) -> None:
    plan = plan_run(request(tmp_path, recipe=recipe, limit=3))
    path, results = run(plan, tiny_base, ScriptedEngine(knows))
    assert results.measures["contains"].value == right
    assert results.results["seal_novel"]["passage_acc,none"] == right
    assert results.results["seal_novel"]["passage_is_answer,none"] == results.measures["is_answer"].value
    assert (results.data.units, results.data.questions, results.n_samples) == (3, 18, {"seal_novel": 18})
    assert results.task_hashes["seal_novel"]
    assert results.chat_template_sha
    assert results.figures["prompt_tokens_per_answer"] > (100 if right else 20)
    assert check_submission(path)


def test_a_stopped_run_asks_only_what_is_left(tmp_path: Path, tiny_base: BaseModel) -> None:
    short = plan_run(request(tmp_path, recipe="in_context", limit=2))
    run(short, tiny_base, ScriptedEngine(knows))
    engine = ScriptedEngine(knows)
    _, results = run(plan_run(request(tmp_path, recipe="in_context", limit=3)), tiny_base, engine)
    assert sum(len(call.prompts) for call in engine.calls) == 6, "the third passage alone"
    assert results.data.units == 3
    again = ScriptedEngine(knows)
    _, same = run(short, tiny_base, again)
    assert again.calls == []
    assert same.data.units == 2


def test_a_run_that_goes_on_learns_what_one_learns_that_measures_all_at_once(
    tmp_path: Path, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_model, "PASSAGES_AT_ONCE", 2)
    learnt, train = [], Contestant._train

    def watched(self, jobs, begin):  # type: ignore[no-untyped-def]
        learnt.append([job.sequences for job in jobs])
        return train(self, jobs, begin)

    monkeypatch.setattr(Contestant, "_train", watched)
    changes = {"epochs": 1, "rank": 2, "max_tokens": 24}
    for limit in (1, 4):
        plan = plan_run(request(tmp_path / "parts", recipe="paper", changes=changes, limit=limit))
        _, parts = run(plan, tiny_base, HFEngine(tiny_base))
    assert [len(batch) for batch in learnt] == [1, 1, 2], "what was measured is not trained again"
    _, whole = run(replace(plan, request=replace(plan.request, out=tmp_path / "whole")), tiny_base, HFEngine(tiny_base))
    assert list(chain(*learnt[:3])) == list(chain(*learnt[3:]))
    assert parts.samples
    assert whole.samples
    assert parts.samples.sha256 == whole.samples.sha256


def test_other_settings_do_not_go_on_in_the_same_journal(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, recipe="base", limit=1))
    run(plan, tiny_base, ScriptedEngine(knows))
    changed = replace(plan, recipe=replace(plan.recipe, answer=replace(plan.recipe.answer, max_tokens=9)))
    with pytest.raises(InputError, match=r"begun with other settings \(recipe\)"):
        run(changed, tiny_base, ScriptedEngine(knows))


def test_a_recipe_that_learns_is_trained_per_passage_and_seed(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, recipe="paper", changes=TINY, limit=2, seeds=2))
    _, results = run(plan, tiny_base, HFEngine(tiny_base))
    assert (results.seeds, results.samples and results.samples.count) == ([0, 1], 24)
    assert results.figures["seconds_to_train"] > 0
    assert results.recipe.label.startswith("paper (epochs=1")


def test_passages_that_the_search_has_seen_are_marked(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, recipe="base", limit=20))
    searched = replace(plan.recipe, searched=True)
    _, results = run(replace(plan, recipe=searched), tiny_base, ScriptedEngine(knows), searched)
    assert results.data.seen == 4
    _, unmarked = run(plan_run(request(tmp_path / "b", recipe="base", limit=20)), tiny_base, ScriptedEngine(knows))
    assert unmarked.data.seen == 0


def test_many_passages_go_into_one_adapter(tmp_path: Path, tiny_base: BaseModel) -> None:
    data = data_of(tmp_path, novel()[:3])
    plan = plan_run(request(tmp_path, "squad_cpt", recipe="paper", changes=TINY, data=data, size=3))
    contestant = Contestant(tiny_base, HFEngine(tiny_base), plan.recipe, corpus=plan.contexts, together=True)
    learnt = contestant.learn(plan.contexts, 0, silent)
    assert len({id(one.adapter) for one in learnt}) == 1
    _, results = run_suite(plan, silent, contestant)
    assert results.data.questions == 3


def test_many_passages_are_learnt_by_all_weights_of_a_copy(tmp_path: Path, tiny_base: BaseModel) -> None:
    data = data_of(tmp_path, novel()[:2])
    changes = {"epochs": 1, "format": "passage", "max_tokens": 8}
    wanted = request(tmp_path, "squad_cpt", recipe="paper/cpt-full", changes=changes, data=data, size=2)
    plan = plan_run(wanted)
    before = [weight.clone() for weight in tiny_base.module.parameters()]
    contestant = Contestant(tiny_base, HFEngine(tiny_base), plan.recipe, corpus=plan.contexts, together=True)
    learnt = contestant.learn(plan.contexts, 0, silent)
    assert learnt[0].adapter is None
    assert learnt[0].model is learnt[1].model is not None
    asked: list[str] = []
    monkey = contestant.engine.generate
    contestant.engine.generate = lambda prompts, *rest, **more: asked.extend(prompts) or monkey(prompts, *rest, **more)
    _, results = run_suite(plan, silent, contestant)
    assert results.data.questions == 2
    assert asked == [], "the copy answered, not the base model"
    assert all(a.equal(b) for a, b in zip(before, tiny_base.module.parameters(), strict=True))
    for misuse, complaint in (
        ({"suite": "squad_n1"}, "is for squad_cpt"),
        ({"changes": {"answer_style": "short"}}, "plain"),
    ):
        with pytest.raises(InputError, match=complaint):
            plan_run(replace(wanted, **misuse))


def test_a_policy_writes_the_notes_and_the_row_names_it(tmp_path: Path, tiny_base: BaseModel) -> None:
    name = save_policy(random_adapter(tiny_base, 5), ("rewrite",), tiny_base, tmp_path / "run")
    folder = tmp_path / "run" / name
    changes = {"epochs": 1, "rank": 2, "max_tokens": 8}
    plan = plan_run(request(tmp_path, recipe=str(folder), changes=changes, limit=1))
    writers = []
    engine = HFEngine(tiny_base)
    real = engine.generate

    def watched(prompts, sampling, adapters=None, progress=None, grammars=None):  # type: ignore[no-untyped-def]
        writers.extend(adapters or ())
        return real(prompts, sampling, adapters, progress, grammars)

    engine.generate = watched  # type: ignore[method-assign]
    contestant = Contestant(tiny_base, engine, plan.recipe, corpus=plan.contexts)
    _, results = run_suite(plan, silent, contestant)
    assert contestant.writer is not None
    assert writers[0] is contestant.writer
    assert results.recipe.name == "rest_em"
    assert results.recipe.settings["policy"] == name
    assert results.recipe.changed["policy"] == name[:8]


def test_many_passages_of_one_adapter_are_measured_together_or_anew(tmp_path: Path, tiny_base: BaseModel) -> None:
    data = data_of(tmp_path, novel()[:3])
    plan = plan_run(request(tmp_path / "rows", "squad_cpt", recipe="paper", changes=TINY, data=data, size=3))
    _, results = run_suite(plan, silent, together(tiny_base, plan))
    lines = plan.journal_path.read_text().splitlines()
    (batch,) = [json.loads(line)["rows"] for line in lines if '"rows"' in line]
    one = dict([next(iter(batch.items()))])
    plan.journal_path.write_text("\n".join([*lines[:-1], json.dumps({"rows": one, "seconds": 1.0})]) + "\n")
    asked: list[int] = []
    contestant = together(tiny_base, plan)
    learn = contestant.learn
    contestant.learn = lambda contexts, *rest: asked.append(len(contexts)) or learn(contexts, *rest)  # type: ignore
    _, again = run_suite(plan, silent, contestant)
    assert asked == [3]
    assert again.units == results.units


def together(base: BaseModel, plan: Plan) -> Contestant:
    return Contestant(base, HFEngine(base), plan.recipe, corpus=plan.contexts, together=True)


def test_speed_is_measured_in_rounds(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, "speed", recipe="paper", changes=TINY, limit=2, size=2))
    _, results = run(plan, tiny_base, HFEngine(tiny_base))
    assert results.measures["inner_loops_per_hour"].count == 2
    assert results.measures["decoded_tokens_per_second"].value > 0
    assert results.data.hash == data_hash(plan.contexts[:2])
    assert (results.run.device, results.run.gpu) == ("cpu", [])
    assert results.run.seconds is not None
    _, again = run(plan, tiny_base, HFEngine(tiny_base))
    assert (again.run.seconds, again.run.date) == (results.run.seconds, results.run.date), "nothing was measured anew"
    text = plan.journal_path.read_text()
    plan.journal_path.write_text(text.replace('"device":"cpu"', '"device":"cuda"'))
    with pytest.raises(InputError, match=r"other settings \(device\)"):
        run(plan, tiny_base, HFEngine(tiny_base))


def test_a_journal_of_an_older_version_goes_on_at_its_place(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, recipe="base", limit=1, model="owner/Qwen2.5-7B"))
    run(plan, tiny_base, ScriptedEngine(knows))
    old = []
    for line in map(json.loads, plan.journal_path.read_text().splitlines()):
        old += [{"key": key, "value": value} for key, value in line.get("rows", {}).items()]
        old += [line] if "settings" in line else []
    earlier = tmp_path / "work" / "novel_n1-Qwen2-base" / "journal.jsonl"
    earlier.parent.mkdir()
    earlier.write_text("".join(json.dumps(line) + "\n" for line in old))
    plan.journal_path.unlink()
    engine = ScriptedEngine(knows)
    _, results = run(plan, tiny_base, engine)
    assert engine.calls == []
    assert (results.run.device, results.run.seconds) == (None, None)


def test_a_puzzle_is_asked_again_unless_all_its_tests_were_answered(tmp_path: Path, tiny_base: BaseModel) -> None:
    (task,) = toy_tasks(1)
    doc = {"task_id": task.id, "task": task_to_json(replace(task, test=task.test * 2))}
    journal = Journal(tmp_path / "journal.jsonl", {})
    journal.add(f"0:{task.id}:0", "before")
    contestant = Contestant(tiny_base, HFEngine(tiny_base), recipe_named("base"), corpus=())
    lm = BenchLM(contestant, (), journal, 0, {"recipe": "base", "views": 1})
    answers = lm._answer_arc([doc | {"test": 0}, doc | {"test": 1}], True)
    assert "before" not in answers
    assert f"0:{task.id}:1" in journal


def test_self_edits_are_drawn_by_the_place_of_a_puzzle_also_where_some_are_done(
    tmp_path: Path, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = [{"task_id": task.id, "task": task_to_json(task), "test": 0} for task in toy_tasks(3)]
    journal = Journal(tmp_path / "journal.jsonl", {})
    journal.add(f"0:{docs[0]['task_id']}:0", "before")
    recipe = recipe_named("paper")
    lm = BenchLM(Contestant(tiny_base, HFEngine(tiny_base), recipe, corpus=()), (), journal, 0, {"recipe": "paper"})
    written, solved = [], []
    monkeypatch.setattr(arc, "trials_for", lambda engine, base, tasks, *_, **__: written.extend(tasks) or tasks)
    monkeypatch.setattr(arc, "solve", lambda engine, base, trials, *_: solved.extend(trials) or [LOST] * len(trials))
    answers = lm._answer_arc(docs, True)
    assert [task.id for task in written] == [doc["task_id"] for doc in docs]
    assert [task.id for task in solved] == [doc["task_id"] for doc in docs[1:]]
    assert answers[0] == "before"


# ---------------------------------------------------------------- retrieval


def test_bm25_finds_the_passage_of_nearly_every_question() -> None:
    search = PassageSearch(novel())
    pairs = [(context, question) for context in novel() for question in context.questions]
    found = [search.best(context.title, question.text, 1)[0] == context for context, question in pairs]
    assert sum(found) / len(found) > 0.95


def test_only_passages_that_fit_stand_in_the_prompt(tiny_base: BaseModel) -> None:
    passages = novel()[:20]
    asked = with_passages(tiny_base, passages, "T", "Who?", 64)
    assert len(tiny_base.encode(asked.prompt)) + 64 <= tiny_base.window
    (turn,) = asked.prompt
    assert isinstance(turn, Message)
    assert passages[0].text in turn.content
    assert passages[19].text not in turn.content


def test_recipes_for_the_rivals_learn_nothing(tiny_base: BaseModel) -> None:
    contestant = Contestant(tiny_base, ScriptedEngine(knows), recipe_named("retrieval"), corpus=novel())
    assert contestant.learn(novel()[:2], 0, silent)[0].adapter is None
