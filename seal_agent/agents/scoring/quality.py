"""How well a scorer tells good steps from bad ones, on labels that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seal_agent.agents.scoring.labels import Label
from seal_agent.agents.scoring.scorer import ACCEPTED, Scorer
from seal_agent.seeds import derived_seed

_SHARES = 2**63


@dataclass(frozen=True, slots=True)
class ScorerQuality:
    """Precision, recall and F1 of accepting steps, 0..1, and on how many labels; `unscored` steps count as refused."""

    precision: float
    recall: float
    f1: float
    labels: int
    unscored: int = 0


def held_out_task(task: str, share: float, seed: int) -> bool:
    """Whether the labels of a task are held out from the scorer's training. A task's answer never changes."""
    return derived_seed(seed, "label", task) < share * _SHARES


def quality_of(scorer: Scorer, labels: Sequence[Label]) -> ScorerQuality | None:
    """A scorer's quality on labels; None without a good and a bad one among them."""
    if not any(label.good for label in labels) or all(label.good for label in labels):
        return None
    scores = scorer.score([label.attempt for label in labels])
    accepted = [score is not None and score >= ACCEPTED for score in scores]
    hits = sum(label.good and taken for label, taken in zip(labels, accepted, strict=True))
    good, taken = sum(label.good for label in labels), sum(accepted)
    precision, recall = hits / taken if taken else 0.0, hits / good
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return ScorerQuality(precision, recall, f1, len(labels), sum(score is None for score in scores))
