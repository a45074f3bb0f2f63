"""A reward without labels: how far an adapted model agrees with itself on its own questions.

After self-rewarding training (Shafayat et al., 2025, arXiv 2505.21444): several answers are sampled, and the share of
the largest group of equal answers stands for accuracy. A model that always says the same fools this reward; collapse.py
watches for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.grading.grader import Grader
from seal_agent.outer_loop.rewards.reward import RewardInput, not_trained
from seal_agent.types import Outcome, Reward, Verdict


@dataclass(frozen=True)
class MajorityVoteReward:
    """Mean agreement of the adapted model's samples on its own questions, minus the base model's."""

    grader: Grader
    samples: int = 8
    name: str = "votes"
    trains: bool = True

    def score(self, inputs: Sequence[RewardInput]) -> list[Outcome]:
        """One outcome for each input, in order."""
        return [self._outcome(entry) for entry in inputs]

    def _outcome(self, entry: RewardInput) -> Outcome:
        if entry.tried is None or entry.tried.answers is None or entry.baseline is None:
            return not_trained(entry)
        if not entry.case.own:
            return Outcome.failed("asking", "the model found no question of its own about this context")
        adapted, baseline = (
            fmean(max(groups(row, self.grader)) / len(row) for row in answers.samples)
            for answers in (entry.tried.answers, entry.baseline)
        )
        return Outcome(Reward(adapted, baseline))


def groups(answers: Sequence[str], grader: Grader) -> list[int]:
    """Sizes of the groups of equal answers. Each group is known by its first answer; an empty answer stands alone."""
    first_answers: list[str] = []
    sizes: list[int] = []
    for answer in answers:
        matches = (
            i
            for i, first in enumerate(first_answers)
            if first and grader.grade("", (first,), answer) is Verdict.CORRECT
        )
        match = next(matches, None)
        if match is None:
            first_answers.append(answer)
            sizes.append(1)
        else:
            sizes[match] += 1
    return sizes


def mean_entropy(samples: Sequence[Sequence[str]], grader: Grader) -> float:
    """Mean entropy over questions of the groups of equal answers, in nats: 0 where all answers are equal.

    `samples` has one row of answers per question.
    """
    return fmean(_entropy(groups(row, grader)) for row in samples)


def _entropy(sizes: Sequence[int]) -> float:
    total = sum(sizes)
    return -sum(size / total * math.log(size / total) for size in sizes)
