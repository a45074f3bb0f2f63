"""What else changes when a passage is learnt, measured against the same surroundings however much is learnt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("bm25s")


from bench_runs import TINY, request, run

from seal_agent.base_model.model import BaseModel
from seal_agent.data import bundled
from seal_agent.errors import InputError
from seal_agent.evaluation.harm import portability_questions
from seal_agent.evaluation.regrade import regrade
from seal_agent.evaluation.results import read_results, to_json
from seal_agent.evaluation.submit import check_submission
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.lm_eval.bench.other_tasks import figures_of
from seal_agent.integrations.lm_eval.bench.plan import plan_run


def test_harm_is_measured_against_the_base_model(tmp_path: Path, tiny_base: BaseModel) -> None:
    plan = plan_run(request(tmp_path, "harm", recipe="paper", changes=TINY, limit=2))
    path, results = run(plan, tiny_base, HFEngine(tiny_base))
    assert results.measures["perplexity_ratio"].value > 0
    assert 0 <= results.measures["changed_answers"].value <= 1
    assert "portability" in results.measures
    assert not results.higher_is_better
    assert "the questions are those about 2 passages" in " ".join(check_submission(path).made)
    assert regrade(path).changed == 0
    assert to_json(read_results(path)) == to_json(results)
    ported = sum(len(portability_questions(context.title)) for context in plan.contexts[:2])
    assert results.data.questions == 2 * 6 + ported + len(bundled.guard_questions()) + 12


def test_the_surroundings_of_harm_do_not_depend_on_how_much_is_learnt(tmp_path: Path, tiny_base: BaseModel) -> None:
    one, two = (plan_run(request(tmp_path, "harm", recipe="paper", changes=TINY, limit=n)) for n in (1, 2))
    _, first = run(one, tiny_base, HFEngine(tiny_base))
    _, both = run(two, tiny_base, HFEngine(tiny_base))
    assert both.units[0] == first.units[0]
    assert both.data.hash != first.data.hash
    with pytest.raises(InputError, match="28 can be learnt, not 29"):
        plan_run(request(tmp_path, "harm", recipe="paper", limit=29))


@pytest.mark.slow
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


def test_filters_of_one_metric_stay_apart() -> None:
    found = {"gsm8k": {"exact_match,strict-match": 0.1, "exact_match,flexible-extract": 0.3, "acc,none": 0.5}}
    assert figures_of(found) == {
        "gsm8k.exact_match.strict-match": 0.1,
        "gsm8k.exact_match.flexible-extract": 0.3,
        "gsm8k.acc": 0.5,
    }
