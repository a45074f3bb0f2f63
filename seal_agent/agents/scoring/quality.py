"""How well a scorer tells good steps from bad ones, on labels of tasks that it was not trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from seal_agent.agents.scoring.labels import Label
from seal_agent.agents.scoring.scorer import ACCEPTED, Scorer
from seal_agent.seeds import derived_seed

LEAST_TASKS = 3  # tasks with good labels, and tasks with bad ones, below which an F1 says nothing; not tuned
LEAST_LABELS = 6  # good labels, and bad ones: two steps of each of those tasks; not tuned

_DRAWS = 10_000  # of the bootstrap
_SHARES = 2**63


@dataclass(frozen=True, slots=True)
class ScorerQuality:
    """Precision, recall and F1 of accepting steps, 0..1, and on how many labels; `unscored` steps count as refused."""

    precision: float
    recall: float
    f1: float
    labels: int
    unscored: int = 0
    low: float | None = None
    """The 95 % bootstrap interval of the F1 over tasks; None in ledgers before this was measured."""
    high: float | None = None
    tasks: int = 0
    """Tasks with good labels, or with bad ones where those are fewer."""
    scarcest: int = 0
    """Good labels, or bad ones where those are fewer."""

    @property
    def is_enough(self) -> bool:
        """Whether enough labels of enough tasks were there to trust the F1."""
        return self.tasks >= LEAST_TASKS and self.scarcest >= LEAST_LABELS


def held_out_tasks(labels: Iterable[Label], share: float, seed: int) -> set[str]:
    """The tasks whose labels are held out from a scorer's training: a share of those with good labels, and of the rest.

    Of those with good labels at least LEAST_TASKS where that leaves as many to train on. Tasks come in the same order
    each time, so few change sides where others join them.
    """
    good = {label.task for label in labels if label.good}
    ranks = {label.task: derived_seed(seed, "label", label.task) for label in labels}
    solved = sorted(good, key=lambda task: (ranks[task], task))
    count = min(len(solved) // 2, max(round(share * len(solved)), LEAST_TASKS)) if share else 0
    return {*solved[:count], *(task for task, rank in ranks.items() if task not in good and rank < share * _SHARES)}


def quality_of(scorer: Scorer, labels: Sequence[Label]) -> ScorerQuality | None:
    """A scorer's quality on labels; None without a good and a bad one among them."""
    good, bad = ([label for label in labels if label.good is kind] for kind in (True, False))
    if not good or not bad:
        return None
    scores = scorer.score([label.attempt for label in labels])
    accepted = [score is not None and score >= ACCEPTED for score in scores]
    # hits, accepted and good labels of each task
    counts_T3 = _by_task(labels, accepted)
    hits, taken, _ = counts_T3.sum(axis=0)
    low, high = _interval(counts_T3)
    return ScorerQuality(
        precision=float(hits / taken) if taken else 0.0,
        recall=float(hits / len(good)),
        f1=float(_f1(counts_T3.sum(axis=0))),
        labels=len(labels),
        unscored=sum(score is None for score in scores),
        low=low,
        high=high,
        tasks=min(len({label.task for label in some}) for some in (good, bad)),
        scarcest=min(len(good), len(bad)),
    )


def _by_task(labels: Sequence[Label], accepted: Sequence[bool]) -> np.ndarray:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for label, taken in zip(labels, accepted, strict=True):
        for i, value in enumerate((label.good and taken, taken, label.good)):
            counts[label.task][i] += value
    return np.array([counts[task] for task in sorted(counts)])


def _f1(counts: np.ndarray) -> np.ndarray:
    """2 x hits / (accepted + good), in the last dimension; 0 where there is neither."""
    hits, taken, good = np.moveaxis(counts, -1, 0)
    f1: np.ndarray = 2 * hits / np.maximum(taken + good, 1)
    return f1


def _interval(counts_T3: np.ndarray) -> tuple[float, float]:
    """The 95 % bootstrap interval of the F1, with tasks drawn with replacement."""
    picks_DT = np.random.default_rng(0).integers(0, len(counts_T3), (_DRAWS, len(counts_T3)))
    low, high = np.quantile(_f1(counts_T3[picks_DT].sum(axis=1)), [0.025, 0.975])
    return float(low), float(high)
