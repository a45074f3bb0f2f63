"""Does the outer loop learn? A task whose good self-edits are known: copy the one sentence that will be asked about.

    python benchmarks/outer_loop_toy.py
    python benchmarks/outer_loop_toy.py --rounds 3 --seeds 0 1 2 --out /tmp/toy.json

A seed takes half a minute on 2 cores with --contexts 40 (results/outer_loop_toy.json).

A context is four sentences of three words, one of them marked with "!". The questions are about the marked sentence:
half of them select self-edits, the other half only report. A two-layer model, pretrained here, copies any of the four
sentences with equal probability, as an untrained writer would. Everything else is the package's own outer loop:
sampling, an adapter trained on every self-edit, answers, selection and the policy, round after round.

Reward on the reporting questions should rise from round to round. The table also shows how often the marked sentence
is copied, which the loop never sees.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from parts import results_file
from parts.outer_loop_toy_model import draw_context, pretrain

from seal_agent.config import PLAIN_LORA, OuterLoopConfig
from seal_agent.errors import TrainingError
from seal_agent.generation.hf import HFEngine
from seal_agent.grading.graders import default_grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import QuestionReward
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.units import Case, CaseAnswers, CaseResult, Trial, TrialResult, Unit, UnitResult, Worker
from seal_agent.progress import Progress
from seal_agent.training.jobs import TrainedAdapter, TrainJob
from seal_agent.training.sequences import encode_text
from seal_agent.training.train import train_each
from seal_agent.types import Answer, Context, Message, Question, Sampling, SelfEdit, Verdict

INNER = replace(PLAIN_LORA, rank=8, alpha=16, targets=("all",), epochs=6, learning_rate=1e-2, batch_size=1)
POLICY = replace(PLAIN_LORA, rank=8, alpha=16, targets=("all",), epochs=4, learning_rate=3e-3, batch_size=4)


def main() -> None:
    options = _options()
    run = results_file.describe_run()
    rows = [row for seed in options.seeds for row in measure(seed, options)]
    summary = summarise(rows, options.rounds)
    config = {"rounds": options.rounds, "contexts": options.contexts, "edits": options.edits, "seeds": options.seeds}
    results_file.save(
        options.out, {**config, "inner_loop": asdict(INNER), "policy": asdict(POLICY)}, run, rows, summary=summary
    )
    plot(rows, options.rounds, options.out.with_suffix(".png"))
    print("\n" + table(summary))
    print(json.dumps(summary))


def measure(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Run the outer loop. Returns one row per round: both rewards, and how often the marked sentence was copied."""
    started = time.perf_counter()
    base = pretrain(seed)
    print(f"seed {seed}: the model was made in {time.perf_counter() - started:.0f} s", flush=True)
    config = OuterLoopConfig(
        rounds=options.rounds - 1,
        contexts=options.contexts,
        edits=options.edits,
        seeds=1,
        measure_last=True,
        fresh_contexts=True,
        contexts_per_unit=options.contexts,
        inner_loop=INNER,
        policy=POLICY,
        seed=seed,
    )
    worker = Worker(base, HFEngine(base), default_grader())
    domain = MarkedSentence(seed)
    with tempfile.TemporaryDirectory(prefix="seal-toy-") as folder:
        run = Run(Path(folder), {**asdict(config), **domain.settings()}, {})
        results = rest_em(domain, QuestionReward(), config, worker=worker, executor=InlineExecutor(worker), run=run)
        run.close()
    return [_row(seed, result, time.perf_counter() - started) for result in results]


def _row(seed: int, result: RoundResult, seconds: float) -> dict[str, Any]:
    copied = [
        scored.edit.completion.strip() == context.title for context in result.contexts for scored in context.scored
    ]
    print(
        f"  round {result.round}: reporting {result.reporting_mean:.3f}  selecting {result.mean:.3f}  "
        f"marked sentence copied {fmean(copied):.0%}",
        flush=True,
    )
    return {
        "seed": seed,
        "round": result.round,
        "reporting": result.reporting_mean,
        "selecting": result.mean,
        "copied": fmean(copied),
        "by_context": [fmean(scored.reporting_mean or 0.0 for scored in context.scored) for context in result.contexts],
        "kept": sum(len(context.kept) for context in result.contexts),
        "seconds": round(seconds, 1),
    }


# ---------------------------------------------------------------- the task


@dataclass(frozen=True)
class MarkedSentence:
    """The task as a domain of the outer loop, which knows nothing of it but this interface."""

    seed: int

    @property
    def formats(self) -> tuple[str, ...]:
        return ("copy",)

    def settings(self) -> dict[str, Any]:
        return {"domain": "marked sentence", "draw": self.seed}

    def items(self, count: int, skip: int, seed: int) -> list[tuple[str, str]]:
        """Contexts and their marked sentences."""
        return [draw_context(random.Random(f"{seed} {skip + i}")) for i in range(count)]

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        return ()

    def cases(self, worker: Worker, items: Sequence[tuple[str, str]], seed: int) -> tuple[Case[str], ...]:
        """One case per context: the first word after the name selects self-edits, the second only reports."""
        return tuple(
            Case(
                text,
                marked,
                (Question(name, (colour,)),),
                (Question(f"{name} {colour}", (size,)),),
            )
            for text, marked in items
            for name, colour, size in [marked.split()]
        )

    def text_of(self, case: Case[str]) -> str:
        return case.item

    def own_questions(self, worker: Worker, cases: Sequence[Case[str]], seed: int) -> tuple[tuple[Question, ...], ...]:
        return ((),) * len(cases)

    def propose(
        self,
        worker: Worker,
        cases: Sequence[Case[str]],
        count: int,
        *,
        writer: LoraAdapter | None,
        seed: int,
        progress: Progress | None,
    ) -> tuple[tuple[SelfEdit, ...], ...]:
        """`count` completions of each context by the writer, at temperature 1."""
        prompts = [(Message("user", case.item),) for case in cases for _ in range(count)]
        sampling = Sampling(max_tokens=6, temperature=1.0, seed=seed)
        completions = worker.engine.generate(prompts, sampling, [writer] * len(prompts), progress)
        edits = [
            SelfEdit("copy", prompt[0].content, completion.text, sampling, seed + i)
            for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
        ]
        return tuple(tuple(edits[i : i + count]) for i in range(0, len(edits), count))

    def rejected(self, case: Case[str], edit: SelfEdit) -> str:
        return ""

    @staticmethod
    def evaluate(unit: Unit[str], worker: Worker) -> UnitResult:
        """Train each trial's adapter on its self-edit, or on the context alone, and let it continue the names."""
        trials = [(case, trial) for case in unit.cases for trial in case.trials]
        texts = [trial.edit.completion or "." if trial.edit else case.item for case, trial in trials]
        jobs = [TrainJob((encode_text(worker.base, "", text + " ."),), unit.inner_loop) for text in texts]
        results, _ = train_each(worker.base, jobs)
        adapters = [None if isinstance(result, TrainingError) else result.adapter for result in results]
        baselines = [(case, None) for case in unit.cases]
        answers = _ask([*baselines, *zip((case for case, _ in trials), adapters, strict=True)], worker)
        trial_results = (
            _trial_result(trial, trained, adapted)
            for (_, trial), trained, adapted in zip(trials, results, answers[len(unit.cases) :], strict=True)
        )
        cases = [
            CaseResult(baseline, tuple(islice(trial_results, len(case.trials))))
            for case, baseline in zip(unit.cases, answers, strict=False)
        ]
        return UnitResult(unit.key, tuple(cases))


def _trial_result(trial: Trial, trained: TrainedAdapter | TrainingError, answers: CaseAnswers) -> TrialResult:
    return TrialResult(trial, None, str(trained)) if isinstance(trained, TrainingError) else TrialResult(trial, answers)


def _ask(pairs: Sequence[tuple[Case[str], LoraAdapter | None]], worker: Worker) -> list[CaseAnswers]:
    """Each case's two questions, answered by the adapter beside it (None: the base model)."""
    questions = [(question, adapter) for case, adapter in pairs for question in (case.selecting[0], case.reporting[0])]
    completions = worker.engine.generate(
        [question.text for question, _ in questions], Sampling(max_tokens=1), [adapter for _, adapter in questions]
    )
    answers = [
        Answer(
            question,
            completion.text.strip(),
            Verdict.CORRECT if completion.text.strip() == question.golds[0] else Verdict.WRONG,
        )
        for (question, _), completion in zip(questions, completions, strict=True)
    ]
    return [CaseAnswers((answers[i],), (answers[i + 1],)) for i in range(0, len(answers), 2)]


# ---------------------------------------------------------------- figures


def summarise(rows: Sequence[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Means over all contexts of all seeds with 95 % bootstrap intervals, and the rise from the first round."""
    rows_by_round = [[row for row in rows if row["round"] == number] for number in range(rounds)]
    gains_by_round = [[gain for row in round_rows for gain in row["by_context"]] for round_rows in rows_by_round]
    first_and_last = zip(rows_by_round[0], rows_by_round[-1], strict=True)
    return {
        "reporting": [fmean(gains) for gains in gains_by_round],
        "intervals": [results_file.interval(gains) for gains in gains_by_round],
        "copied": [fmean(row["copied"] for row in round_rows) for round_rows in rows_by_round],
        "rise": [last["reporting"] - first["reporting"] for first, last in first_and_last],
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| round | reward on the reporting half | marked sentence copied |", "|---|---|---|"]
    rounds = zip(summary["reporting"], summary["intervals"], summary["copied"], strict=True)
    lines += [
        f"| {number} | {mean:.3f} ({low:.3f}–{high:.3f}) | {copied:.0%} |"
        for number, (mean, (low, high), copied) in enumerate(rounds)
    ]
    return "\n".join(lines)


def plot(rows: Sequence[dict[str, Any]], rounds: int, path: Path) -> None:
    """Reward on the reporting half by round, one line per seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5, 3.2))
    for seed in dict.fromkeys(row["seed"] for row in rows):
        seed_rows = [row for row in rows if row["seed"] == seed]
        rounds_measured, rewards = [row["round"] for row in seed_rows], [row["reporting"] for row in seed_rows]
        axis.plot(rounds_measured, rewards, "o-", label=f"seed {seed}")
    axis.set(xlabel="round (0: untrained writer)", ylabel="reward, reporting half", xticks=range(rounds), ylim=(0, 1))
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="rounds measured; the policy is finetuned between them")
    parser.add_argument("--contexts", type=int, default=24)
    parser.add_argument("--edits", type=int, default=5)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "outer_loop_toy.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
