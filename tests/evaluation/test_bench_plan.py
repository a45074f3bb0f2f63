"""What a run of `seal bench` will do, what its files are called, and how long it would take."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("bm25s")

from bench_runs import data_of, in_a_row, knows, request, run, silent
from conftest import random_adapter
from fakes import ScriptedEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.bench.show import show_dry_run
from seal_agent.config import recipe_named
from seal_agent.data import bundled
from seal_agent.data.bundled import novel
from seal_agent.errors import InputError
from seal_agent.evaluation.contestant import Contestant
from seal_agent.evaluation.harm import portability_questions
from seal_agent.evaluation.passages import choose_passages, unit_id
from seal_agent.integrations.lm_eval.bench.pace import Pace, Work, _of_harm, _of_sequences, expected_time
from seal_agent.integrations.lm_eval.bench.plan import BenchRequest, plan_run
from seal_agent.integrations.lm_eval.bench.seen import seen_by
from seal_agent.outer_loop.policy import save_policy
from seal_agent.store.policies import text_hash


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
        ({"changes": {"grader": "model"}}, "use --grader"),
        ({"changes": {"mode": "base"}}, "use --recipe"),
        ({"changes": {"seed": 3}}, "use --seeds"),
        ({"changes": {"dtype": "float16"}}, "use --dtype"),
        ({"changes": {"adapter": "mine"}}, "adapter is none of its settings; leave it out"),
        ({"changes": {"views": 2}}, "belongs to the suites of ARC"),
        ({"suite": "arc_toy", "recipe": "base", "changes": {"attempts": 9}}, "attempts is none of its settings"),
        ({"suite": "speed", "size": 41}, "needs 41 passages, but there are 40"),
        ({"suite": "arc_toy", "recipe": "ttt", "data": "x.jsonl"}, "leave --data out"),
        ({"suite": "squad_cpt", "recipe": "paper", "data": "x.jsonl", "limit": 5}, "give --size in place of --limit"),
        ({"size": 2}, "--size changes nothing"),
        ({"changes": {"per_format": 5}}, "of novel_n1 with default"),
        ({"recipe": "base", "changes": {"per_format": 5}}, "of novel_n1 with base"),
        ({"suite": "arc_toy", "recipe": "paper", "changes": {"per_format": 5}}, "of arc_toy with paper"),
    ],
)
def test_misuse_is_refused_before_a_model_is_loaded(tmp_path: Path, options: dict, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        plan_run(BenchRequest(out=tmp_path, **{"suite": "novel_n1", **options}))


def names_of(tmp_path: Path, **options: object) -> tuple[str, str]:
    plan = plan_run(request(tmp_path, **options))
    return plan.results_path.name, plan.journal_path.parent.name


def test_runs_of_other_models_data_engines_and_precisions_have_files_of_their_own(tmp_path: Path) -> None:
    data = data_of(tmp_path, novel()[:3])
    options: list[dict[str, object]] = [
        {"model": "meta/Llama-3.1-8B"}, {"model": "meta/Llama-3.2-1B"}, {"model": "m/Qwen2.5-7B"}, {},
        {"dtype": "float32"}, {"engine": "vllm"}, {"device": "cpu"}, {"data": data},
    ]  # fmt: skip
    found = [names_of(tmp_path, recipe="base", **of_one) for of_one in options]
    assert len({name for name, _ in found}) == len({stem for _, stem in found}) == len(options)
    assert names_of(tmp_path, model="models/gemma-3.q4.gguf")[1] == "novel_n1-gemma-3.q4-default"
    assert names_of(tmp_path, recipe="base")[0] == "novel_n1-default-base-40.json", "names of before are kept"


def test_a_folder_named_as_a_recipe_is_not_taken_for_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paper").mkdir()
    assert plan_run(request(tmp_path, recipe="paper")).recipe_name == "paper"
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    (tuned / "recipe.toml").write_text("[inner_loop]\nepochs = 2\n")
    assert plan_run(request(tmp_path, recipe=str(tuned))).recipe_name == str(tuned)


def test_passages_that_a_recipe_or_its_policy_was_made_on_are_marked(tmp_path: Path, tiny_base: BaseModel) -> None:
    learnt, tuned, other = choose_passages(novel(), 3)
    name = save_policy(
        random_adapter(tiny_base, 5), ("rewrite",), tiny_base, tmp_path / "run", [text_hash(learnt.text)]
    )
    recipe = replace(recipe_named("rest_em"), searched=(unit_id(tuned),), policy=str(tmp_path / "run" / name))
    assert list(map(seen_by(recipe), (learnt, tuned, other))) == [True, True, False]


def test_a_dry_run_tries_one_and_says_how_many_are_left(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, recipe="base", limit=5))
    contestant = Contestant(tiny_base, ScriptedEngine(knows), plan.recipe, corpus=plan.contexts)
    pace = expected_time(plan, silent, contestant)
    assert pace.left == 5
    assert pace.seconds == pytest.approx(5 * pace.seconds_each)
    assert not plan.journal_path.exists()
    run(plan_run(request(tmp_path, recipe="base", limit=2)), tiny_base, ScriptedEngine(knows))
    assert expected_time(plan, silent, contestant).left == 3


def test_a_dry_run_shows_the_units_of_the_suite_and_what_is_learnt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = [
        plan_run(request(tmp_path, "arc_toy", recipe="ttt")),
        plan_run(in_a_row(tmp_path, "rows", passages=5)),
        plan_run(request(tmp_path, "harm", recipe="paper")),
        plan_run(request(tmp_path, "speed", recipe="paper")),
        plan_run(request(tmp_path, recipe="spa", limit=2, changes={"per_format": 5})),
        plan_run(request(tmp_path, recipe="base", limit=2)),
    ]
    paces = [Pace(1.0, 1, 1.0)] * len(plans)
    show_dry_run(plans, paces, as_json=True)
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [(run["units"], run["unit"], run["passages"], run["questions"]) for run in runs] == [
        (20, "tasks", 0, 0),
        (2, "sequences", 4, 4),
        (8, "passages", 8, 48),
        (3, "rounds", 4, 24),
        (2, "passages", 2, 12),
        (2, "passages", 2, 12),
    ]
    show_dry_run(plans, paces, as_json=False)
    shown = " ".join(capsys.readouterr().out.split()).split(" one took 1 s; 1 are left: about 1 s")
    assert [line.partition(": ")[2] for line in shown[:-1]] == [
        "20 tasks, each learnt on its own, 1 seed",
        "2 sequences, 4 questions, 2 passages learnt in each, one after the other, 1 seed",
        "8 passages, 48 questions, each learnt on its own, 1 seed",
        "3 rounds, 24 questions, 4 passages learnt in each, 3 seeds",
        "2 passages, 12 questions, each learnt on its own, 1 seed",
        "2 passages, 12 questions, nothing learnt, 1 seed",
    ]


def test_a_dry_run_counts_replay_repeated_questions_and_surroundings(tmp_path: Path) -> None:
    plan = plan_run(in_a_row(tmp_path, "rows", limit=1, size=3))
    replayed = plan.recipe.inner_loop.replay
    assert list(_of_sequences(plan, ())) == [
        Work(asked=3), Work(1, 1, 1), Work(1, 1 + replayed, 2), Work(1, 1 + replayed, 3),
    ]  # fmt: skip
    harm = plan_run(request(tmp_path, "harm", recipe="paper", limit=1))
    before, after = _of_harm(harm, ())
    around = len(bundled.guard_questions()) + 12
    assert (before, after.scored) == (Work(asked=around, scored=1), 1)
    assert after.asked == 6 + len(portability_questions(harm.contexts[0].title)) + around
