"""Runs a suite's lm-eval task through lm-eval's own evaluator, and reads samples and figures from its results."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager
from lm_eval.utils import hash_string

from seal_agent.evaluation.assemble import LmEvalFacts
from seal_agent.evaluation.contestant import AnswerRecord, Contestant, PassageRecord
from seal_agent.evaluation.files import write_atomically
from seal_agent.evaluation.journal import Journal
from seal_agent.evaluation.passages import unit_id
from seal_agent.evaluation.samples import Sample
from seal_agent.evaluation.suites import Suite
from seal_agent.evaluation.verdicts import VERDICTS_FILE
from seal_agent.integrations.lm_eval.bench.model import BenchLM
from seal_agent.integrations.lm_eval.tasks import tasks_folder, verdicts_kept_in
from seal_agent.types import Context, Verdict

PASSAGES_FILE = "passages.jsonl"


@dataclass(frozen=True, slots=True)
class TaskRun:
    """Samples of all seeds, records of all passages and seeds, and lm-eval's own figures."""

    samples: tuple[Sample, ...]
    records: tuple[PassageRecord, ...]
    facts: LmEvalFacts


def evaluate(
    suite: Suite,
    contestant: Contestant,
    contexts: Sequence[Context],
    seeds: Sequence[int],
    journal: Journal,
    arguments: Mapping[str, object],
    *,
    quiet: bool = False,
) -> TaskRun:
    """Run the suite's task once per seed. What the journal has is not asked again.

    Args:
        contexts: The suite's passages; none for ARC.
        arguments: lm-eval's model arguments, the grader's among them.
    """
    passages = journal.path.parent / PASSAGES_FILE
    metadata = {**arguments, **(dict.fromkeys(("passages_file", "squad_file"), str(passages)) if contexts else {})}
    if contexts:
        write_atomically(passages, _lines(contexts))
    samples: list[Sample] = []
    records: list[PassageRecord] = []
    facts: LmEvalFacts | None = None
    for seed in seeds:
        lm = BenchLM(contestant, contexts, journal, seed, arguments)
        with verdicts_kept_in(journal.path.with_name(VERDICTS_FILE)):
            found = _simple_evaluate(lm, suite.task, metadata, quiet)
        of_seed = lm.records
        samples += _samples(suite, found["samples"][suite.task], of_seed, seed)
        records += of_seed
        facts = facts or _facts(found, suite.task, lm)
    assert facts, "there is at least one seed"
    return TaskRun(tuple(samples), tuple(records), facts)


def _simple_evaluate(lm: BenchLM, task: str, metadata: Mapping[str, object], quiet: bool) -> dict[str, Any]:
    log = logging.getLogger("lm_eval")
    level = log.level
    log.setLevel(logging.ERROR)
    lm.quiet = quiet
    try:
        manager = TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=dict(metadata))
        found = simple_evaluate(model=lm, tasks=[task], task_manager=manager, log_samples=True)
    finally:
        log.setLevel(level)
    assert found, "lm-eval returns nothing only to the other ranks of a distributed run"
    return dict(found)


def _lines(contexts: Sequence[Context]) -> bytes:
    rows = [
        {
            "title": context.title,
            "context": context.text,
            "questions": [{"question": q.text, "answer": list(q.golds)} for q in context.questions],
        }
        for context in contexts
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _facts(found: Mapping[str, Any], task: str, lm: BenchLM) -> LmEvalFacts:
    figures = {name: value for name, value in found["results"][task].items() if isinstance(value, int | float | str)}
    samples = found["samples"][task]
    task_hash = hash_string("".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in samples))
    template = lm.base.tokenizer.chat_template
    return LmEvalFacts(
        {task: {name: value if isinstance(value, str) else float(value) for name, value in figures.items()}},
        {task: len(samples)},
        {task: found["versions"][task]},
        {task: task_hash},
        hash_string(template) if isinstance(template, str) else None,
        version("lm-eval"),
    )


def _samples(
    suite: Suite, rows: Sequence[Mapping[str, Any]], records: Sequence[PassageRecord], seed: int
) -> list[Sample]:
    if suite.kind == "arc":
        return [_arc_sample(row, seed) for row in rows]
    by_unit = {record.unit: {answer.question: answer for answer in record.answers} for record in records}
    samples = []
    for row in rows:
        doc = row["doc"]
        unit = unit_id(Context(doc["context"], doc["title"]))
        samples.append(_sample(row, unit, seed, by_unit.get(unit, {}).get(doc["question"])))
    return samples


def _sample(row: Mapping[str, Any], unit: str, seed: int, record: AnswerRecord | None) -> Sample:
    doc, graded = row["doc"], not row["ungraded"]
    verdict = (Verdict.CORRECT if row["acc"] else Verdict.WRONG) if graded else Verdict.UNGRADED
    direct = (Verdict.CORRECT if row["direct"] else Verdict.WRONG) if graded and "direct" in row else ""
    return Sample(
        unit=unit,
        seed=seed,
        question=doc["question"],
        golds=tuple(doc["answers"]),
        answer=row["filtered_resps"][0],
        verdict=verdict,
        direct=str(direct),
        prompt_tokens=record.prompt_tokens if record else None,
        recalled=record.recalled if record else "",
        confidence=record.confidence if record else None,
    )


def _arc_sample(row: Mapping[str, Any], seed: int) -> Sample:
    doc = row["doc"]
    verdict = Verdict.UNGRADED
    if not row["unanswered"]:
        verdict = Verdict.CORRECT if row["exact_match"] else Verdict.WRONG
    question = f"{doc['task_id']} test {doc['test']}"
    return Sample(str(doc["task_id"]), seed, question, (doc["output"],), row["filtered_resps"][0], verdict)
