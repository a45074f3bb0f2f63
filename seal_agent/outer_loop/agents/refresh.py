"""Refreshing the scorer: labels from all rollouts so far, training, and its quality on labels that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seal_agent.agents.scoring.labels import Label, balanced, corrupted, hard_negatives, labels_of, picked
from seal_agent.agents.scoring.learnt import LearntScorer, train_scorer
from seal_agent.agents.scoring.quality import ScorerQuality, held_out_tasks, quality_of
from seal_agent.agents.scoring.scorer import Scorer
from seal_agent.agents.trajectories.rollout import Rollout
from seal_agent.config import AgentLoopConfig
from seal_agent.outer_loop.agents.rounds import ScorerReport
from seal_agent.outer_loop.agents.units import ScorerChoice, Weights
from seal_agent.outer_loop.units import Worker
from seal_agent.progress import Progress
from seal_agent.store import files

SCORERS = "scorer"
"""The folder of a run's scorers."""

EXAMINED = 2  # times `scorer_labels`: bad steps that the last scorer is asked about, at most; not tuned


@dataclass(frozen=True, slots=True)
class RefreshedScorer:
    """What the ledger keeps of a refreshed scorer, and its weights."""

    report: ScorerReport
    weights: Weights


@dataclass(frozen=True, slots=True)
class Refresher:
    """Trains scorers of a run, or only measures one that is not trained."""

    worker: Worker
    choice: ScorerChoice
    config: AgentLoopConfig
    folder: Path
    """The run's."""

    @property
    def report_type(self) -> type[ScorerReport]:
        return ScorerReport

    def refresh(self, rollouts: Sequence[Rollout], last: Weights, progress: Progress) -> ScorerReport:
        """Train a scorer on the labels of most tasks, and measure it on those of the others."""
        config = self.config
        if self.choice.kind == "none":
            return ScorerReport("none")
        labels = [*labels_of(rollouts, config.tries), *corrupted(rollouts, config.seed)]
        held_out = held_out_tasks(labels, config.held_out_labels, config.seed)
        held = [label for label in labels if label.task in held_out]
        training = [label for label in labels if label.task not in held_out]
        measured = balanced(held, set(), config.bad_per_good, config.scorer_labels, config.seed)
        if self.choice.kind == "judge":
            judge = self.choice.make(self.worker, last)
            return self._report(judge, measured, "", 0, 0) if judge else ScorerReport("none")
        if not any(each.good for each in training) or all(each.good for each in training):
            return ScorerReport("learnt", last.name)
        return self._trained(training, measured, last, progress)

    def _trained(
        self, labels: Sequence[Label], measured: Sequence[Label], last: Weights, progress: Progress
    ) -> ScorerReport:
        config, worker = self.config, self.worker
        examined = picked(labels, set(), len(labels), EXAMINED * config.scorer_labels, config.seed)
        hard = hard_negatives(examined, LearntScorer(worker.engine, last.adapter, worker.base)) if last.name else set()
        chosen = balanced(examined, hard, config.bad_per_good, config.scorer_labels, config.seed)
        adapter = train_scorer(worker.engine, worker.base, chosen, config.scorer, progress)
        name = files.save(adapter, worker.base.name, worker.base.identity, self.folder / SCORERS)
        scorer = LearntScorer(worker.engine, adapter, worker.base)
        return self._report(scorer, measured, name, len(chosen), len(hard))

    def _report(self, scorer: Scorer, measured: Sequence[Label], adapter: str, labels: int, hard: int) -> ScorerReport:
        quality: ScorerQuality | None = quality_of(scorer, measured)
        selects = quality is not None and quality.is_enough and quality.f1 >= self.config.least_f1
        return ScorerReport(scorer.name, adapter, labels, hard, quality, selects)

    def is_lost(self, report: ScorerReport) -> bool:
        """Whether a recorded scorer's weights are no longer there."""
        return bool(report.adapter) and not (self.folder / SCORERS / report.adapter).is_dir()

    def load(self, report: ScorerReport) -> RefreshedScorer:
        """The scorer with its weights."""
        if not report.adapter:
            return RefreshedScorer(report, Weights())
        adapter = files.load(self.folder / SCORERS / report.adapter, self.worker.base.identity)
        return RefreshedScorer(report, Weights(report.adapter, adapter))
