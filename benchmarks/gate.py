"""Does the gate keep good adaptations and reject bad ones, and what does it cost?

    python benchmarks/gate.py --passages 6 --poisoned 2                    # 6 good, 8 bad, quick settings
    python benchmarks/gate.py --passages 60 --poisoned 15 --recipe default

Each unit adapts one passage of `seal_novel` well (its own notes) and, in the same batch, badly: with shuffled answers,
with another passage's notes, or at ten times the rate, in turn. Poisoned documents assert false general facts. All are
judged by the package's gate, with the self-test as their questions. The passage's six questions, which the gate never
sees, tell whether a good adaptation was good. A run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from parts import results_file
from parts.gate_cases import poisoned, with_other_notes, with_shuffled_answers

from seal_agent.adaptation.adapt import TrainedProposal, Trainer, lesson_of
from seal_agent.adaptation.judging import Pending, judge
from seal_agent.adaptation.lesson import job_of
from seal_agent.answering.questions import answer_questions, reply_to_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import GateConfig, InnerLoopConfig, SelfEditConfig
from seal_agent.data import bundled
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import StageClock
from seal_agent.training.train import train
from seal_agent.types import Context, Proposal, Verdict

BAD = ("shuffled answers", "another passage's notes", "rate x 10")
RECIPES = {
    "default": InnerLoopConfig(),
    "quick": InnerLoopConfig(alpha=64.0, null_space=0.0, shrink=0.0, openings=0),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One adaptation to be judged."""

    kind: str
    proposal: Proposal
    config: InnerLoopConfig


def main() -> None:
    options = _options()
    gate, inner_loop = GateConfig(), RECIPES[options.recipe]
    config = {"model": options.model, "recipe": options.recipe, "gate": asdict(gate), "seed": options.seed}
    run, rows = results_file.describe_run(), results_file.load(options.out, config)
    done = {row["unit"] for row in rows}
    with tempfile.TemporaryDirectory(prefix="seal-gate-") as home:
        model = SelfAdaptingModel(load_model(options.model), home=home, seed=options.seed)
        for unit in _units(options.passages, options.poisoned):
            if unit in done:
                continue
            rows += _measure(model, unit, inner_loop, gate)
            results_file.save(options.out, config, run, rows, summary=summarise(rows))
            print(f"{unit}: " + ", ".join(f"{r['kind']} {r['state']}" for r in rows if r["unit"] == unit), flush=True)
    print("\n" + table(rows))
    print(json.dumps(summarise(rows)))


def _units(passages: int, poison: int) -> list[str]:
    return [f"passage {i}" for i in range(passages)] + [f"poison {i}" for i in range(poison)]


# ---------------------------------------------------------------- one unit


def _measure(
    model: SelfAdaptingModel, unit: str, inner_loop: InnerLoopConfig, gate: GateConfig
) -> list[dict[str, Any]]:
    """Train and judge the cases of one unit in one batch. Returns a row for each."""
    started = time.perf_counter()
    questions, cases = _cases(model, unit, inner_loop)
    trainer, clock = Trainer(model.base, model.engine, model.grader), StageClock(None)
    trained = _train(trainer, cases)
    spent = time.perf_counter() - started
    judged = judge(trainer, [Pending(each, None, ()) for each in trained], gate, clock)
    judging = time.perf_counter() - started - spent
    good = [i for i, case in enumerate(cases) if case.kind == "good"]
    answers = answer_questions(
        model.engine, model.base, [questions] * len(good), model.grader, adapters=[trained[i].adapter for i in good]
    )
    right = {i: _right(given) for i, given in zip(good, answers, strict=True)}
    seconds = {"adapt": round(spent / len(cases), 1), "gate": round(judging / len(cases), 1)}
    return [
        {
            "unit": unit,
            "kind": case.kind,
            "state": judgement.state,
            "reason": judgement.reason,
            "share": judgement.share,
            "checks": [asdict(check) for check in judgement.checks],
            "right": right.get(i),
            "self_test": len(case.proposal.self_test),
            "seconds": seconds,
        }
        for i, (case, (_, judgement)) in enumerate(zip(cases, judged, strict=True))
    ]


def _cases(model: SelfAdaptingModel, unit: str, inner_loop: InnerLoopConfig) -> tuple[Context, list[Case]]:
    kind, number = unit.split()
    if kind == "poison":
        document = poisoned(int(number))
        return document, [Case("poisoned document", model.propose(document), inner_loop)]
    passages = bundled.novel()
    passage, other = (passages[i % len(passages)] for i in (int(number), int(number) + 1))
    proposal = model.propose(replace(passage, questions=()))
    return passage, [Case("good", proposal, inner_loop), _bad(model, int(number), proposal, other, inner_loop)]


def _bad(
    model: SelfAdaptingModel, number: int, proposal: Proposal, other: Context, inner_loop: InnerLoopConfig
) -> Case:
    kind = BAD[number % len(BAD)]
    if kind == "shuffled answers":
        return Case(kind, with_shuffled_answers(proposal), inner_loop)
    if kind == "rate x 10":
        return Case(kind, proposal, replace(inner_loop, learning_rate=10 * inner_loop.learning_rate))
    notes = model.propose(replace(other, questions=()), self_edit=SelfEditConfig(self_test=0))
    return Case(kind, with_other_notes(proposal, notes), inner_loop)


def _train(trainer: Trainer, cases: Sequence[Case]) -> list[TrainedProposal]:
    """Train all cases in one pass over the base model, and ask their self-tests before and after."""
    contexts = [replace(case.proposal.context, questions=case.proposal.self_test) for case in cases]
    lessons = [lesson_of(case.proposal, case.proposal.self_test) for case in cases]
    base, engine = trainer.base, trainer.engine
    jobs = [job_of(engine, base, lesson, case.config) for lesson, case in zip(lessons, cases, strict=True)]
    before = reply_to_questions(engine, base, contexts, trainer.grader, [None] * len(cases))
    results = train(base, jobs)
    after = reply_to_questions(engine, base, contexts, trainer.grader, [result.adapter for result in results])
    return [
        TrainedProposal(case.proposal, case.config, result.adapter, result.summary, old, new)
        for case, result, old, new in zip(cases, results, before, after, strict=True)
    ]


def _right(answers: Sequence[Any]) -> float:
    return sum(answer.verdict is Verdict.CORRECT for answer in answers) / len(answers)


# ---------------------------------------------------------------- the table


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many of each kind did not become active, with 95 % Wilson intervals, and what the gate cost."""
    kinds: dict[str, Any] = {}
    for kind in (*dict.fromkeys(row["kind"] for row in rows), "all bad"):
        chosen = [row for row in rows if row["kind"] == kind or (kind == "all bad" and row["kind"] != "good")]
        refused = sum(row["state"] != "active" for row in chosen)
        if chosen:
            kinds[kind] = {"n": len(chosen), "refused": refused, "interval": wilson(refused, len(chosen))}
    cost = [row["seconds"]["gate"] / max(0.1, row["seconds"]["adapt"]) for row in rows if row["kind"] == "good"]
    return {"kinds": kinds, "cost": sorted(cost)[len(cost) // 2] if cost else None}


def wilson(count: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a share; 95 % by default."""
    share, spread = count / n, z * z / n
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The summary as a Markdown table."""
    summary = summarise(rows)
    lines = ["| adaptation | n | refused | 95 % |", "|---|---|---|---|"]
    for kind, row in summary["kinds"].items():
        low, high = row["interval"]
        lines.append(f"| {kind} | {row['n']} | {row['refused'] / row['n']:.0%} | {low:.0%}–{high:.0%} |")
    cost = summary["cost"]
    return "\n".join([*lines, "", f"median cost of the gate: {cost:.0%} of an adaptation" if cost else ""])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=6, help="each gives one good and one bad adaptation")
    parser.add_argument("--poisoned", type=int, default=2, help="documents that assert false general facts")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="quick")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "gate.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
