"""A reward without labels: how far an adapted model agrees with itself on its own questions.

After self-rewarding training (Shafayat et al., 2025, arXiv 2505.21444): several answers are sampled, and the share of
the largest group of equal answers stands for accuracy. A model that always says the same fools this reward; collapse.py
watches for that. Two of the paper's remedies are options here: a fixed teacher, the base model, whose commonest answer
is what the adapted model has to agree with; and a curriculum of the questions on which the base model agrees most.

Answers are compared by their words, whoever grades a run's questions: a round has tens of thousands of pairs of
answers, which no judge should be paid for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean

from seal_agent.errors import InputError
from seal_agent.grading.grader import Grader
from seal_agent.grading.graders import default_grader
from seal_agent.outer_loop.rewards.reward import RewardInput, not_trained
from seal_agent.text.words import words_of
from seal_agent.types import Outcome, Reward, Verdict

TEACHERS = ("itself", "base")
"""Whose commonest answer counts as right: the adapted model's own, or the base model's, which never changes."""


@dataclass(frozen=True)
class MajorityVoteReward:
    """Mean agreement of the adapted model's samples on its own questions, minus the base model's.

    `curriculum` is the share of a context's own questions that count: those on which the base model agrees most.
    """

    grader: Grader = field(default_factory=default_grader)
    """Tells which answers are equal."""
    samples: int = 8
    teacher: str = "itself"
    curriculum: float = 1.0
    name: str = "votes"
    trains: bool = True

    def __post_init__(self) -> None:
        check_votes(self.teacher, self.curriculum)

    @property
    def options(self) -> dict[str, str]:
        """The settings that differ from the defaults, for a run's manifest."""
        teacher = {"teacher": self.teacher} if self.teacher != "itself" else {}
        return teacher | ({"curriculum": f"{self.curriculum:g}"} if self.curriculum != 1 else {})

    def score(self, inputs: Sequence[RewardInput]) -> list[Outcome]:
        """One outcome for each input, in order."""
        return [self._outcome(entry) for entry in inputs]

    def _outcome(self, entry: RewardInput) -> Outcome:
        if entry.tried is None or entry.tried.answers is None or entry.baseline is None:
            return not_trained(entry)
        if not entry.case.own:
            return Outcome.failed("asking", "the model found no question of its own about this context")
        rows = list(zip(entry.baseline.samples, entry.tried.answers.samples, strict=True))
        agreed = [agreement(base, self.grader) for base, _ in rows]
        count = math.ceil(self.curriculum * len(rows))
        chosen = sorted(range(len(rows)), key=lambda i: -agreed[i])[:count]
        adapted = fmean(self._adapted(*rows[i]) for i in chosen)
        return Outcome(Reward(adapted, fmean(agreed[i] for i in chosen)))

    def _adapted(self, base: Sequence[str], adapted: Sequence[str]) -> float:
        """The share of an adapted model's answers that agree with the teacher."""
        if self.teacher == "itself":
            return agreement(adapted, self.grader)
        right = commonest(base, self.grader)
        agreeing = (bool(right) and self.grader.grade("", (right,), answer) is Verdict.CORRECT for answer in adapted)
        return fmean(agreeing)


def check_votes(teacher: str, curriculum: float) -> None:
    """Raises InputError for an unknown teacher, or a curriculum that is no share."""
    if teacher not in TEACHERS:
        raise InputError(f"there is no teacher {teacher!r}; use {' or '.join(TEACHERS)}")
    if not 0 < curriculum <= 1:
        raise InputError(f"a curriculum is a share of the questions above 0 and at most 1, but it is {curriculum:g}")


def agreement(answers: Sequence[str], grader: Grader) -> float:
    """The share of the largest group of equal answers."""
    return max(groups(answers, grader)) / len(answers)


def commonest(answers: Sequence[str], grader: Grader) -> str:
    """The first answer of the largest group of equal answers."""
    firsts, sizes = _grouped(answers, grader)
    return firsts[sizes.index(max(sizes))]


def groups(answers: Sequence[str], grader: Grader) -> list[int]:
    """Sizes of the groups of equal answers. Each group is known by its first answer; an empty answer stands alone."""
    return _grouped(answers, grader)[1]


def mean_entropy(samples: Sequence[Sequence[str]], grader: Grader) -> float:
    """Mean entropy over questions of the groups of equal answers, in nats: 0 where all answers are equal.

    `samples` has one row of answers per question.
    """
    return fmean(_entropy(groups(row, grader)) for row in samples)


MIN_QUESTIONS = 4  # of fewer, one answer may well be the commonest of most


def diversity_across(samples: Sequence[Sequence[str]], questions: int, grader: Grader) -> float | None:
    """1 less the share of rows whose commonest answer is the commonest of all: near 0 where one answer wins everywhere.

    None for fewer than MIN_QUESTIONS different questions. The commonest of all is found by its words, and each other
    answer is compared with that one alone, as a round has thousands.

    Args:
        samples: A row of answers for each question of each adapter.
        questions: How many different questions they answer.
    """
    if questions < MIN_QUESTIONS or not samples:
        return None
    winners = [commonest(row, grader) for row in samples]
    counts: Counter[tuple[str, ...]] = Counter()
    texts: dict[tuple[str, ...], str] = {}
    for answer in winners:
        if words := words_of(answer):
            counts[words] += 1
            texts.setdefault(words, answer)
    if not counts:
        return 1 - 1 / len(winners)  # saying nothing everywhere is no agreement
    most = max(counts, key=lambda words: counts[words])
    alike = [
        count
        for words, count in counts.items()
        if words == most or grader.grade("", (texts[most],), texts[words]) is Verdict.CORRECT
    ]
    return 1 - sum(alike) / len(winners)


def _grouped(answers: Sequence[str], grader: Grader) -> tuple[list[str], list[int]]:
    """The first answer of each group, and the groups' sizes."""
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
    return first_answers, sizes


def _entropy(sizes: Sequence[int]) -> float:
    total = sum(sizes)
    return -sum(size / total * math.log(size / total) for size in sizes)
