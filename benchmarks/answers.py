"""What does the default recipe answer, in how many words, and does it know what it never learnt?

    python benchmarks/answers.py --squad squad.jsonl
    python benchmarks/answers.py --squad squad.jsonl --model gemma-3-270m.gguf --squad-passages 24 36 \\
        --novel-passages 24 36 --out benchmarks/results/answers_gemma.json

The passages are those that the search for the default recipe has not seen, in its shuffled order; neither the recipe
nor the thresholds were chosen on them. Each is learnt on its own and asked its questions twice: as the adapter itself
answers, and in a few words. Beside it stand the base model, the model with the passage in its prompt, and the paper's
passage-only protocol.

Each adapter is also asked what it never learnt: questions of other passages under the same title, of other titles, and
of general knowledge. The area under the ROC curve says how well `Reply.confidence` tells them from the passage's own.

A stopped run resumes where it was. Rows keep all that an adapter recalled, so that `--reread` makes the short answers
anew with another reader or other thresholds, and nothing is trained again. `--adapters` keeps the trained adapters.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from parts import answer_report as report
from parts import results_file
from parts.answer_bench import Bench
from parts.answer_recipes import DEFAULT, REFERENCES
from parts.answer_rows import EXPLORED, NOVEL, PLAIN, SHORT, SQUAD, Measurements, Row

from seal_agent.answering.recall import Recalled, closed_book, recall_in_full
from seal_agent.answering.replies import reply_all
from seal_agent.config import PLAIN_ANSWERS, AnswerConfig
from seal_agent.errors import AdapterError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import read_peft, write_peft
from seal_agent.types import Answer, Context, Question

SAME_TITLE, OTHER, GENERAL = 6, 2, 2  # questions per passage that it does not answer
GENERAL_QUESTIONS = (
    "What is the capital of France?",
    "Who wrote Romeo and Juliet?",
    "What is 7 times 8?",
    "Why is the sky blue?",
    "How many days are in a week?",
    "What is the largest planet in the solar system?",
    "When did World War II end?",
    "How do you boil an egg?",
    "Who painted the Mona Lisa?",
    "What language is spoken in Brazil?",
    "What do bees make?",
    "In which country is the Great Wall?",
)
NOT_LEARNT = "not_learnt"
"""Key of a row: questions that its passage does not answer."""
ANY = LoraAdapter(1, 1.0, {})
"""Stands for the adapter of a row whose recalled texts are known."""
KINDS = ("same_title", "other", "general")


class Answering(Measurements):
    """Measures the default recipe and the references, one passage after the other."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__(options)
        self.bench = Bench(self.model, self.seed)
        self.adapters: Path | None = options.adapters

    def learn(self, domain: str, number: int) -> tuple[LoraAdapter, dict[str, float]]:
        """The adapter that learnt this passage, kept or trained now, and the seconds that writing and training took."""
        folder = self.adapters and self.adapters / f"{domain}-{number}"
        if folder and (kept := self._kept(folder)):
            return kept
        adapter, seconds = self.bench.learn(DEFAULT, self.passages[domain][number])
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            write_peft(adapter, self.bench.base.name, self.bench.base.identity, folder)
            (folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
        return adapter, seconds

    def _kept(self, folder: Path) -> tuple[LoraAdapter, dict[str, float]] | None:
        try:
            adapter, made_for = read_peft(folder)
            seconds = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
        except (AdapterError, OSError):
            return None
        return (adapter, seconds) if self.bench.base.is_same_as(made_for) else None

    def ask(self, domain: str, number: int) -> None:
        """Add what the default recipe answers about a passage, and what it says to questions of others."""
        adapter, seconds = self.learn(domain, number)
        context = self.passages[domain][number]
        row: Row = dict(seconds)
        row[PLAIN] = self._answers(context, context.questions, adapter, PLAIN_ANSWERS, None)
        for name in (SHORT, NOT_LEARNT):
            questions = self._questions(name, domain, number)
            asked = [closed_book(context.title, question.text, adapter) for _, question in questions]
            row[name] = self._read(
                name,
                context,
                questions,
                recall_in_full(self.bench.engine, self.bench.base, asked, AnswerConfig().sampling()),
            )
        self.add(DEFAULT, domain, number, row)

    def read_again(self, domain: str, number: int) -> None:
        """Make the short answers of a row anew from what was recalled; the row says at which commit they were read."""
        (row,) = self.rows_of(DEFAULT, domain, number, number + 1)
        row["read_at"] = self.run["commit"]
        for name in (SHORT, NOT_LEARNT):
            known = [tuple(Recalled(**one) for one in answer["branches"]) for answer in row[name]]
            questions = self._questions(name, domain, number)
            row[name] = self._read(name, self.passages[domain][number], questions, known)

    def _read(
        self,
        name: str,
        context: Context,
        questions: Sequence[tuple[str, Question]],
        recalled: Sequence[tuple[Recalled, ...]],
    ) -> list[dict[str, Any]]:
        # Questions of others are answered from what the adapter recalls: their confidence is the figure.
        config = AnswerConfig() if name == SHORT else AnswerConfig(least_confidence=0.0)
        answers = self._answers(context, [question for _, question in questions], ANY, config, recalled)
        return [
            {**({"kind": kind} if kind else {}), **answer, "branches": [_rounded(one) for one in texts]}
            for (kind, _), answer, texts in zip(questions, answers, recalled, strict=True)
        ]

    def _answers(
        self,
        context: Context,
        questions: Sequence[Question],
        adapter: LoraAdapter,
        config: AnswerConfig,
        recalled: Sequence[tuple[Recalled, ...]] | None,
    ) -> list[dict[str, Any]]:
        grader = self.bench.grader
        asked = [closed_book(context.title, question.text, adapter) for question in questions]
        replies = reply_all(self.bench.engine, self.bench.base, asked, config, recalled=recalled)
        rows = []
        for question, reply in zip(questions, replies, strict=True):
            verdict = grader.grade(question.text, question.golds, reply.text)
            row = results_file.answer_row(Answer(question, reply.text, verdict), grader)
            if config.style != "plain":
                row["recalled"] = reply.recalled
                row["confidence"] = None if reply.confidence is None else round(reply.confidence, 4)
                if reply.recalled:
                    row["recalled_verdict"] = grader.grade(question.text, question.golds, reply.recalled).value
            rows.append(row)
        return rows

    def _questions(self, name: str, domain: str, number: int) -> list[tuple[str, Question]]:
        """The passage's own questions, or those that it does not answer, by kind."""
        if name == SHORT:
            return [("", question) for question in self.passages[domain][number].questions]
        return self._not_learnt(domain, number)

    def _not_learnt(self, domain: str, number: int) -> list[tuple[str, Question]]:
        """Questions that this passage does not answer, by kind, drawn from the seed."""
        draw = random.Random(f"{self.seed} {domain} {number}")
        context, passages = self.passages[domain][number], self.passages[domain]
        known = {gold.casefold() for question in context.questions for gold in question.golds}
        near = [q for c in passages if c.title == context.title and c is not context for q in c.questions]
        near = [q for q in near if not {gold.casefold() for gold in q.golds} & known]
        far = [q for c in passages if c.title != context.title for q in c.questions]
        general = [Question(text, ("—",)) for text in draw.sample(GENERAL_QUESTIONS, GENERAL)]
        same = draw.sample(near, min(SAME_TITLE, len(near)))
        return [
            *(("same_title", question) for question in same),
            *(("other", question) for question in draw.sample(far, OTHER)),
            *(("general", question) for question in general),
        ]


def _rounded(recalled: Recalled) -> dict[str, Any]:
    return {"text": recalled.text, "first": round(recalled.first, 5), "mean": round(recalled.mean, 5)}


def main() -> None:
    options = _options()
    answering = Answering(options)
    spans = {NOVEL: tuple(options.novel_passages), SQUAD: tuple(options.squad_passages)}
    spans = {domain: spans[domain] for domain in answering.passages}
    if options.train_only:
        for domain, span in spans.items():
            for number in range(*span):
                _, seconds = answering.learn(domain, number)
                print(f"{domain} {number}  {sum(seconds.values()):.0f} s", flush=True)
        return
    if options.reread:
        for domain, span in spans.items():
            for row in answering.rows_of(DEFAULT, domain, *span):
                answering.read_again(domain, row["passage"])
                answering.save()
    for domain, number in answering.missing(DEFAULT, spans):
        answering.ask(domain, number)
        for row in answering.rows_of(DEFAULT, domain, number, number + 1):
            short = results_file.accuracy(row[SHORT], "direct")
            print(f"{domain} {number}  {100 * short:.0f} % direct  {row['title']}", flush=True)
    for recipe in REFERENCES:
        for domain, number in answering.missing(recipe, spans):
            answering.add(recipe, domain, number, answering.bench.measure(recipe, answering.passages[domain][number]))
    summary = report.summarise(answering, spans)
    summary["confidence"] = _told_apart(answering.rows)
    answering.save(summary=summary)
    print("\n" + report.table(summary))
    for kind, figures in summary["confidence"].items():
        low, high = figures["interval"]
        print(f"learnt or not, {kind:10s}  AUROC {figures['auroc']:.3f} ({low:.3f}–{high:.3f})")


def _told_apart(rows: Sequence[Row]) -> dict[str, Any]:
    """Area under the ROC curve of the confidence, own questions against others, by kind; passages resampled."""
    rows = [row for row in rows if NOT_LEARNT in row]
    learnt = [[answer["confidence"] for answer in row[SHORT]] for row in rows]
    figures: dict[str, Any] = {}
    for kind in ("all", *KINDS):
        others = [[a["confidence"] for a in row[NOT_LEARNT] if kind in ("all", a["kind"])] for row in rows]
        if not any(others) or not any(learnt):
            continue
        draws = []
        for picks in results_file.group_resamples(range(len(rows))):
            above, below = ([v for i in picks for v in values[i]] for values in (learnt, others))
            if above and below:
                draws.append(results_file.auroc(above, below))
        draws.sort()
        figures[kind] = {
            "auroc": results_file.auroc([*chain(*learnt)], [*chain(*others)]),
            "interval": [draws[int(0.025 * len(draws))], draws[int(0.975 * len(draws))]],
            "questions": sum(map(len, learnt)) + sum(map(len, others)),
        }
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squad", type=Path, help="SQuAD passages as JSON lines; without it only the bundled passages")
    parser.add_argument("--squad-passages", type=int, nargs=2, default=[EXPLORED, 84], metavar=("FROM", "TO"))
    parser.add_argument("--novel-passages", type=int, nargs=2, default=[EXPLORED, 40], metavar=("FROM", "TO"))
    parser.add_argument("--adapters", type=Path, help="folder that keeps trained adapters, 40 MB each")
    parser.add_argument("--reread", action="store_true", help="make the short answers anew, from what was recalled")
    parser.add_argument("--train-only", action="store_true", help="with --adapters: train, and ask another time")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=results_file.RESULTS / "answers.json")
    options = parser.parse_args()
    if options.train_only and not options.adapters:
        parser.error("--train-only needs --adapters, where the adapters are kept")
    return options


if __name__ == "__main__":
    main()
