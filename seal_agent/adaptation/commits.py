"""From proposals to revisions: trained side by side, judged together, recorded one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial

from seal_agent.adaptation.adapt import TrainedProposal, Trainer, Work, settings_json
from seal_agent.adaptation.gate.approval import Approve
from seal_agent.adaptation.gate.judgement import Judgement
from seal_agent.adaptation.judging import AnyGate, Pending, judge, stands, with_approval
from seal_agent.config import InnerLoopConfig, recorded_settings
from seal_agent.errors import AdapterError, TrainingError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import StageClock, StageProgress, shares_of
from seal_agent.store import budget, files
from seal_agent.store.ledger import Ledger
from seal_agent.store.loaded import LoadedAdapters
from seal_agent.types import Proposal, Revision, content_hash


@dataclass(frozen=True, slots=True)
class Commits:
    """What a model's commits need of it: the trainer, the ledger, and its adapters in memory and on disk."""

    trainer: Trainer
    ledger: Ledger
    loaded: LoadedAdapters
    weights_of: Callable[[str], LoraAdapter]
    """The weights of a revision by its id; raises AdapterError where they cannot be read."""
    claim: Callable[[str], None]
    """Called with the full name of an adapter that is about to be recorded."""
    trajectories: tuple[str, ...] = ()
    """Ids of the trajectories that the proposals teach."""

    def commit(
        self,
        proposals: Sequence[Proposal],
        config: InnerLoopConfig,
        gate: AnyGate,
        approve: Approve | None,
        metadata: tuple[tuple[str, str], ...],
        progress: StageProgress | None,
    ) -> list[Revision | TrainingError]:
        """The revisions of proposals for different adapters, in their order; an error in place of what failed.

        A proposal that was committed before, under the same settings, gives the revision of then.
        """
        clock = StageClock(progress)
        keys = [content_hash([proposal.id, recorded_settings(asdict(config))]) for proposal in proposals]
        results: dict[int, Revision | TrainingError] = {}
        with ExitStack() as locks:
            for name in sorted(proposal.adapter for proposal in proposals):  # in one order: nobody waits in a circle
                locks.enter_context(self.ledger.only_writer_of(name))
            for i, (proposal, key) in enumerate(zip(proposals, keys, strict=True)):
                if known := self._committed(proposal, key, gate, approve):
                    results[i] = known
            new = [i for i in range(len(proposals)) if i not in results]
            candidates = self._candidates([proposals[i] for i in new], config, gate, clock)
            shared = shares_of(clock.stages, len(new))
            for i, candidate in zip(new, candidates, strict=True):
                if isinstance(candidate, TrainingError):
                    results[i] = candidate
                else:
                    own = StageClock(progress, (*proposals[i].stages, *shared))
                    results[i] = self._decide(*candidate, keys[i], approve, metadata, own)
        return [results[i] for i in range(len(proposals))]

    def _candidates(
        self, proposals: Sequence[Proposal], config: InnerLoopConfig, gate: AnyGate, clock: StageClock
    ) -> list[tuple[TrainedProposal, Judgement, str | None] | TrainingError]:
        """Train side by side, in memory only, and judge what was trained; with the parent that each started from."""
        if not proposals:
            return []
        with budget.spend(self.ledger, [proposal.adapter for proposal in proposals]) as runs:
            trained = self._train_each(proposals, config, clock)
            judged = iter(judge(self.trainer, [each for each in trained if isinstance(each, Pending)], gate, clock))
            results = [
                each
                if isinstance(each, TrainingError)
                else (*next(judged), each.lineage[0].id if each.lineage else None)
                for each in trained
            ]
            for run, result in zip(runs, results, strict=True):
                run.tokens = 0 if isinstance(result, TrainingError) else result[0].summary.tokens
        return results

    def _decide(
        self,
        trained: TrainedProposal,
        judgement: Judgement,
        parent: str | None,
        key: str,
        approve: Approve | None,
        metadata: tuple[tuple[str, str], ...],
        clock: StageClock,
    ) -> Revision:
        """Ask for approval where it is wanted, and record what became of a candidate."""

        def revision(judgement: Judgement, folder: str = "") -> Revision:
            return trained.revision(key, parent, folder, judgement, metadata, clock.stages)

        def candidate(judgement: Judgement) -> Revision:
            base = self.trainer.base
            shown = revision(judgement, files.folder_name(trained.adapter, base.name, base.identity))
            return replace(shown, id=self.ledger.free_id(shown.id))

        judgement = with_approval(judgement, approve, candidate)
        return self._record(trained, key, parent, partial(revision, judgement), clock)

    def _committed(self, proposal: Proposal, key: str, gate: AnyGate, approve: Approve | None) -> Revision | None:
        """The revision of an earlier commit of this proposal, if it is in use, or this gate would say the same of it.

        One that was accepted and rolled back is made active again, unless its text is untrusted or somebody has to be
        asked.
        """
        lineage = {revision.id for revision in self.ledger.lineage(proposal.adapter)}
        for revision in self.ledger.find(proposal.adapter, key):
            if revision.id in lineage:
                return revision
            if (
                revision.parent == self.ledger.active(proposal.adapter)
                and (approve is None or not revision.accepted)
                and stands(revision, gate)
                and self._is_whole(revision)
                and (not revision.accepted or self.ledger.activate(proposal.adapter, revision.id, onto=revision.parent))
            ):
                return revision
        return None

    def _is_whole(self, revision: Revision) -> bool:
        """Whether a revision's weights can be read; damaged ones are trained again."""
        try:
            return bool(self.weights_of(revision.id).pairs)
        except AdapterError:
            return False

    def _train_each(
        self, proposals: Sequence[Proposal], config: InnerLoopConfig, clock: StageClock
    ) -> list[Pending | TrainingError]:
        """Train candidates side by side, in memory only."""
        works = []
        for proposal in proposals:
            lineage = tuple(self.ledger.lineage(proposal.adapter))
            works.append(Work(proposal, self.weights_of(lineage[0].id) if lineage else None, lineage))
        return [
            trained if isinstance(trained, TrainingError) else Pending(trained, work.start, work.earlier)
            for work, trained in zip(works, self.trainer.train_each(works, config, clock), strict=True)
        ]

    def _record(
        self,
        trained: TrainedProposal,
        key: str,
        parent: str | None,
        revision: Callable[[str], Revision],
        clock: StageClock,
    ) -> Revision:
        """Save the weights, then write the revision down."""
        with self.ledger.only_writer_of_folders():
            with clock.stage("save"):
                base, recipe = self.trainer.base, settings_json(trained.config)
                folder = files.save(trained.adapter, base.name, base.identity, self.ledger.adapters_folder, recipe)
            self.claim(trained.proposal.adapter)
            recorded = self.ledger.record(revision(folder), key, folder, onto=parent, learnt=self.trajectories)
        self.loaded[recorded.id] = trained.adapter
        return recorded
