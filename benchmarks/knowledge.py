"""How much of a passage can be answered without it: untouched, with the passage in view, and after each self-edit?

    python benchmarks/knowledge.py                         # the bundled passages
    python benchmarks/knowledge.py --squad squad_val.jsonl # and a file of SQuAD passages

Two settings: "paper" is SEAL's, LoRA on q and v; "all-layers" differs only in that every projection is trained, since
a 135M model learns almost nothing from the paper's. The passages of a domain are written, trained and asked together,
and the seconds of one are its share. A stopped run goes on where it was; answers on file are graded anew.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import results_file

from seal_agent.config import AnswerConfig, InnerLoopConfig, SelfEditConfig
from seal_agent.engine.hf import HFEngine
from seal_agent.inner_loop.sequences import encode
from seal_agent.inner_loop.train import Trained, TrainJob, train
from seal_agent.knowledge import data
from seal_agent.knowledge.answering import answer_questions
from seal_agent.knowledge.grading import Grader, default_grader
from seal_agent.knowledge.self_edits import notes_of, write_self_edits_for
from seal_agent.models import load_model
from seal_agent.types import Context

SETTINGS = {
    "all-layers": InnerLoopConfig(targets=("all",)),
    "paper": InnerLoopConfig(),
}
WRITTEN = ("implications", "rewrite")


@dataclass(frozen=True, slots=True)
class Condition:
    """One column of the table: how the model is prepared before it is asked."""

    name: str
    settings: str | None = None  # None: nothing is trained
    format: str | None = None


CONDITIONS = (
    Condition("base"),
    Condition("in_context"),
    *(Condition(format, settings, format) for settings in SETTINGS for format in ("passage", *WRITTEN)),
)


class Bench:
    """The model under test, and what a domain's passages cost and yield under one condition."""

    def __init__(self, model: str, seed: int) -> None:
        self.base = load_model(model)
        self.engine = HFEngine(self.base)
        self.seed = seed

    def measure(self, condition: Condition, contexts: Sequence[Context]) -> list[dict[str, Any]]:
        """One row per passage; its seconds are those of all passages divided by their number."""
        started = time.perf_counter()
        trained = self._train(condition, contexts)
        prepared = time.perf_counter() - started
        answered = answer_questions(
            self.engine,
            contexts,
            default_grader(),
            adapters=[t.adapter if t else None for t in trained],
            in_context=condition.name == "in_context",
        )
        seconds = time.perf_counter() - started - prepared
        return [
            {
                "passage": number,
                "title": context.title,
                "seconds_to_adapt": round(prepared / len(contexts), 2),
                "seconds_to_answer": round(seconds / len(contexts), 2),
                "trained_tokens": one.summary.tokens if one else 0,
                "answers": [results_file.answer_row(answer) for answer in answers],
            }
            for number, (context, one, answers) in enumerate(zip(contexts, trained, answered, strict=True))
        ]

    def _train(self, condition: Condition, contexts: Sequence[Context]) -> Sequence[Trained | None]:
        if condition.settings is None or condition.format is None:
            return [None] * len(contexts)
        config = SelfEditConfig(formats=(condition.format,))
        sources = [(context.title, [context.text]) for context in contexts]
        edits = write_self_edits_for(self.engine, sources, config, seed=self.seed)
        jobs = [
            TrainJob(encode(self.base, c.title, notes_of(e, c.title), [c.text]), SETTINGS[condition.settings])
            for c, e in zip(contexts, edits, strict=True)
        ]
        return train(self.base, jobs, _tell)


def _tell(done: int, total: int) -> None:
    print(f"\r  trained {done}/{total} steps ", end="", flush=True)


def main() -> None:
    options = _options()
    domains = dict(_domains(options))
    config = {
        "model": options.model,
        "seed": options.seed,
        "passages": {name: len(contexts) for name, contexts in domains.items()},
        "settings": {name: asdict(settings) for name, settings in SETTINGS.items()},
        "self_edit": asdict(SelfEditConfig()),
        "answer": asdict(AnswerConfig()),
    }
    config = json.loads(json.dumps(config))
    run, rows = results_file.describe_run(), [graded(row) for row in results_file.load(options.out, config)]
    bench = Bench(options.model, options.seed)
    done = {(r["domain"], r["settings"], r["condition"]) for r in rows}
    for condition in CONDITIONS:
        for domain, contexts in domains.items():
            if (domain, condition.settings, condition.name) in done:
                continue
            print(f"{domain}, {condition.name}, {condition.settings or 'nothing trained'}: {len(contexts)} passages")
            key = {"domain": domain, "settings": condition.settings, "condition": condition.name}
            rows += [{**key, **row} for row in bench.measure(condition, contexts)]
            results_file.save(options.out, config, run, rows, summary=summarise(rows))
            print(end="\r")
    summary = summarise(rows)
    grader = type(default_grader()).__name__
    results_file.save(options.out, config, run, rows, identity=bench.base.identity, grader=grader, summary=summary)
    print("\n\n" + table(summary) + "\n")
    print(json.dumps({"out": str(options.out), "summary": summary}))


def graded(row: dict[str, Any]) -> dict[str, Any]:
    """A row of an earlier run with its answers graded by the grader of today."""
    grader = default_grader()
    return {**row, "answers": [{**a, "verdict": _verdict(grader, a)} for a in row["answers"]]}


def _verdict(grader: Grader, answer: dict[str, Any]) -> str:
    return grader.grade(answer["question"], answer["golds"], answer["answer"]).value


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per domain, settings and condition: mean of per-passage means with its 95 % interval."""
    groups: dict[tuple[str, str | None, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["domain"], row["settings"], row["condition"]].append(row)
    return [_line(*key, members) for key, members in groups.items()]


def table(summary: Sequence[dict[str, Any]]) -> str:
    """The summary as a Markdown table, accuracies in percent."""
    lines = [
        "| passages | trained | self-edit | accuracy, % (95 % interval) | seconds per passage |",
        "|---|---|---|---|---|",
    ]
    for s in summary:
        low, high = s["interval"]
        accuracy = f"{100 * s['accuracy']:.1f} ({100 * low:.1f}–{100 * high:.1f})"
        seconds = f"{s['seconds_to_adapt']:.1f}" if s["settings"] else "—"
        lines.append(f"| {s['domain']} | {s['settings'] or '—'} | {s['condition']} | {accuracy} | {seconds} |")
    return "\n".join(lines)


def _line(domain: str, settings: str | None, condition: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    means = [results_file.share_right(row["answers"]) for row in rows]
    low, high = results_file.interval(means)
    questions = [answer for row in rows for answer in row["answers"]]
    return {
        "domain": domain,
        "settings": settings,
        "condition": condition,
        "passages": len(rows),
        "questions": len(questions),
        "accuracy": sum(means) / len(means),
        "interval": [low, high],
        "accuracy_per_question": results_file.share_right(questions),
        "seconds_to_adapt": sum(row["seconds_to_adapt"] for row in rows) / len(rows),
        "seconds_to_answer": sum(row["seconds_to_answer"] for row in rows) / len(rows),
    }


def _domains(options: argparse.Namespace) -> Iterator[tuple[str, list[Context]]]:
    yield "seal_novel", data.novel()[: options.passages]
    if options.squad:
        yield "squad", data.read_contexts(options.squad)[: options.passages]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=16, help="the first N of each domain (default 16)")
    parser.add_argument("--squad", type=Path, default=os.environ.get("SEAL_SQUAD"), help="SQuAD passages as JSON lines")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "knowledge.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
