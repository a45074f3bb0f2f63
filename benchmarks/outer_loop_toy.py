"""Does the outer loop learn? A task whose good self-edits are known: copy the one sentence that will be asked about.

    python benchmarks/outer_loop_toy.py
    python benchmarks/outer_loop_toy.py --rounds 3 --seeds 0 1 2 --out /tmp/toy.json

A context is four sentences of three words, one of them marked with "!". The questions are about the marked one: half of
them select self-edits, the other half only report. A two-layer model, made here and trained for a minute, copies
any of the four sentences with the same chance, as an untrained writer would. All else is the product: sampling,
adapters trained on every self-edit, answers, selection, the policy, round after round. Reward on the reporting half
should rise from round to round; how often the marked sentence is copied, which the loop never sees, stands beside it.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import results_file
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from seal_agent.base_model.model import BaseModel
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
from seal_agent.outer_loop.units import Asked, Case, CaseResult, Evaluated, Tried, Unit, Worker
from seal_agent.progress import Progress
from seal_agent.training.jobs import TrainJob
from seal_agent.training.sequences import encode_text, encode_turns
from seal_agent.training.train import train_each
from seal_agent.types import IGNORE_LABEL, Answer, Context, Message, Question, Sampling, SelfEdit, Verdict

NAMES = [f"n{i}" for i in range(32)]
COLOURS = [f"c{i}" for i in range(8)]
SIZES = [f"s{i}" for i in range(8)]
WORDS = ["<pad>", "<unk>", "</s>", "User:", "Assistant:", "!", ".", *NAMES, *COLOURS, *SIZES]
SENTENCES = 4
PRETRAINING_STEPS, PRETRAINING_ROWS = 1200, 64
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
    draw(rows, options.rounds, options.out.with_suffix(".png"))
    print("\n" + table(summary))
    print(json.dumps(summary))


def measure(seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row per round: rewards on both halves, and how often the marked sentence was copied."""
    started = time.perf_counter()
    base = pretrained(seed)
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
    copied = [one.edit.completion.strip() == context.title for context in result.contexts for one in context.scored]
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
        "by_context": [fmean(one.reporting_mean or 0.0 for one in context.scored) for context in result.contexts],
        "kept": sum(len(context.kept) for context in result.contexts),
        "seconds": round(seconds, 1),
    }


# ---------------------------------------------------------------- the task


@dataclass(frozen=True)
class MarkedSentence:
    """A domain of the outer loop: nothing in the loop knows of it."""

    seed: int

    @property
    def formats(self) -> tuple[str, ...]:
        return ("copy",)

    def settings(self) -> dict[str, Any]:
        return {"domain": "marked sentence", "draw": self.seed}

    def items(self, count: int, skip: int, seed: int) -> list[tuple[str, str]]:
        """Contexts and their marked sentences."""
        return [drawn(random.Random(f"{seed} {skip + i}")) for i in range(count)]

    def guard(self, count: int, seed: int) -> tuple[Context, ...]:
        return ()

    def cases(self, worker: Worker, items: Sequence[tuple[str, str]], seed: int) -> tuple[Case[str], ...]:
        """The first word after the name selects, the second reports."""
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
        """What the writer says after the context, at temperature 1."""
        prompts = [(Message("user", case.item),) for case in cases for _ in range(count)]
        sampling = Sampling(max_tokens=6, temperature=1.0, seed=seed)
        said = worker.engine.generate(prompts, sampling, [writer] * len(prompts), progress)
        edits = [
            SelfEdit("copy", prompt[0].content, one.text, sampling, seed + i)
            for i, (prompt, one) in enumerate(zip(prompts, said, strict=True))
        ]
        return tuple(tuple(edits[i : i + count]) for i in range(0, len(edits), count))

    def rejected(self, case: Case[str], edit: SelfEdit) -> str:
        return ""

    @staticmethod
    def evaluate(unit: Unit[str], worker: Worker) -> Evaluated:
        """Adapters on the self-edit's own words, or on the context; asked to go on after a name."""
        trials = [(case, trial) for case in unit.cases for trial in case.trials]
        texts = [trial.edit.completion or "." if trial.edit else case.item for case, trial in trials]
        jobs = [TrainJob((encode_text(worker.base, "", text + " ."),), unit.inner_loop) for text in texts]
        results, _ = train_each(worker.base, jobs)
        adapters = [None if isinstance(one, TrainingError) else one.adapter for one in results]
        asked = [(case, None) for case in unit.cases] + list(zip((case for case, _ in trials), adapters, strict=True))
        said = _ask(asked, worker)
        left = iter(zip(trials, results, said[len(unit.cases) :], strict=True))
        cases = []
        for case, baseline in zip(unit.cases, said, strict=False):
            tried = []
            for (_, trial), result, answers in (next(left) for _ in case.trials):
                failed = isinstance(result, TrainingError)
                tried.append(Tried(trial, None if failed else answers, str(result) if failed else ""))
            cases.append(CaseResult(baseline, tuple(tried)))
        return Evaluated(unit.key, tuple(cases))


def _ask(asked: Sequence[tuple[Case[str], LoraAdapter | None]], worker: Worker) -> list[Asked]:
    questions = [(question, adapter) for case, adapter in asked for question in (case.selecting[0], case.reporting[0])]
    said = worker.engine.generate([q.text for q, _ in questions], Sampling(max_tokens=1), [a for _, a in questions])
    answers = [
        Answer(q, one.text.strip(), Verdict.CORRECT if one.text.strip() == q.golds[0] else Verdict.WRONG)
        for (q, _), one in zip(questions, said, strict=True)
    ]
    return [Asked((answers[i],), (answers[i + 1],)) for i in range(0, len(answers), 2)]


def drawn(draw: random.Random) -> tuple[str, str]:
    """A context, and its marked sentence without the mark."""
    sentences = [f"{name} {draw.choice(COLOURS)} {draw.choice(SIZES)}" for name in draw.sample(NAMES, SENTENCES)]
    marked = draw.randrange(SENTENCES)
    return " . ".join(f"! {s}" if i == marked else s for i, s in enumerate(sentences)), sentences[marked]


# ---------------------------------------------------------------- the model


def pretrained(seed: int) -> BaseModel:
    """Two layers that continue a name with any two words, and after a context copy any of its sentences."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        rope_theta=1000.0,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=2,
    )
    module = LlamaForCausalLM(config).float()
    base = BaseModel(f"toy-{seed}", module, tokenizer(), f"toy-{seed}")
    draw, optimizer = random.Random(seed), torch.optim.AdamW(module.parameters(), lr=3e-3)
    for step in range(PRETRAINING_STEPS):
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1, (step + 1) / 100) * (1 - step / PRETRAINING_STEPS)
        loss = _loss(module, [_row_of(base, draw) for _ in range(PRETRAINING_ROWS)])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return base


def _row_of(base: BaseModel, draw: random.Random) -> tuple[list[int], list[int]]:
    """Ids and labels of ten words said twice, of a context and any one of its sentences, or of a sentence alone."""
    kind = draw.random()
    if kind < 0.4:  # without these, copying is found late or never
        words = base.tokens(" ".join(draw.sample([*NAMES, *COLOURS, *SIZES], 10)))
        return words + words, [IGNORE_LABEL] * len(words) + words
    text, _ = drawn(draw)
    sentence = draw.choice([s.removeprefix("! ") for s in text.split(" . ")])
    row = encode_turns(base, text, sentence) if kind < 0.85 else encode_text(base, "", sentence + " .")
    return list(row.input_ids), list(row.labels)


def _loss(module: LlamaForCausalLM, rows: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    longest = max(len(ids) for ids, _ in rows)
    ids_BT = torch.tensor([ids + [0] * (longest - len(ids)) for ids, _ in rows])
    labels_BT = torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows])
    loss: torch.Tensor = module(input_ids=ids_BT, labels=labels_BT).loss
    return loss


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each word."""
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", eos_token="</s>")


# ---------------------------------------------------------------- what came of it


def summarise(rows: Sequence[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Means over all contexts of all seeds with 95 % bootstrap intervals, and the rise from the first round."""
    of_round = [[row for row in rows if row["round"] == r] for r in range(rounds)]
    pooled = [[gain for row in every for gain in row["by_context"]] for every in of_round]
    return {
        "reporting": [fmean(gains) for gains in pooled],
        "intervals": [results_file.interval(gains) for gains in pooled],
        "copied": [fmean(row["copied"] for row in every) for every in of_round],
        "rise": [last["reporting"] - first["reporting"] for first, last in zip(of_round[0], of_round[-1], strict=True)],
    }


def table(summary: dict[str, Any]) -> str:
    """The summary as Markdown."""
    lines = ["| round | reward on the reporting half | marked sentence copied |", "|---|---|---|"]
    for number, (mean, (low, high), copied) in enumerate(
        zip(summary["reporting"], summary["intervals"], summary["copied"], strict=True)
    ):
        lines.append(f"| {number} | {mean:.3f} ({low:.3f}–{high:.3f}) | {copied:.0%} |")
    return "\n".join(lines)


def draw(rows: Sequence[dict[str, Any]], rounds: int, path: Path) -> None:
    """Reward on the reporting half by round, a line for each seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5, 3.2))
    for seed in dict.fromkeys(row["seed"] for row in rows):
        mine = [row for row in rows if row["seed"] == seed]
        axis.plot([row["round"] for row in mine], [row["reporting"] for row in mine], "o-", label=f"seed {seed}")
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
