"""A local model as grader: is "yes" likelier than "no"?"""

from __future__ import annotations

import json
from collections.abc import Sequence

from seal_agent.generation.engine import Engine
from seal_agent.grading.grader import GradingItem
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Message, Verdict


class ModelJudge:
    """Asks a local model whether an answer says what a gold answer says. Implements BatchGrader.

    An answer is correct if the log-probability of "yes" exceeds that of "no" by more than `threshold` nats. A small
    model is biased towards one of the two: `benchmarks/graders.py --model` shows how reliable its verdicts are and
    which threshold fits it.
    """

    def __init__(self, engine: Engine, adapter: LoraAdapter | None = None, threshold: float = 0.0) -> None:
        self.engine, self.adapter, self.threshold = engine, adapter, threshold
        self._template = load_prompt("judge")

    def grade(self, question: str, golds: Sequence[str], answer: str) -> Verdict:
        return self.grade_all([(question, golds, answer)])[0]

    def grade_all(self, items: Sequence[GradingItem]) -> list[Verdict]:
        """Verdicts on (question, golds, answer) in order, in batches."""
        gradable = [
            i for i, (_, golds, answer) in enumerate(items) if answer.strip() and any(gold.strip() for gold in golds)
        ]
        margins = dict(zip(gradable, self.margins([items[i] for i in gradable]), strict=True))
        return [self._verdict(margins.get(i), golds) for i, (_, golds, _) in enumerate(items)]

    def margins(self, items: Sequence[GradingItem]) -> list[float]:
        """How much likelier "yes" is than "no" for each (question, golds, answer), in nats."""
        prompts = [(Message("user", self._prompt(*item)),) for item in items for _ in range(2)]
        scores = self.engine.score(prompts, ["yes", "no"] * len(items), [self.adapter] * len(prompts))
        totals = [sum(token_scores) for token_scores in scores]
        return [yes - no for yes, no in zip(totals[::2], totals[1::2], strict=True)]

    def _verdict(self, margin: float | None, golds: Sequence[str]) -> Verdict:
        if margin is None:
            return Verdict.WRONG if any(gold.strip() for gold in golds) else Verdict.UNGRADED
        return Verdict.CORRECT if margin > self.threshold else Verdict.WRONG

    def _prompt(self, question: str, golds: Sequence[str], answer: str) -> str:
        return fill(self._template, question=question, golds=json.dumps(list(golds), ensure_ascii=False), answer=answer)
