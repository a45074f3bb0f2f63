"""The stages of a round. Finished work is read from the run's ledger; the rest is done and recorded there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol

from seal_agent.config import OuterLoopConfig, recorded_settings
from seal_agent.grading.graders import default_grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.domains.domain import Domain
from seal_agent.outer_loop.executors.executor import Executor
from seal_agent.outer_loop.policy import divergence, finetune, load_policy, mark_last, save_policy
from seal_agent.outer_loop.regrading import regraded
from seal_agent.outer_loop.rewards.reward import RewardInput, RewardModel, gains
from seal_agent.outer_loop.rewards.votes import diversity_across, mean_entropy
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.scoring import result_of_trials, result_without_training
from seal_agent.outer_loop.selection import mean_gain, select
from seal_agent.outer_loop.units import Case, CaseResult, Trial, Unit, UnitResult, Worker
from seal_agent.seeds import derived_seed
from seal_agent.store.policies import POLICIES, text_hash
from seal_agent.types import Outcome, Question, SelfEdit, content_hash


class RoundProgress(Protocol):
    """A progress callback: how far a stage of a round is, and the rewards of the self-edits' adapters so far."""

    def __call__(self, round_: int, stage: str, done: int, total: int, rewards: Sequence[float] = ()) -> None: ...


def no_progress(round_: int, stage: str, done: int, total: int, rewards: Sequence[float] = ()) -> None:
    """Reports nothing."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A policy's name, weights, and hashes of the texts it learnt from; the defaults stand for the base model."""

    name: str = ""
    adapter: LoraAdapter | None = None
    contexts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ContextTrials:
    """Results of one context: trained alone, and on its self-edits; None where the reward trains nothing."""

    alone: CaseResult | None
    edits: CaseResult | None


# What the ledger keeps of each stage.


@dataclass(frozen=True, slots=True)
class _Proposed:
    edits: tuple[tuple[SelfEdit, ...], ...]


@dataclass(frozen=True, slots=True)
class _OwnQuestions:
    questions: tuple[tuple[Question, ...], ...]


@dataclass(frozen=True, slots=True)
class _Outcomes:
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class _Finetuned:
    policy: str
    losses: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Figures:
    """As in RoundResult."""

    vote_entropy: float
    answer_diversity: float | None
    policy_kl: float | None


class Stages:
    """The stages that `rest_em` calls, in its order."""

    def __init__(
        self,
        domain: Domain[Any],
        reward: RewardModel,
        config: OuterLoopConfig,
        worker: Worker,
        executor: Executor,
        run: Run,
        progress: RoundProgress = no_progress,
    ) -> None:
        self.domain, self.reward, self.config = domain, reward, config
        self.worker, self.executor, self.run, self.progress = worker, executor, run, progress

    def cases(self, round_: int) -> list[Case[Any]]:
        """The round's contexts and questions; with the model's own questions where the reward needs them."""
        config = self.config
        skip = round_ * config.contexts if config.fresh_contexts else 0
        cases = self.domain.cases(self.worker, self.domain.items(config.contexts, skip, config.seed), config.seed)
        if not self.reward.samples:
            return list(cases)
        own: list[tuple[Question, ...]] = []

        def write(chunk: Sequence[Case[Any]]) -> _OwnQuestions:
            return _OwnQuestions(self.domain.own_questions(self.worker, chunk, config.seed))

        for chunk in self._chunks(cases):
            facts = [asdict(case) for case in chunk]
            own += self.run.recorded("own questions", round_, facts, _OwnQuestions, partial(write, chunk)).questions
            self.progress(round_, "own questions", len(own), len(cases))
        return [replace(case, own=questions) for case, questions in zip(cases, own, strict=True)]

    def propose(self, round_: int, cases: Sequence[Case[Any]], policy: PolicyVersion) -> list[tuple[SelfEdit, ...]]:
        """`config.edits` self-edits for each context, sampled from the policy."""
        seed, edits = derived_seed(self.config.seed, "round", round_), list[tuple[SelfEdit, ...]]()

        def write(chunk: Sequence[Case[Any]], start: int, chunk_seed: int) -> _Proposed:
            return _Proposed(
                self.domain.propose(
                    self.worker,
                    chunk,
                    self.config.edits,
                    writer=policy.adapter,
                    seed=chunk_seed,
                    progress=lambda done, total: self.progress(
                        round_, "propose", start + len(chunk) * done // max(total, 1), len(cases)
                    ),
                )
            )

        for chunk in self._chunks(cases):
            start = len(edits)
            self.progress(round_, "propose", start, len(cases))
            chunk_seed = derived_seed(seed, "chunk", start)
            facts = [policy.name, [asdict(case) for case in chunk], chunk_seed]
            edits += self.run.recorded(
                "propose", round_, facts, _Proposed, partial(write, chunk, start, chunk_seed)
            ).edits
            self.progress(round_, "propose", len(edits), len(cases))
        return edits

    def evaluate(
        self, round_: int, cases: Sequence[Case[Any]], self_edits: Sequence[tuple[SelfEdit, ...]]
    ) -> list[ContextTrials]:
        """Train and question one adapter per seed of every self-edit, and per seed of every context alone."""
        if not self.reward.trains:
            return [ContextTrials(None, None)] * len(cases)
        seeds = range(self.config.seeds)
        alone = [replace(case, trials=tuple(Trial(None, seed) for seed in seeds)) for case in cases]
        with_edits = [
            replace(case, trials=tuple(Trial(edit, seed) for edit in edits for seed in seeds))
            for case, edits in zip(cases, self_edits, strict=True)
        ]
        units = [self._unit(chunk) for batch in (alone, with_edits) for chunk in self._chunks(batch)]
        results = [case for unit in self._unit_results(round_, units) for case in unit.cases]
        return [ContextTrials(*pair) for pair in zip(results[: len(cases)], results[len(cases) :], strict=True)]

    def score(
        self,
        round_: int,
        cases: Sequence[Case[Any]],
        self_edits: Sequence[tuple[SelfEdit, ...]],
        trials: Sequence[ContextTrials],
    ) -> list[ContextResult]:
        """The rewards of every self-edit, and of every context alone."""
        return [
            self._context_result(round_, case, edits, context)
            for case, edits, context in zip(cases, self_edits, trials, strict=True)
        ]

    def select(self, scored: Sequence[ContextResult]) -> list[ContextResult]:
        """The same results, with the best self-edits of each context marked as kept."""
        selected = []
        for context in scored:
            floor = mean_gain(context.alone)
            winners = select(context.scored, floor if floor is not None else 0.0, self.config.keep)
            kept = tuple(next(i for i, edit in enumerate(context.scored) if edit is winner) for winner in winners)
            selected.append(replace(context, kept=kept))
        return selected

    def measured(
        self, round_: int, selected: Sequence[ContextResult], trials: Sequence[ContextTrials], policy: PolicyVersion
    ) -> RoundResult:
        """The round's result before anything is learnt from it, with what shows a collapse."""
        samples = [
            row
            for context in trials
            if context.edits
            for trial in context.edits.tried
            if trial.answers
            for row in trial.answers.samples
        ]
        questions = sum(len(context.edits.baseline.samples) for context in trials if context.edits)
        edits = [scored.edit for context in selected for scored in context.scored]
        result = RoundResult(round_, policy.name, None, tuple(selected))
        if not samples:
            return result

        def figures() -> _Figures:
            grader = default_grader()
            return _Figures(
                mean_entropy(samples, grader),
                diversity_across(samples, questions, grader),
                divergence(self.worker.engine, policy.adapter, edits),
            )

        facts = [policy.name, questions, samples, [asdict(edit) for edit in edits]]
        kept = self.run.recorded("figures", round_, facts, _Figures, figures)
        return replace(
            result,
            vote_entropy=kept.vote_entropy,
            answer_diversity=kept.answer_diversity,
            policy_kl=kept.policy_kl,
        )

    def finetune(
        self,
        round_: int,
        cases: Sequence[Case[Any]],
        selected: Sequence[ContextResult],
        policy: PolicyVersion,
    ) -> tuple[PolicyVersion, tuple[float, ...]]:
        """The policy finetuned on the winners, and its mean loss per epoch; the same policy without winners."""
        winners = [scored.edit for context in selected for scored in context.winners]
        if not winners:
            return policy, ()
        config, base, folder = self.config.policy, self.worker.base, self.run.folder / POLICIES
        contexts = policy.contexts | self._texts_of_winners(cases, selected)

        def train() -> _Finetuned:
            adapter, losses = finetune(
                base,
                winners,
                config,
                policy.adapter,
                lambda done, total: self.progress(round_, "finetune", done, total),
            )
            return _Finetuned(save_policy(adapter, self.domain.formats, base, folder, contexts), losses)

        def lost(finetuned: _Finetuned) -> bool:
            return not (folder / finetuned.policy).is_dir()

        facts = [base.identity, policy.name, [asdict(edit) for edit in winners], recorded_settings(asdict(config))]
        finetuned = self.run.recorded("finetune", round_, facts, _Finetuned, train, redo=lost)
        mark_last(folder, finetuned.policy)
        adapter = load_policy(folder / finetuned.policy, base.identity).adapter
        return PolicyVersion(finetuned.policy, adapter, contexts), finetuned.losses

    def _texts_of_winners(self, cases: Sequence[Case[Any]], selected: Sequence[ContextResult]) -> frozenset[str]:
        """Hashes of the texts that the winners are about; a domain without texts has none."""
        texts = (self.domain.text_of(case) for case, of in zip(cases, selected, strict=True) if of.winners)
        return frozenset(text_hash(text) for text in texts if text)

    def close_round(
        self, result: RoundResult, next_policy: PolicyVersion | None = None, losses: tuple[float, ...] = ()
    ) -> RoundResult:
        """Record the round's result with what came of it in the ledger, and return it."""
        result = replace(result, next_policy=next_policy.name if next_policy else None, losses=losses)
        self.run.record(content_hash(["round", result.round]), "round", result.round, result, again=True)
        return result

    def _chunks(self, cases: Sequence[Case[Any]]) -> Iterator[tuple[Case[Any], ...]]:
        size = self.config.contexts_per_unit
        return (tuple(cases[i : i + size]) for i in range(0, len(cases), size))

    def _unit(self, cases: tuple[Case[Any], ...]) -> Unit[Any]:
        guard = self.domain.guard(self.config.guard, self.config.seed)
        return Unit(self.worker.base.identity, cases, self.config.inner_loop, guard, self.reward.samples)

    def _unit_results(self, round_: int, units: Sequence[Unit[Any]]) -> list[UnitResult]:
        """Results of the units, in order: from the ledger, or evaluated now and recorded as they come in.

        What the ledger holds ungraded is graded once more: the judge may be back.
        """
        keys = [unit.key for unit in units]
        unit_by_key = dict(zip(keys, units, strict=True))
        results: dict[str, UnitResult] = {}
        rewards: list[float] = []

        def add(result: UnitResult) -> None:
            results[result.unit] = result
            rewards.extend(gains(self.reward, unit_by_key[result.unit].cases, result.cases))

        for key in unit_by_key:
            if recorded := self.run.find(key, UnitResult):
                result = regraded(recorded, self.worker.grader)
                if result != recorded:
                    self.run.amend(key, result)
                add(result)
        self.progress(round_, "evaluate", len(results), len(unit_by_key), tuple(rewards))
        missing = [unit for key, unit in unit_by_key.items() if key not in results]
        for finished in self.executor.map(missing, self.domain.evaluate):
            self.run.record(finished.result.unit, "evaluate", round_, finished.result, finished.seconds)
            add(finished.result)
            self.progress(round_, "evaluate", len(results), len(unit_by_key), tuple(rewards))
        return [results[key] for key in keys]

    def _context_result(
        self, round_: int, case: Case[Any], edits: Sequence[SelfEdit], trials: ContextTrials
    ) -> ContextResult:
        if trials.edits is None or trials.alone is None:
            return result_without_training(self.domain, case, edits, self._judge(round_, case, edits))
        return result_of_trials(
            self.domain, self.reward, case, edits, self.config.seeds, trained=trials.edits, alone=trials.alone
        )

    def _judge(self, round_: int, case: Case[Any], edits: Sequence[SelfEdit]) -> tuple[Outcome, ...]:
        """The outcomes of self-edits that are judged as text. Failures are judged again: the judge may be back."""

        def judge() -> _Outcomes:
            return _Outcomes(tuple(self.reward.score([RewardInput(case, Trial(edit, 0)) for edit in edits])))

        def any_failed(judged: _Outcomes) -> bool:
            return any(outcome.reward is None for outcome in judged.outcomes)

        facts = [self.reward.name, asdict(case), [asdict(edit) for edit in edits]]
        return self.run.recorded("judge", round_, facts, _Outcomes, judge, redo=any_failed).outcomes
