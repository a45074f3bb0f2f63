"""The archive: every recipe that was tried, where it comes from, and what it reached on which passage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Literal

from seal_agent.adaptation.provenance import recipe_key
from seal_agent.config import Recipe
from seal_agent.outer_loop.report.interval import Estimate, student_estimate
from seal_agent.outer_loop.tuning.clades import Node
from seal_agent.outer_loop.tuning.settings import Change

Kind = Literal["named", "proposed", "stepped", "crossed"]
"""How a candidate came to be: a recipe with a name, or a child by one of three mutations."""


@dataclass(frozen=True, slots=True)
class PassageScore:
    """What one adapter reached on one passage.

    `accuracy` is the share of its questions that it answers: 0 where nothing could be trained, None where no answer
    could be graded, with the reason in `failure`. `harm` is by how much texts about other things became more
    perplexing, as a share. `tokens` were trained on.
    """

    passage: str
    accuracy: float | None
    harm: float = 0.0
    tokens: int = 0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe in the archive. The first of its `parents` is the one whose settings it changes."""

    id: str
    recipe: Recipe
    kind: Kind
    name: str = ""
    parents: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    step: int = 0

    @classmethod
    def named(cls, name: str, recipe: Recipe) -> Candidate:
        return cls(recipe_key(recipe), recipe, "named", name)

    @property
    def parent(self) -> str | None:
        return self.parents[0] if self.parents else None

    @property
    def label(self) -> str:
        return self.name or self.id


class Archive:
    """Candidates in the order in which they came, with their scores.

    Args:
        max_harm: A passage on which the harm is greater is lost, whatever was answered.
    """

    def __init__(self, max_harm: float) -> None:
        self.max_harm = max_harm
        self._candidates: dict[str, Candidate] = {}
        self._scores: dict[str, dict[str, PassageScore]] = {}
        self._left: dict[str, str] = {}
        self.failed_mutations: Counter[Kind] = Counter()
        """Mutations that gave no new recipe that can be used."""

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._candidates.values())

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, name: str) -> bool:
        return name in self._candidates

    def __getitem__(self, name: str) -> Candidate:
        return self._candidates[name]

    # ------------------------------------------------------------ growing

    def add(self, candidate: Candidate) -> None:
        self._candidates[candidate.id] = candidate
        self._scores[candidate.id] = {}

    def drop(self, name: str) -> None:
        """Take out a candidate that nothing came of."""
        del self._candidates[name], self._scores[name]

    def record(self, name: str, scores: Iterable[PassageScore]) -> None:
        self._scores[name].update((score.passage, score) for score in scores)

    def leave(self, name: str, reason: str) -> None:
        """Measure a candidate no further; it stays in the archive."""
        self._left[name] = reason

    # ------------------------------------------------------------ reading

    def scores(self, name: str) -> tuple[PassageScore, ...]:
        return tuple(self._scores[name].values())

    def left(self, name: str) -> str:
        """Why a candidate is measured no further; "" where it may be."""
        return self._left.get(name, "")

    def accuracies(self, name: str) -> dict[str, float]:
        """Accuracy by passage, without those that could not be graded; 0 where nothing could be trained."""
        return {s.passage: s.accuracy for s in self._scores[name].values() if s.accuracy is not None}

    def accuracy(self, name: str) -> Estimate | None:
        """The mean with its interval, within what a share can be."""
        mean = student_estimate(list(self.accuracies(name).values()))
        return replace(mean, low=max(0.0, mean.low), high=min(1.0, mean.high)) if mean else None

    def harm(self, name: str) -> float | None:
        """Mean over the passages that were learnt."""
        harms = [score.harm for score in self._learnt(name)]
        return fmean(harms) if harms else None

    def tokens(self, name: str) -> float | None:
        """Mean number of tokens trained on for a passage."""
        tokens = [score.tokens for score in self._learnt(name)]
        return fmean(tokens) if tokens else None

    def _learnt(self, name: str) -> list[PassageScore]:
        """The scores of the passages that an adapter was trained on and asked about."""
        return [score for score in self._scores[name].values() if score.accuracy is not None and not score.failure]

    def gain(self, name: str, over: str) -> list[float]:
        """Differences of accuracy from another candidate on the passages of both that were graded."""
        own, others = self.accuracies(name), self.accuracies(over)
        return [own[passage] - others[passage] for passage in own if passage in others]

    def compared(self, name: str, other: str) -> Estimate | None:
        """The mean of `gain` with its interval; None where they share no passage."""
        return student_estimate(self.gain(name, other))

    def is_viable(self, name: str) -> bool:
        """Whether a candidate learns something, and does not do more harm than is allowed."""
        harm = self.harm(name)
        return harm is not None and harm <= self.max_harm and any(self.accuracies(name).values())

    def viable(self) -> list[str]:
        return [name for name in self._candidates if self.is_viable(name)]

    def trained(self) -> list[str]:
        """Those of which an adapter was trained and asked, viable or not."""
        return [name for name in self._candidates if self._learnt(name)]

    def measured(self) -> list[str]:
        """Those that have a score: others may be taken out again."""
        return [name for name, scores in self._scores.items() if scores]

    def node(self, name: str) -> Node:
        """A candidate with its wins and losses: a passage counts once, its share of right answers as a win."""
        known = [score for score in self._scores[name].values() if score.accuracy is not None]
        wins = sum(score.accuracy or 0.0 for score in known if score.harm <= self.max_harm)
        return Node(name, self[name].parent, wins, len(known) - wins)

    def nodes(self) -> list[Node]:
        return [self.node(name) for name in self._candidates]

    def passages_measured(self) -> int:
        """Over all candidates."""
        return sum(map(len, self._scores.values()))

    def children(self, name: str) -> list[Candidate]:
        return [candidate for candidate in self if candidate.parent == name]

    def as_json(self) -> list[dict[str, Any]]:
        """Everything but durations: two runs with the same results have the same archive."""
        return [
            {
                "id": candidate.id,
                "name": candidate.name,
                "kind": candidate.kind,
                "parents": list(candidate.parents),
                "changes": [str(change) for change in candidate.changes],
                "step": candidate.step,
                "scores": [[s.passage, s.accuracy, s.harm, s.tokens, s.failure] for s in self.scores(candidate.id)],
                "left": self.left(candidate.id),
            }
            for candidate in self
        ]


def success_of(archive: Archive, kind: Kind) -> tuple[int, int]:
    """How many children of a kind did better than their parent on the passages that both learnt, and how many not."""
    gains = [
        archive.gain(candidate.id, candidate.parent)
        for candidate in archive
        if candidate.kind == kind and candidate.parent and archive.scores(candidate.id)
    ]
    better = sum(bool(gain) and fmean(gain) > 0 for gain in gains)
    return better, len(gains) - better + archive.failed_mutations[kind]


def descendants(archive: Archive, name: str) -> Sequence[Candidate]:
    """All that come of a candidate, itself not included."""
    found: list[Candidate] = []
    for child in archive.children(name):
        found += [child, *descendants(archive, child.id)]
    return found
