"""ReST-EM over self-edits: propose, evaluate, select, finetune, and repeat with the finetuned policy.

    for each round:
        self-edits  ~ policy(. | context), several per context
        rewards     = accuracy with an adapter trained on the self-edit, minus the base model's accuracy
        winners     = the best of each context that beat the base model and the passage alone
        policy      = the policy finetuned on the winners; with an archive, the next round may start from any so far

SEAL (arXiv 2506.10943, section 3.1) after ReST-EM (Singh et al., 2023, arXiv 2312.06585): filtered behaviour cloning.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from seal_agent.config import OuterLoopConfig
from seal_agent.errors import CollapseError
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.collapse import CollapseWatch
from seal_agent.outer_loop.domains.domain import Domain
from seal_agent.outer_loop.executors.executor import Executor
from seal_agent.outer_loop.policies import PolicyArchive
from seal_agent.outer_loop.rewards.reward import RewardModel
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.stages import RoundProgress, Stages, no_progress
from seal_agent.outer_loop.units import Worker

_LOG = logging.getLogger(__name__)


def rest_em(
    domain: Domain[Any],
    reward: RewardModel,
    config: OuterLoopConfig,
    *,
    worker: Worker,
    executor: Executor,
    run: Run,
    progress: RoundProgress = no_progress,
    on_round: Callable[[RoundResult], None] = lambda _: None,
) -> list[RoundResult]:
    """Run all rounds, skipping work that the run's ledger already holds; the policies lie in the run's folder.

    Raises CollapseError where a model that rewards itself collapses, unless the config says to end early then; earlier
    rounds and their policies remain.

    Args:
        worker: Writes the self-edits and finetunes the policy.
        executor: Trains and evaluates the adapters.
        on_round: Called with each round's result, also for rounds that were finished before.
    """
    stages = Stages(domain, reward, config, worker, executor, run, progress)
    watch = CollapseWatch() if reward.samples else None
    policies, results = PolicyArchive(config.archive, config.seed), list[RoundResult]()
    for round_ in range(config.rounds + config.measure_last):
        policy = policies.start(round_, learns=round_ < config.rounds)
        cases = stages.cases(round_)
        self_edits = stages.propose(round_, cases, policy)
        trials = stages.evaluate(round_, cases, self_edits)
        scored = stages.score(round_, cases, self_edits, trials)
        selected = stages.select(scored)
        measured = stages.measured(round_, selected, trials, policy)
        if watch and (collapse := _collapse(watch, measured)):
            results.append(stages.close_round(measured))
            on_round(results[-1])
            if config.early_stop:
                break
            raise collapse
        next_policy, losses = stages.finetune(round_, cases, selected, policy) if round_ < config.rounds else (None, ())
        results.append(stages.close_round(measured, next_policy, losses))
        on_round(results[-1])
        policies.add(results[-1], next_policy)
    return results


def _collapse(watch: CollapseWatch, result: RoundResult) -> CollapseError | None:
    """What ends a run with a round; None where nothing does. Alarms that stop nothing are logged."""
    try:
        for alarm in watch.check(result):
            _LOG.warning("round %d: %s", alarm.round + 1, alarm.sign)
    except CollapseError as err:
        return err
    return None
