"""A reward without labels: how far an adapted model agrees with itself on questions of its own.

After self-rewarding training (Shafayat et al., 2025, arXiv 2505.21444): where answers are sampled several times, the
share of the largest group of equal answers stands for their being right. It can be fooled, by a model that always says
the same: collapse.py watches for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.grading.grader import Grader
from seal_agent.outer_loop.rewards.reward import Judged
from seal_agent.types import Outcome, Reward, Verdict


@dataclass(frozen=True)
class MajorityVoteReward:
    """Mean agreement of the adapted model's samples on its own questions, above the base model's."""

    grader: Grader
    samples: int = 8
    name: str = "votes"
    trains: bool = True

    def score(self, judged: Sequence[Judged]) -> list[Outcome]:
        return [self._one(one) for one in judged]

    def _one(self, one: Judged) -> Outcome:
        if one.tried is None or one.tried.answers is None or one.baseline is None:
            return Outcome.failed("training", one.tried.failure if one.tried else "it was not trained")
        if not one.case.own:
            return Outcome.failed("asking", "the model found no question of its own about this context")
        adapted, baseline = (
            fmean(max(groups(row, self.grader)) / len(row) for row in asked.samples)
            for asked in (one.tried.answers, one.baseline)
        )
        return Outcome(Reward(adapted, baseline))


def groups(answers: Sequence[str], grader: Grader) -> list[int]:
    """Sizes of the groups of answers that say the same, by the first of each; an empty answer agrees with none."""
    first: list[str] = []
    sizes: list[int] = []
    for answer in answers:
        same = (i for i, gold in enumerate(first) if gold and grader.grade("", (gold,), answer) is Verdict.CORRECT)
        at = next(same, None)
        if at is None:
            first.append(answer)
            sizes.append(1)
        else:
            sizes[at] += 1
    return sizes


def mean_entropy(samples: Sequence[Sequence[str]], grader: Grader) -> float:
    """Mean over questions of the entropy of the groups of equal answers, in nats: 0 where all say the same."""
    return fmean(_entropy(groups(row, grader)) for row in samples)


def _entropy(sizes: Sequence[int]) -> float:
    total = sum(sizes)
    return -sum(size / total * math.log(size / total) for size in sizes)
