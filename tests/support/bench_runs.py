"""Runs of `seal bench` for tests, on scripted engines and tiny random models."""

from __future__ import annotations

import json
from pathlib import Path

from seal_agent.base_model.model import BaseModel
from seal_agent.config import Recipe
from seal_agent.data.bundled import novel
from seal_agent.evaluation.contestant import Contestant
from seal_agent.evaluation.passages import choose_passages
from seal_agent.evaluation.results import Results
from seal_agent.integrations.lm_eval.bench.plan import BenchRequest, Plan
from seal_agent.integrations.lm_eval.bench.run import run_suite
from seal_agent.types import Context

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


def data_of(tmp_path: Path, contexts: list[Context]) -> str:
    """A file of these passages, with one question each."""
    data = tmp_path / "passages.jsonl"
    rows = [
        {"title": c.title, "context": c.text, "questions": [{"question": q.text, "answer": list(q.golds)}]}
        for c in contexts
        for q in c.questions[:1]
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(data)


def in_a_row(tmp_path: Path, out: str, passages: int = 4, **options: object) -> BenchRequest:
    data = data_of(tmp_path, novel()[:passages])
    settings = {"size": 2, "limit": 2} | options
    return request(tmp_path / out, "squad_continual", recipe="paper", changes=TINY, data=data, **settings)
