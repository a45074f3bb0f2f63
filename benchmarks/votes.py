"""When do a model's own votes help as a reward, and when do they collapse?

    python benchmarks/votes.py                     # simulated: some seconds of one core
    python benchmarks/votes.py --rounds 200 --seeds 20

A simulated writer answers 40 questions. It has five answers to each, and one constant answer that fits any question,
whose logit all questions share, as they share a model's weights. Each round it answers every question eight times,
the commonest answer counts as right (`MajorityVoteReward`), and its logits take a step of policy gradient. It is
measured by its true accuracy, which it never sees. Two beginnings:

- *sure*: it knows most questions, and seldom gives the constant answer;
- *unsure*: it knows fewer, and where it is unsure the constant answer is already the commonest.

The remedies are those of `seal train --reward votes`: a fixed teacher, a curriculum of the most agreed questions, and
an early stop at the first alarm of `outer_loop/collapse.py` that needs no labels.

A real run of the bundled model takes hours; it was not run here:

    seal train --reward votes --data ../shared/data/squad_val.jsonl --rounds 6 --contexts 24 --run runs/votes
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from parts import results_file

from seal_agent.outer_loop.collapse import alarms
from seal_agent.outer_loop.report.interval import estimate
from seal_agent.outer_loop.rewards.reward import RewardInput
from seal_agent.outer_loop.rewards.votes import MajorityVoteReward, agreement, commonest, diversity_across, mean_entropy
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.outer_loop.units import Case, CaseAnswers, Trial, TrialResult
from seal_agent.types import Outcome, Question, SelfEdit, Verdict

QUESTIONS, ANSWERS, SAMPLES = 40, 5, 8
LOCAL_RATE, SHARED_RATE = 0.5, 0.1
CONSTANT = "zero"
Logits = NDArray[np.float64]
Rows = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Beginning:
    """The share of questions that the writer knows, and the logit of its constant answer; others are about 0."""

    known: float
    constant: float


BEGINNINGS = {"sure": Beginning(known=0.7, constant=-1.5), "unsure": Beginning(known=0.4, constant=1.0)}
REMEDIES: dict[str, dict[str, Any]] = {
    "none": {},
    "fixed teacher": {"teacher": "base"},
    "curriculum": {"curriculum": 0.4},
    "fixed teacher and curriculum": {"teacher": "base", "curriculum": 0.4},
}


class Exact:
    """A grader of simulated answers: equal or not."""

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        return Verdict.CORRECT if answer in golds else Verdict.WRONG


class Writer:
    """The simulated model: its own logits for each question's answers, and a shared one for the constant answer."""

    def __init__(self, beginning: Beginning, seed: int) -> None:
        self._draw = np.random.default_rng(seed)
        self.own_QA: Logits = self._draw.normal(0.0, 0.5, (QUESTIONS, ANSWERS))
        self.own_QA[: round(beginning.known * QUESTIONS), 0] += 2.0  # answer 0 is the right one
        self.constant = beginning.constant
        self._first_QA = self.probabilities()

    def probabilities(self) -> Logits:
        """Of each answer to each question, the constant one last."""
        logits_QA = np.concatenate([self.own_QA, np.full((QUESTIONS, 1), self.constant)], axis=1)
        exp_QA = np.exp(logits_QA - logits_QA.max(axis=1, keepdims=True))
        return np.asarray(exp_QA / exp_QA.sum(axis=1, keepdims=True))

    def answers(self) -> Rows:
        """Eight sampled answers to each question."""
        steps_QA = self.probabilities().cumsum(axis=1)
        numbers_QS = (self._draw.random((QUESTIONS, SAMPLES, 1)) > steps_QA[:, None, :-1]).sum(axis=2)
        return [tuple(_text(q, a) for a in row) for q, row in enumerate(numbers_QS.tolist())]

    def learn(self, rows: Rows, labels: Sequence[str], chosen: Sequence[int]) -> None:
        """A step of policy gradient: answers that agree with the label were better than the mean of their question."""
        rewards_QS = np.array([[answer == labels[q] for answer in rows[q]] for q in chosen], dtype=float)
        advantages_QS = rewards_QS - rewards_QS.mean(axis=1, keepdims=True)
        numbers_QS = np.array([[_number(answer) for answer in rows[q]] for q in chosen])
        gradient_QA = (advantages_QS[:, :, None] * (numbers_QS[:, :, None] == np.arange(ANSWERS + 1))).sum(axis=1)
        self.own_QA[list(chosen)] += LOCAL_RATE * gradient_QA[:, :ANSWERS]
        self.constant += SHARED_RATE * float(gradient_QA[:, ANSWERS].sum())

    def accuracy(self) -> float:
        return float(self.probabilities()[:, 0].mean())

    def divergence(self) -> float:
        """From the writer at the beginning, in nats per answer."""
        now_QA = self.probabilities()
        return float((now_QA * np.log(now_QA / self._first_QA)).sum(axis=1).mean())


def simulate(beginning: Beginning, remedy: dict[str, Any], seed: int, rounds: int) -> dict[str, Any]:
    """A whole run, and where the first alarm that needs no labels would have ended it."""
    writer, grader, case = Writer(beginning, seed), Exact(), _case()
    reward = MajorityVoteReward(grader, SAMPLES, **remedy)
    base = writer.answers()
    taught = [commonest(row, grader) for row in base]
    count = -int(-reward.curriculum * QUESTIONS // 1)
    chosen = sorted(range(QUESTIONS), key=lambda q: -agreement(base[q], grader))[:count]
    results, accuracies = list[RoundResult](), list[float]()
    for number in range(rounds):
        rows = writer.answers()
        tried = TrialResult(Trial(None, 0), CaseAnswers((), samples=tuple(rows)))
        (outcome,) = reward.score([RewardInput(case, tried.trial, CaseAnswers((), samples=tuple(base)), tried)])
        accuracies.append(writer.accuracy())
        results.append(_round(number, outcome, rows, grader, writer))
        writer.learn(rows, taught if reward.teacher == "base" else [commonest(row, grader) for row in rows], chosen)
    stop = next((alarm for alarm in alarms(results) if alarm.stops), None)
    stopped = accuracies[max(0, stop.round - 1)] if stop else accuracies[-1]
    return {
        "accuracies": [round(accuracy, 4) for accuracy in accuracies],
        "rewards": [round(result.mean or 0.0, 4) for result in results],
        "divergences": [round(result.policy_kl or 0.0, 4) for result in results],
        "diversities": [round(result.answer_diversity or 0.0, 4) for result in results],
        "stopped_at": stop.round + 1 if stop else None,
        "sign": stop.sign if stop else "",
        "accuracy_when_stopped": round(stopped, 4),
    }


def _round(number: int, outcome: Outcome, rows: Rows, grader: Exact, writer: Writer) -> RoundResult:
    scored = (ScoredEdit(SelfEdit("simulated", completion=f"notes {number}"), (outcome,)),)
    return RoundResult(
        number,
        str(number),
        None,
        (ContextResult("simulated", scored),),
        vote_entropy=mean_entropy(rows, grader),
        answer_diversity=diversity_across(rows, QUESTIONS, grader),
        policy_kl=writer.divergence(),
    )


def _case() -> Case[str]:
    return Case("simulated", "simulated", (), own=tuple(Question(f"question {q}", ()) for q in range(QUESTIONS)))


def _text(question: int, answer: int) -> str:
    return CONSTANT if answer == ANSWERS else f"{question}/{answer}"


def _number(answer: str) -> int:
    return ANSWERS if answer == CONSTANT else int(answer.partition("/")[2])


# ---------------------------------------------------------------- figures


def main() -> None:
    options = _options()
    run, started = results_file.describe_run(), time.perf_counter()
    rows = [
        {"beginning": name, "remedy": remedy, "seed": seed, **simulate(beginning, given, seed, options.rounds)}
        for name, beginning in BEGINNINGS.items()
        for remedy, given in REMEDIES.items()
        for seed in range(options.seeds)
    ]
    summary = summarise(rows)
    config = {"rounds": options.rounds, "seeds": options.seeds, "questions": QUESTIONS, "samples": SAMPLES}
    seconds = round(time.perf_counter() - started, 1)
    results_file.save(options.out, config, run, rows, summary=summary, seconds=seconds)
    print(table(summary))
    print(json.dumps(summary))


def summarise(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each beginning and remedy the true accuracy first, last and at the early stop, with intervals over seeds."""
    found = []
    for beginning in BEGINNINGS:
        for remedy in REMEDIES:
            own = [row for row in rows if row["beginning"] == beginning and row["remedy"] == remedy]
            stops = [row["stopped_at"] for row in own if row["stopped_at"]]
            found.append(
                {
                    "beginning": beginning,
                    "remedy": remedy,
                    "first": _figures([row["accuracies"][0] for row in own]),
                    "last": _figures([row["accuracies"][-1] for row in own]),
                    "early_stop": _figures([row["accuracy_when_stopped"] for row in own]),
                    "stopped": len(stops),
                    "stopped_at": fmean(stops) if stops else None,
                    "reward": _figures([row["rewards"][-1] for row in own]),
                    "signs": sorted({row["sign"].split(" (")[0] for row in own if row["sign"]})[:3],
                }
            )
    return found


def _figures(values: Sequence[float]) -> dict[str, Any]:
    mean = estimate(values)
    return {"mean": round(mean.mean, 3), "interval": [round(mean.low, 3), round(mean.high, 3)]} if mean else {}


def table(summary: Sequence[dict[str, Any]]) -> str:
    """The summary as Markdown."""
    lines = [
        "| beginning | remedy | accuracy first | last | with an early stop | runs stopped | last reward |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in summary:
        cells = (_cell(row[name]) for name in ("first", "last", "early_stop"))
        at = f", at round {row['stopped_at']:.0f}" if row["stopped"] else ""
        lines.append(
            f"| {row['beginning']} | {row['remedy']} | {' | '.join(cells)} | {row['stopped']}{at} | "
            f"{row['reward']['mean']:+.2f} |"
        )
    return "\n".join(lines)


def _cell(figures: dict[str, Any]) -> str:
    return f"{figures['mean']:.2f} ({figures['interval'][0]:.2f}–{figures['interval'][1]:.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "votes.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
