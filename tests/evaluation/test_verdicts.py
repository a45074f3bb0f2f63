"""Rows are ranked by who graded them, and what a slow grader says is asked for once."""

from __future__ import annotations

import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")
pytest.importorskip("bm25s")

from bench_runs import in_a_row, knows, request, run
from fakes import ScriptedEngine
from judge_server import Server, reply

from seal_agent.base_model.model import BaseModel
from seal_agent.evaluation.ranking import Entry, rankings
from seal_agent.evaluation.verdicts import KeptVerdicts, grader_name
from seal_agent.generation.hf import HFEngine
from seal_agent.integrations.lm_eval.bench import model as bench_model
from seal_agent.integrations.lm_eval.bench.plan import BenchRequest, plan_run
from seal_agent.types import Verdict


def test_a_grader_is_named_by_what_judges() -> None:
    assert grader_name("lexical", "abc") == "lexical"
    assert grader_name("model", "0123456789abcdef") == "model: 0123456789ab"
    assert grader_name("judge", "abc", "gpt-4.1") == "judge: gpt-4.1 @ api.openai.com"
    assert grader_name("judge", "abc", "m", "http://me:secret@localhost:8000/v1") == "judge: m @ localhost:8000"


def test_models_that_judge_themselves_are_not_ranked_together(tmp_path: Path, tiny_base: BaseModel) -> None:
    entries = []
    for identity, says in (("strict", -5.0), ("lenient", 5.0)):
        base = BaseModel(identity, tiny_base.module, tiny_base.tokenizer, identity)
        engine = ScriptedEngine(lambda *_: "nobody knows", likelihood=lambda _, c, yes=says: yes if c == "yes" else 0.0)
        plan = plan_run(request(tmp_path / identity, recipe="base", limit=2, grader="model"))
        entries.append(Entry(*run(plan, base, engine)))
    assert sorted(ranking.grader for ranking in rankings(entries)) == ["model: lenient", "model: strict"]


def judged(out: Path, url: str, limit: int) -> BenchRequest:
    return request(out, recipe="base", limit=limit, grader="judge", judge_model="m", judge_url=url)


def test_a_judge_is_asked_once_and_several_times_at_once(tmp_path: Path, tiny_base: BaseModel) -> None:
    def slowly(handler: BaseHTTPRequestHandler, *_: object) -> None:
        time.sleep(0.02)
        reply(handler, "yes")

    with Server(slowly) as server:
        for limit, asked in ((8, 48), (8, 48), (10, 60)):
            _, results = run(plan_run(judged(tmp_path, server.url, limit)), tiny_base, ScriptedEngine(knows))
            assert len(server.requests) == asked
        assert server.busiest > 1
    assert results.grader == f"judge: m @ {server.url.split('/')[2]}"
    assert results.measures["contains"].value == 1.0


def test_what_a_judge_said_is_kept_where_a_run_is_stopped(
    tmp_path: Path, tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_model, "PASSAGES_AT_ONCE", 2)

    def answer(prompt: str, adapter: object) -> str:
        if len(server.requests) >= 12:
            raise KeyboardInterrupt
        return "nobody knows"

    with Server(lambda handler, *_: reply(handler, "no")) as server:
        plan = plan_run(judged(tmp_path, server.url, 4))
        with pytest.raises(KeyboardInterrupt):
            run(plan, tiny_base, ScriptedEngine(answer))
        assert len(server.requests) == 12, "the first batch was graded as soon as it was answered"
        run(plan, tiny_base, ScriptedEngine(knows))
        assert len(server.requests) == 24


def test_edits_in_a_row_are_judged_once_too(tmp_path: Path, tiny_base: BaseModel) -> None:
    wanted = in_a_row(tmp_path, "rows", limit=1, grader="judge", judge_model="m")
    with Server(lambda handler, *_: reply(handler, "yes")) as server:
        plan = plan_run(replace(wanted, judge_url=server.url))
        run(plan, tiny_base, HFEngine(tiny_base))
        asked = len(server.requests)
        plan.journal_path.unlink()
        run(plan, tiny_base, HFEngine(tiny_base))
        assert len(server.requests) == asked > 0


def test_an_answer_that_could_not_be_graded_is_asked_about_once() -> None:
    asked = []

    class Away:
        def grade(self, *item: object) -> Verdict:
            asked.append(item)
            return Verdict.UNGRADED

    grader = KeptVerdicts(Away())
    assert grader.grade("q", ["a"], "b") is grader.grade("q", ["a"], "b") is Verdict.UNGRADED
    assert len(asked) == 1
