"""The stages of a round, each done once: what is on file is read, what is not is done and put on file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

from seal_agent.config import OuterLoopConfig
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.domains.domain import Domain
from seal_agent.outer_loop.executors.executor import Executor
from seal_agent.outer_loop.policy import POLICIES, finetune, load_policy, mark_last, save_policy
from seal_agent.outer_loop.rewards.reward import Judged, RewardModel, gains, reported
from seal_agent.outer_loop.rewards.votes import mean_entropy
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import Scored, mean_gain, select
from seal_agent.outer_loop.units import Case, CaseResult, Evaluated, Trial, Unit, Worker
from seal_agent.types import Outcome, Question, SelfEdit, Verdict, accuracy, content_hash

Value = TypeVar("Value")
Edits = tuple[tuple[SelfEdit, ...], ...]


class RoundProgress(Protocol):
    """Told how far a stage of a round is, and the mean reward of each self-edit judged so far."""

    def __call__(self, round_: int, stage: str, done: int, total: int, rewards: Sequence[float] = ()) -> None: ...


def no_progress(round_: int, stage: str, done: int, total: int, rewards: Sequence[float] = ()) -> None:
    """Tells nobody."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes the self-edits: the policy's name and weights, or ("", None) the base model."""

    name: str = ""
    adapter: LoraAdapter | None = None


@dataclass(frozen=True, slots=True)
class _Written:
    edits: Edits


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
class ContextTried:
    """One context's results: of the context alone, and of its self-edits; None where nothing is to be trained."""

    alone: CaseResult | None
    edits: CaseResult | None


class Stages:
    """What `rest_em` calls, in its order."""

    def __init__(
        self,
        domain: Domain[Any],
        reward: RewardModel,
        config: OuterLoopConfig,
        worker: Worker,
        executor: Executor,
        run: Run,
        tell: RoundProgress = no_progress,
    ) -> None:
        self.domain, self.reward, self.config = domain, reward, config
        self.worker, self.executor, self.run, self.tell = worker, executor, run, tell

    def cases(self, round_: int) -> list[Case[Any]]:
        """The round's contexts and questions; the model's own questions where the reward asks for them."""
        config = self.config
        skip = round_ * config.contexts if config.fresh_contexts else 0
        cases = self.domain.cases(self.worker, self.domain.items(config.contexts, skip, config.seed), config.seed)
        if not self.reward.samples:
            return list(cases)
        own: list[tuple[Question, ...]] = []

        def ask(chunk: Sequence[Case[Any]]) -> _OwnQuestions:
            return _OwnQuestions(self.domain.own_questions(self.worker, chunk, config.seed))

        for chunk in self._chunks(cases):
            facts = [asdict(case) for case in chunk]
            own += self._once("own questions", round_, facts, _OwnQuestions, partial(ask, chunk)).questions
            self.tell(round_, "own questions", len(own), len(cases))
        return [replace(case, own=questions) for case, questions in zip(cases, own, strict=True)]

    def propose(self, round_: int, cases: Sequence[Case[Any]], writer: Writer) -> list[tuple[SelfEdit, ...]]:
        """Several self-edits for each context."""
        seed, edits = self.config.seed + 10_007 * (round_ + 1), list[tuple[SelfEdit, ...]]()

        def write(chunk: Sequence[Case[Any]], at: int) -> _Written:
            return _Written(
                self.domain.propose(
                    self.worker,
                    chunk,
                    self.config.edits,
                    writer=writer.adapter,
                    seed=seed + at,
                    progress=lambda done, total: self.tell(
                        round_, "propose", at + len(chunk) * done // max(total, 1), len(cases)
                    ),
                )
            )

        for chunk in self._chunks(cases):
            at = len(edits)
            self.tell(round_, "propose", at, len(cases))
            facts = [writer.name, [asdict(case) for case in chunk], seed + at]
            edits += self._once("propose", round_, facts, _Written, partial(write, chunk, at)).edits
            self.tell(round_, "propose", len(edits), len(cases))
        return edits

    def evaluate(
        self, round_: int, cases: Sequence[Case[Any]], proposed: Sequence[tuple[SelfEdit, ...]]
    ) -> list[ContextTried]:
        """An adapter for every seed of every self-edit, and of the context alone, trained and asked."""
        if not self.reward.trains:
            return [ContextTried(None, None)] * len(cases)
        seeds = range(self.config.seeds)
        alone = [replace(case, trials=tuple(Trial(None, seed) for seed in seeds)) for case in cases]
        edited = [
            replace(case, trials=tuple(Trial(edit, seed) for edit in edits for seed in seeds))
            for case, edits in zip(cases, proposed, strict=True)
        ]
        units = [self._unit(chunk) for every in (alone, edited) for chunk in self._chunks(every)]
        results = [result for found in self._evaluated(round_, units) for result in found.cases]
        return [ContextTried(*both) for both in zip(results[: len(cases)], results[len(cases) :], strict=True)]

    def score(
        self,
        round_: int,
        cases: Sequence[Case[Any]],
        proposed: Sequence[tuple[SelfEdit, ...]],
        tried: Sequence[ContextTried],
    ) -> list[ContextResult]:
        """Rewards of every self-edit, and of the context alone."""
        return [
            self._context_result(round_, case, edits, one)
            for case, edits, one in zip(cases, proposed, tried, strict=True)
        ]

    def select(self, scored: Sequence[ContextResult]) -> list[ContextResult]:
        """The same, with the best of each context kept."""
        chosen = []
        for context in scored:
            floor = mean_gain(context.alone)
            winners = select(context.scored, floor if floor is not None else 0.0, self.config.keep)
            kept = tuple(next(i for i, one in enumerate(context.scored) if one is winner) for winner in winners)
            chosen.append(replace(context, kept=kept))
        return chosen

    def finetune(
        self, round_: int, chosen: Sequence[ContextResult], writer: Writer
    ) -> tuple[Writer, tuple[float, ...]]:
        """The policy finetuned on the winners, and its losses; without winners, the last one."""
        winners = [one.edit for context in chosen for one in context.winners]
        if not winners:
            return writer, ()
        config, base, folder = self.config.policy, self.worker.base, self.run.folder / POLICIES

        def learn() -> _Finetuned:
            adapter, losses = finetune(
                base, winners, config, writer.adapter, lambda done, total: self.tell(round_, "finetune", done, total)
            )
            return _Finetuned(save_policy(adapter, self.domain.formats, base, folder), losses)

        facts = [base.identity, writer.name, [asdict(edit) for edit in winners], asdict(config)]
        done = self._once("finetune", round_, facts, _Finetuned, learn, lost=lambda d: not (folder / d.policy).is_dir())
        mark_last(folder, done.policy)
        return Writer(done.policy, load_policy(folder / done.policy, base.identity).adapter), done.losses

    def close_round(
        self,
        round_: int,
        chosen: Sequence[ContextResult],
        tried: Sequence[ContextTried],
        wrote: Writer,
        learnt: Writer | None,
        losses: tuple[float, ...],
    ) -> RoundResult:
        """The round as a value, on file."""
        samples = [
            row
            for one in tried
            if one.edits
            for of_trial in one.edits.tried
            if of_trial.answers
            for row in of_trial.answers.samples
        ]
        result = RoundResult(
            round_,
            wrote.name,
            learnt.name if learnt else None,
            tuple(chosen),
            losses,
            mean_entropy(samples, self.worker.grader) if samples else None,
        )
        key = content_hash(["round", round_])
        self.run.record(key, "round", round_, result, again=True)
        return result

    # ------------------------------------------------------------ inside

    def _chunks(self, cases: Sequence[Case[Any]]) -> Iterator[tuple[Case[Any], ...]]:
        size = self.config.contexts_per_unit
        return (tuple(cases[i : i + size]) for i in range(0, len(cases), size))

    def _unit(self, cases: tuple[Case[Any], ...]) -> Unit[Any]:
        guard = self.domain.guard(self.config.guard, self.config.seed)
        return Unit(self.worker.base.identity, cases, self.config.inner_loop, guard, self.reward.samples)

    def _evaluated(self, round_: int, units: Sequence[Unit[Any]]) -> list[Evaluated]:
        """Of every unit in order, what is on file or comes in now."""
        keys = [unit.key for unit in units]
        keyed = dict(zip(keys, units, strict=True))
        done: dict[str, Evaluated] = {}
        rewards: list[float] = []

        def count(key: str, result: Evaluated) -> None:
            done[key] = result
            rewards.extend(gains(self.reward, keyed[key].cases, result.cases))

        for key in keyed:
            if known := self.run.find(key, Evaluated):
                count(key, known)
        self.tell(round_, "evaluate", len(done), len(keyed), tuple(rewards))
        missing = [unit for key, unit in keyed.items() if key not in done]
        for finished in self.executor.map(missing, self.domain.evaluate):
            key = finished.result.unit
            self.run.record(key, "evaluate", round_, finished.result, finished.seconds)
            count(key, finished.result)
            self.tell(round_, "evaluate", len(done), len(keyed), tuple(rewards))
        return [done[key] for key in keys]

    def _context_result(
        self, round_: int, case: Case[Any], edits: Sequence[SelfEdit], tried: ContextTried
    ) -> ContextResult:
        if tried.edits is None or tried.alone is None:
            judged = [Judged(case, Trial(edit, 0)) for edit in edits]
            facts = [self.reward.name, asdict(case), [asdict(edit) for edit in edits]]
            outcomes = self._once(
                "judge",
                round_,
                facts,
                _Outcomes,
                lambda: _Outcomes(tuple(self.reward.score(judged))),
                lost=lambda found: any(one.reward is None for one in found.outcomes),  # a judge may be back
            ).outcomes
            scored = [
                Scored(edit, (outcome,), self.domain.rejected(case, edit))
                for edit, outcome in zip(edits, outcomes, strict=True)
            ]
            return ContextResult(case.title, tuple(scored))
        seeds, found, alone = self.config.seeds, tried.edits, tried.alone
        rewards = self.reward.score([Judged(case, one.trial, found.baseline, one) for one in found.tried])
        reporting = [reported(found, one) for one in found.tried]
        scored = [
            Scored(
                edit,
                tuple(rewards[i * seeds : (i + 1) * seeds]),
                self.domain.rejected(case, edit),
                tuple(reporting[i * seeds : (i + 1) * seeds]),
            )
            for i, edit in enumerate(edits)
        ]
        return ContextResult(
            case.title,
            tuple(scored),
            alone=tuple(self.reward.score([Judged(case, one.trial, alone.baseline, one) for one in alone.tried])),
            alone_reporting=tuple(reported(alone, one) for one in alone.tried),
            baseline=_accuracy(alone),
        )

    def _once(
        self,
        kind: str,
        round_: int,
        facts: Any,
        form: type[Value],
        do: Callable[[], Value],
        lost: Callable[[Value], bool] = lambda _: False,
    ) -> Value:
        """What is on file under the hash of these facts; done now and put there where it is not."""
        key = content_hash([kind, facts])
        known = self.run.find(key, form)
        if known is not None and not lost(known):
            return known
        started = time.perf_counter()
        value = do()
        self.run.record(key, kind, round_, value, time.perf_counter() - started, again=known is not None)
        return value


def _accuracy(result: CaseResult) -> float | None:
    graded = [answer for answer in result.baseline.selecting if answer.verdict is not Verdict.UNGRADED]
    return accuracy(graded) if graded else None
