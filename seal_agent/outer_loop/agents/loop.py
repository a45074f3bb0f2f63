"""The loop of an agent: explore, verify, learn, refresh, and go on to harder tasks.

    for each round:
        attempts   ~ policy(. | task), several candidates per step; the scorer chooses, if it may
        attempts  += the failed ones, tried again from their steps
        scorer     = trained on what all attempts proved, and measured on labels that were held out
        candidate  = the base model finetuned on the actions of all attempts that succeeded
        policy     = the candidate, if it still does what the last policy did

After UI-Genie (Xiao et al., 2025, arXiv 2505.21496). Only the environment says what succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seal_agent.agents.environments.environment import Task
from seal_agent.agents.trajectories.rollout import Rollout
from seal_agent.outer_loop.agents.lessons import exploration_of
from seal_agent.outer_loop.agents.rounds import AgentResults, AgentRound
from seal_agent.outer_loop.agents.stages import AgentStages
from seal_agent.outer_loop.agents.units import Weights
from seal_agent.types import content_hash


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished loop: its rounds, the last policy that was promoted, and the attempts that it learnt."""

    results: AgentResults
    lessons: tuple[Rollout, ...]
    policy: Weights


def agent_loop(stages: AgentStages, on_round: Callable[[AgentResults], None] = lambda _: None) -> Finished:
    """Run all rounds, skipping work that the run's ledger already holds; policies and scorers lie in its folder.

    Args:
        on_round: Called with the results so far after each round, also for rounds that were finished before.
    """
    config, world = stages.config, stages.world
    held_out = world.tasks.measured(config.rounds)
    base = stages.measure(0, "measure", held_out, Weights())
    policy, scorer, may_select = Weights(), Weights(), False
    learnt = list[Rollout]()
    rollouts, seen, results = list[Rollout](), list[Task](), AgentResults(world.name, base, ())
    for round_ in range(config.rounds):
        tasks = world.tasks.draw(round_, config.tasks, config.seed)
        explored = stages.explore(round_, tasks, policy, scorer if may_select else None)
        rerolled = stages.reroll(round_, tasks, explored, policy)
        rollouts += [*explored, *rerolled]
        shortcuts = stages.shortcuts(round_, [*explored, *rerolled], scorer)
        refreshed = stages.refresh(round_, rollouts, scorer)
        candidate, losses, lessons = stages.finetune(round_, rollouts, policy)
        seen += [task for task in tasks if task not in seen]
        gate = stages.gate(round_, _earlier(seen, rollouts, config.earlier_tasks), policy, candidate)
        if gate.promoted:
            learnt = stages.lessons(rollouts)
        next_policy = candidate if gate.promoted else policy
        result = AgentRound(
            round=round_,
            policy=policy.name,
            next_policy=next_policy.name,
            candidate=candidate.name,
            explored=tuple(exploration_of(task, explored, rerolled) for task in tasks),
            lessons=lessons,
            losses=losses,
            scorer=refreshed.report,
            selected=may_select,
            gate=gate,
            shortcuts=shortcuts,
            held_out=stages.measure(round_, "measure", held_out, next_policy),
        )
        stages.use(next_policy)
        stages.run.record(content_hash(["round", round_]), "round", round_, result, again=True)
        results = AgentResults(world.name, base, (*results.rounds, result))
        on_round(results)
        policy, scorer, may_select = next_policy, refreshed.weights, refreshed.report.selects
    return Finished(results, tuple(learnt), policy)


def _earlier(seen: Sequence[Task], rollouts: Sequence[Rollout], most: int) -> list[Task]:
    """Tasks that some attempt has done, those explored first before others."""
    done = {rollout.task for rollout in rollouts if rollout.success}
    return [task for task in seen if task.id in done][:most]
