"""ReST-EM over self-edits: propose, train and evaluate, select, finetune; again with the policy that came of it.

    for each round:
        self-edits  ~ policy(. | context), several for each context
        rewards     = what an adapter trained on the self-edit answers, minus what the base model answers
        winners     = the best of each context, above the base model and above the passage alone
        policy      = the policy finetuned on the winners

SEAL (arXiv 2506.10943, section 3.1) after ReST-EM (Singh et al., 2023, arXiv 2312.06585): filtered behaviour cloning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seal_agent.config import OuterLoopConfig
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.collapse import CollapseWatch
from seal_agent.outer_loop.domains.domain import Domain
from seal_agent.outer_loop.executors.executor import Executor
from seal_agent.outer_loop.rewards.reward import RewardModel
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.stages import RoundProgress, Stages, Writer, no_progress
from seal_agent.outer_loop.units import Worker


def rest_em(
    domain: Domain[Any],
    reward: RewardModel,
    config: OuterLoopConfig,
    *,
    worker: Worker,
    executor: Executor,
    run: Run,
    tell: RoundProgress = no_progress,
    each_round: Callable[[RoundResult], None] = lambda _: None,
) -> list[RoundResult]:
    """Every round's result, whether it was done now or is on file. The policies lie in the run's folder.

    Raises CollapseError where the model fools itself by its own votes; what was learnt until then stays.
    """
    stages = Stages(domain, reward, config, worker, executor, run, tell)
    watch = CollapseWatch() if reward.samples else None
    policy, results = Writer(), list[RoundResult]()
    for round_ in range(config.rounds + config.measure_last):
        cases = stages.cases(round_)
        proposed = stages.propose(round_, cases, policy)
        tried = stages.evaluate(round_, cases, proposed)
        chosen = stages.select(stages.score(round_, cases, proposed, tried))
        learns = round_ < config.rounds
        learnt, losses = stages.finetune(round_, chosen, policy) if learns else (policy, ())
        results.append(stages.close_round(round_, chosen, tried, policy, learnt if learns else None, losses))
        each_round(results[-1])
        if watch:
            watch.look(results[-1])
        policy = learnt
    return results
