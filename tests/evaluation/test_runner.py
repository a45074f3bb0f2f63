"""`seal bench` end to end on a scripted engine and tiny random models, through lm-eval's own evaluator."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("bm25s")

from conftest import random_adapter
from fakes import ScriptedEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.config import Recipe, recipe_named
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError
from seal_agent.evaluation.contestant import Contestant
from seal_agent.evaluation.passages import choose_passages
from seal_agent.evaluation.results import Results
from seal_agent.evaluation.retrieval import PassageSearch, with_passages
from seal_agent.evaluation.submit import check_submission
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.lm_eval.bench.pace import expected_time
from seal_agent.integrations.lm_eval.bench.plan import BenchRequest, Plan, plan_run
from seal_agent.integrations.lm_eval.bench.run import run_suite
from seal_agent.outer_loop.policy import save_policy
from seal_agent.types import Message

GOLDS = {question.text: question.golds[0] for context in novel() for question in context.questions}
TINY = {"epochs": 1, "rank": 2, "format": "passage", "answer_style": "plain", "max_tokens": 8}


def silent(stage: str):
    return lambda done, total: None


def knows(prompt: str, adapter: object) -> str:
    """Right where the passage is in the prompt, else nothing."""
    question = prompt.splitlines()[-1]
    return GOLDS.get(question, "") if "Read this passage." in prompt else "nobody knows"


def run(plan: Plan, base: BaseModel, engine: object, recipe: Recipe | None = None) -> tuple[Path, Results]:
    contestant = Contestant(base, engine, recipe or plan.recipe, corpus=choose_passages(novel()))
    return run_suite(plan, silent, contestant)


def request(tmp_path: Path, suite: str = "novel_n1", **options: object) -> BenchRequest:
    return BenchRequest(suite, tmp_path, quiet=True, **options)


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
    data = tmp_path / "passages.jsonl"
    rows = [
        {"title": c.title, "context": c.text, "questions": [{"question": q.text, "answer": list(q.golds)}]}
        for c in novel()[:3]
        for q in c.questions[:1]
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = plan_run(request(tmp_path, "squad_cpt", recipe="paper", changes=TINY, data=str(data), size=3))
    contestant = Contestant(tiny_base, HFEngine(tiny_base), plan.recipe, corpus=plan.contexts, together=True)
    learnt = contestant.learn(plan.contexts, 0, silent)
    assert len({id(one.adapter) for one in learnt}) == 1
    _, results = run_suite(plan, silent, contestant)
    assert results.data.questions == 3


def test_many_passages_are_learnt_by_all_weights_of_a_copy(tmp_path: Path, tiny_base: BaseModel) -> None:
    data = tmp_path / "passages.jsonl"
    rows = [
        {"title": c.title, "context": c.text, "questions": [{"question": q.text, "answer": list(q.golds)}]}
        for c in novel()[:2]
        for q in c.questions[:1]
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    changes = {"epochs": 1, "format": "passage", "max_tokens": 8}
    wanted = request(tmp_path, "squad_cpt", recipe="paper/cpt-full", changes=changes, data=str(data), size=2)
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


def test_edits_in_a_row_give_a_matrix_that_can_be_submitted(tmp_path: Path, tiny_base: BaseModel) -> None:
    data = tmp_path / "passages.jsonl"
    rows = [
        {"title": c.title, "context": c.text, "questions": [{"question": q.text, "answer": list(q.golds)}]}
        for c in novel()[:4]
        for q in c.questions[:1]
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted = request(tmp_path, "squad_continual", recipe="paper", changes=TINY, data=str(data), size=2, limit=2)
    path, results = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert [len(row) for row in results.curves["accuracy"]] == [2, 2]
    assert results.curves["accuracy"][0][1] is None
    assert {"base", "final", "just_after", "backward_transfer", "smallest_lead"} <= set(results.measures)
    assert check_submission(path, str(data))


def test_harm_is_measured_against_the_base_model(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, "harm", recipe="paper", changes=TINY, limit=2))
    _, results = run(plan, tiny_base, HFEngine(tiny_base))
    assert results.measures["perplexity_ratio"].value > 0
    assert 0 <= results.measures["changed_answers"].value <= 1
    assert "portability" in results.measures
    assert not results.higher_is_better


def test_harm_runs_any_task_of_lm_eval_before_and_after(tmp_path: Path, tiny_base: BaseModel) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "data.jsonl").write_text(
        "".join(json.dumps({"q": f"{n} + 1 =", "a": str(n + 1)}) + "\n" for n in range(4))
    )
    (folder / "sums.yaml").write_text(
        f"task: sums\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {folder / 'data.jsonl'}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\ndoc_to_text: q\ndoc_to_choice: ['1', '2', '3', '4']\n"
        "doc_to_target: a\nmetric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    wanted = request(tmp_path, "harm", recipe="paper", changes=TINY, limit=1, tasks=("sums",), include_path=str(folder))
    _, results = run(plan_run(wanted), tiny_base, HFEngine(tiny_base))
    assert {"sums.acc_before", "sums.acc_after"} <= set(results.measures)
    with pytest.raises(InputError, match="no task 'nothing'"):
        run(plan_run(replace(wanted, tasks=("nothing",), out=tmp_path / "b")), tiny_base, HFEngine(tiny_base))
    with pytest.raises(InputError, match="belongs to the suite harm"):
        plan_run(replace(wanted, suite="novel_n1"))


def test_speed_is_measured_in_rounds(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, "speed", recipe="paper", changes=TINY, limit=2, size=2))
    _, results = run(plan, tiny_base, HFEngine(tiny_base))
    assert results.measures["inner_loops_per_hour"].count == 2
    assert results.measures["decoded_tokens_per_second"].value > 0


def test_a_dry_run_tries_one_and_says_how_many_are_left(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, recipe="base", limit=5))
    contestant = Contestant(tiny_base, ScriptedEngine(knows), plan.recipe, corpus=plan.contexts)
    pace = expected_time(plan, silent, contestant)
    assert pace.left == 5
    assert pace.seconds == pytest.approx(5 * pace.seconds_each)
    assert not plan.journal_path.exists()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"suite": "nothing"}, "there is no suite 'nothing'"),
        ({"suite": "squad_n1"}, "give --data"),
        ({"recipe": "ttt"}, "does not fit the suite novel_n1"),
        ({"suite": "arc_toy", "recipe": "retrieval"}, "does not fit the suite arc_toy"),
        ({"suite": "harm", "recipe": "base"}, "does not fit the suite harm"),
        ({"changes": {"epoch": 1}}, "did you mean epochs"),
        ({"recipe": "nowhere.toml"}, "there is no recipe"),
        ({"grader": "magic"}, "magic"),
    ],
)
def test_misuse_is_refused_before_a_model_is_loaded(tmp_path: Path, options: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        plan_run(BenchRequest(out=tmp_path, **{"suite": "novel_n1", **options}))


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
