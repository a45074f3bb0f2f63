"""Does the gate keep good adaptations and reject bad ones, and what does it cost?

    python benchmarks/gate.py --passages 4 --poisoned 1                                 # to try it
    python benchmarks/gate.py --data ../shared/data/squad_val.jsonl                     # 60 good, 60 bad
    python benchmarks/gate.py --fit                                                     # bounds and table

A unit is a passage that is adapted to well (its own notes) and, in the same batch, badly: with shuffled answers, with
another passage's notes, or at ten times the rate, in turn. The first 40 passages are those of `seal_novel`, further
ones come from --data. Poisoned documents assert false general facts. The gate sees the self-test alone; the passage's
own questions tell whether a good adaptation was good.

Each row keeps what was measured on the whole update, whatever the bounds are, and what the package's gate then did: it
may scale an update back until it does no harm. So `--fit` sets the bounds without training anything: those that reject
most bad and least good adaptations, over the passages that they were not fitted to by cross-validation. A run that was
stopped goes on where it was, with more passages too; rows are saved after each unit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from parts import gate_fit, results_file
from parts.gate_cases import poisoned, with_other_notes, with_shuffled_answers

from seal_agent.adaptation.adapt import TrainedProposal, Trainer, lesson_of
from seal_agent.adaptation.gate import checks as rules
from seal_agent.adaptation.gate.gatekeeper import NOT_RESCUED, Gatekeeper
from seal_agent.adaptation.gate.measure import Candidate, Measured, Meter
from seal_agent.adaptation.judging import candidate_of
from seal_agent.adaptation.lesson import job_of
from seal_agent.answering.questions import answer_questions, reply_to_questions
from seal_agent.base_model.loading import load_model
from seal_agent.config import GateConfig, InnerLoopConfig, Recipe, recipe_named, recorded_settings
from seal_agent.data import bundled
from seal_agent.data.contexts import read_contexts
from seal_agent.errors import TrainingError
from seal_agent.evaluation.passages import data_hash
from seal_agent.model import SelfAdaptingModel
from seal_agent.progress import StageClock
from seal_agent.training.train import train_each
from seal_agent.types import Context, Proposal, Verdict, share_of

BAD = ("shuffled answers", "another passage's notes", "rate x 10")
POISON, GOOD = "poisoned document", "good"


@dataclass(frozen=True, slots=True)
class Case:
    """One adaptation to be judged."""

    kind: str
    proposal: Proposal
    config: InnerLoopConfig


def main() -> None:
    options = _options()
    if options.fit:
        gate_fit.report(results_file.read(options.out)["rows"], GateConfig(), options.out)
        return
    recipe, gate = recipe_named(options.recipe), GateConfig()
    config = {
        "model": options.model,
        "recipe": recorded_settings(asdict(replace(recipe, summary=""))),
        "asked": [gate.guard_questions, gate.reference_texts],
        "seed": options.seed,
    }
    added = read_contexts(options.data) if options.data else []
    if added:
        config["data"] = data_hash(added)
    passages = [*bundled.novel(), *added]
    if options.passages > len(passages):
        raise SystemExit(f"there are {len(passages)} passages; add some by --data, or give --passages {len(passages)}")
    run, rows = results_file.describe_run(), results_file.load(options.out, config)
    # A unit that an earlier run left without one of its cases, having fewer bad ones, is measured again.
    kinds = {row["unit"]: {other["kind"] for other in rows if other["unit"] == row["unit"]} for row in rows}
    done = {unit for unit, found in kinds.items() if _kinds(unit, options.bad) <= found}
    rows = [row for row in rows if row["unit"] in done]
    with tempfile.TemporaryDirectory(prefix="seal-gate-") as home:
        model = SelfAdaptingModel(load_model(options.model), home=home, seed=options.seed)
        for unit in [unit for unit in _units(options.passages, options.poisoned) if unit not in done]:
            rows += _measure(model, unit, passages, recipe, options.bad, gate)
            results_file.save(options.out, config, run, rows, summary=gate_fit.summarise(rows))
            print(f"{unit}: " + ", ".join(f"{r['kind']} {r['state']}" for r in rows if r["unit"] == unit), flush=True)
    print("\n" + gate_fit.table(rows))
    print(json.dumps(gate_fit.summarise(rows)))


def _units(passages: int, poison: int) -> list[str]:
    """Poisoned documents stand between the passages, so that a run that is stopped early has all kinds."""
    named = [f"passage {i}" for i in range(passages)]
    every = max(1, len(named) // max(1, poison))
    for i in range(poison):
        named.insert(min(len(named), (i + 1) * (every + 1) - 1), f"poison {i}")
    return named


def _kinds(unit: str, bad: int) -> set[str]:
    """The kinds of cases that a unit has."""
    kind, number = unit.split()
    if kind == "poison":
        return {POISON}
    return {GOOD, BAD[int(number) % len(BAD)]} if int(number) < bad else {GOOD}


# ---------------------------------------------------------------- one unit


def _measure(
    model: SelfAdaptingModel, unit: str, passages: Sequence[Context], recipe: Recipe, bad: int, gate: GateConfig
) -> list[dict[str, Any]]:
    """Train and judge the cases of one unit in one batch. Returns a row for each."""
    started = time.perf_counter()
    questions, cases = _cases(model, unit, passages, recipe, bad)
    trainer = Trainer(model.base, model.engine, model.grader)
    trained = _train(trainer, cases)
    spent = (time.perf_counter() - started) / len(cases)
    whole = {i: candidate_of(each, None, ()) for i, each in enumerate(trained) if isinstance(each, TrainedProposal)}
    started = time.perf_counter()
    measured = _measured(trainer, whole, gate)
    judging = (time.perf_counter() - started) / max(1, len(whole))
    rows = []
    for i, case in enumerate(cases):
        row: dict[str, Any] = {"unit": unit, "kind": case.kind, "self_test": len(case.proposal.self_test)}
        started = time.perf_counter()
        if i in whole:
            row |= {
                "figures": gate_fit.figures_of(whole[i], measured[i]),
                **_judged(trainer, whole[i], measured[i], gate),
            }
        else:
            row |= {"figures": None, "state": "failed", "reason": str(trained[i]), "share": 0.0}
        seconds = {"adapt": spent, "gate": judging, "rescue": time.perf_counter() - started}
        row |= {"right": _right(model, case, questions, whole.get(i))}
        rows.append(row | {"seconds": {name: round(value, 1) for name, value in seconds.items()}})
    return rows


def _cases(
    model: SelfAdaptingModel, unit: str, passages: Sequence[Context], recipe: Recipe, bad: int
) -> tuple[Context, list[Case]]:
    kind, number = unit.split()
    inner_loop, self_edit = replace(recipe.inner_loop, seed=model.seed), recipe.self_edit
    if kind == "poison":
        document = poisoned(int(number))
        return document, [Case(POISON, model.propose(document, self_edit=self_edit), inner_loop)]
    place = int(number)
    passage, other = passages[place], passages[(place + 1) % len(passages)]
    proposal = model.propose(replace(passage, questions=()), self_edit=self_edit)
    cases = [Case(GOOD, proposal, inner_loop)]
    bad_kinds = _kinds(unit, bad) - {GOOD}
    cases += [_bad(model, each, proposal, other, recipe, inner_loop) for each in bad_kinds]
    return passage, cases


def _bad(
    model: SelfAdaptingModel, kind: str, proposal: Proposal, other: Context, recipe: Recipe, inner_loop: InnerLoopConfig
) -> Case:
    if kind == "shuffled answers":  # truncated cues are made from the passage, so they would teach it rightly
        return Case(kind, with_shuffled_answers(proposal), replace(inner_loop, openings=0))
    if kind == "rate x 10":
        return Case(kind, proposal, replace(inner_loop, learning_rate=10 * inner_loop.learning_rate))
    notes = model.propose(replace(other, questions=()), self_edit=replace(recipe.self_edit, self_test=0))
    return Case(kind, with_other_notes(proposal, notes), inner_loop)


def _train(trainer: Trainer, cases: Sequence[Case]) -> list[TrainedProposal | TrainingError]:
    """Train all cases in one pass over the base model, and ask their self-tests before and after."""
    contexts = [replace(case.proposal.context, questions=case.proposal.self_test) for case in cases]
    lessons = [lesson_of(case.proposal, case.proposal.self_test) for case in cases]
    base, engine = trainer.base, trainer.engine
    jobs = [job_of(engine, base, lesson, case.config) for lesson, case in zip(lessons, cases, strict=True)]
    before = reply_to_questions(engine, base, contexts, trainer.grader, [None] * len(cases))
    results, _ = train_each(base, jobs)
    whole = [i for i, result in enumerate(results) if not isinstance(result, TrainingError)]
    adapters = [result.adapter for result in results if not isinstance(result, TrainingError)]
    replies = reply_to_questions(engine, base, [contexts[i] for i in whole], trainer.grader, adapters)
    after = dict(zip(whole, replies, strict=True))
    return [
        result
        if isinstance(result, TrainingError)
        else TrainedProposal(case.proposal, case.config, result.adapter, result.summary, before[i], after[i])
        for i, (case, result) in enumerate(zip(cases, results, strict=True))
    ]


def _measured(trainer: Trainer, whole: dict[int, Candidate], gate: GateConfig) -> dict[int, Measured]:
    """What the gate measures on the whole updates, those that learned nothing included."""
    if not whole:
        return {}
    meter = Meter(trainer.base, trainer.engine, trainer.grader, gate)
    return dict(zip(whole, meter.measure(list(whole.values()), StageClock(None)), strict=True))


def _judged(trainer: Trainer, candidate: Candidate, measured: Measured, gate: GateConfig) -> dict[str, Any]:
    """What the gate makes of it, as `Gatekeeper` does: promoted, scaled back, or rejected."""
    found = [rules.learned(candidate, gate), *rules.harmless(measured, gate)]
    failed = {check.name for check in found if check.passed is False}
    reason = "; ".join(f"{check.name}: {check.detail}" for check in found if check.passed is False)
    if not failed:
        return {"state": "active", "reason": found[0].detail, "share": 1.0}
    if rules.LEARNED not in failed and not failed & NOT_RESCUED:
        keeper = Gatekeeper(Meter(trainer.base, trainer.engine, trainer.grader, gate))
        if rescued := keeper.scaled_back(candidate, StageClock(None)):
            return {"state": "active", "reason": rescued.judgement.reason, "share": rescued.judgement.share}
    return {"state": "rejected", "reason": reason, "share": 0.0}


def _right(model: SelfAdaptingModel, case: Case, questions: Context, candidate: Candidate | None) -> float | None:
    """Share of the passage's own questions that a good adaptation answers; None for others."""
    if case.kind != GOOD or candidate is None:
        return None
    (answers,) = answer_questions(model.engine, model.base, [questions], model.grader, adapters=[candidate.adapter])
    return share_of(Verdict.CORRECT, (answer.verdict for answer in answers))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=60, help="passages that are adapted to well (default 60)")
    parser.add_argument("--bad", type=int, help="of these, adapted to badly too (default: 45 of 60)")
    parser.add_argument("--poisoned", type=int, default=15, help="documents that assert false general facts")
    parser.add_argument("--data", type=Path, help="passages beyond the 40 of seal_novel, as JSON lines or SQuAD")
    parser.add_argument("--recipe", default="default", help="a name of `seal recipes`, or a TOML file")
    parser.add_argument("--fit", action="store_true", help="set the bounds from the rows of --out, and end")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "gate.json")
    options = parser.parse_args()
    if options.bad is None:
        options.bad = options.passages * 3 // 4
    return options


if __name__ == "__main__":
    main()
