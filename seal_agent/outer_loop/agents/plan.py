"""What an agent's run will do at most, counted before it begins, and a forecast of its duration on this machine."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace

from seal_agent.agents.scoring.learnt import LearntScorer
from seal_agent.agents.trajectories.conversation import encode_trajectory
from seal_agent.agents.trajectories.rollout import Start
from seal_agent.config import AgentLoopConfig
from seal_agent.outer_loop.agents.refresh import EXAMINED
from seal_agent.outer_loop.agents.stages import AgentWorld, end_of
from seal_agent.outer_loop.agents.units import AgentUnit, Weights, run_unit
from seal_agent.outer_loop.units import Worker
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train


@dataclass(frozen=True, slots=True)
class AgentPlan:
    """Counts of a run, at most: attempts end early, and tasks that are done are not tried again."""

    rounds: int
    tasks: int
    """Explored in each round."""
    held_out: int
    explored: int
    """Attempts of the whole run that explore, or candidates of their steps where a scorer chooses."""
    rerolled: int
    greedy: int
    """Attempts that measure and that the gate makes."""
    lessons: int
    """Attempts learnt, over all rounds: each round learns those of the earlier ones again."""
    labels: int
    """Labelled steps that the scorers are trained on."""
    scored: int
    """Steps that scorers judge: candidates, labels that measure them, and labels among which hard ones are looked for.
    """
    max_steps: int


@dataclass(frozen=True, slots=True)
class AgentPace:
    """Seconds measured on this machine: per call of an attempt, per token and epoch of training, per scored step."""

    call: float
    token: float
    tokens_per_attempt: float
    score: float
    spent: float

    def expected(self, plan: AgentPlan, config: AgentLoopConfig) -> float:
        """Seconds of the whole run at most, on one worker like this machine."""
        calls = plan.explored + plan.rerolled + plan.greedy
        learnt = plan.lessons * self.tokens_per_attempt * config.policy.epochs
        labelled = plan.labels * SCORED_TOKENS * config.scorer.epochs
        return calls * plan.max_steps * self.call + (learnt + labelled) * self.token + plan.scored * self.score


SAMPLE = 3  # tasks that are tried to measure the pace; not tuned

SCORED_TOKENS = 220  # of a labelled step: its prompt holds at most 600 characters of what is seen; estimated


def plan_agent(world: AgentWorld, config: AgentLoopConfig) -> AgentPlan:
    """Count what a run does at most."""
    environment = world.make()
    max_steps = environment.max_steps
    environment.close()
    tasks = min(config.tasks, len(world.tasks.training))
    held_out = len(world.tasks.measured(config.rounds))
    gate = min(config.earlier_tasks, tasks * config.rounds)
    candidates = tasks * config.exploration.paths * config.exploration.candidates
    chosen = candidates * max_steps + EXAMINED * config.scorer_labels  # of a round that has a scorer already
    return AgentPlan(
        rounds=config.rounds,
        tasks=tasks,
        held_out=held_out,
        explored=config.rounds * candidates,
        rerolled=config.rounds * tasks * config.rerolled * config.tries,
        greedy=held_out * (config.rounds + 1) + 2 * gate * config.rounds,
        lessons=tasks * config.kept * config.rounds * (config.rounds + 1) // 2,
        labels=config.scorer_labels * config.rounds,
        scored=(config.rounds - 1) * chosen + config.rounds * config.scorer_labels,
        max_steps=max_steps,
    )


def calibrate_agent(world: AgentWorld, config: AgentLoopConfig, worker: Worker) -> AgentPace:
    """Measure a few greedy attempts, and one optimiser step on them. Larger batches are faster."""
    started = time.perf_counter()
    tasks = world.tasks.training[:SAMPLE]
    starts = tuple(Start(task, config.seed) for task in tasks)
    unit = AgentUnit(
        "roll out", worker.base.identity, world.name, starts, Weights(), config.exploration, 0.0, 0, world.make
    )
    rollouts = [rollout for rollout in run_unit(unit, worker).rollouts if rollout.steps]
    acting, calls = time.perf_counter() - started, sum(len(rollout.steps) for rollout in rollouts)
    trajectories = [rollout.trajectory(world.name, world.tools) for rollout in rollouts]
    room, free = config.exploration.context_tokens, config.exploration.action_tokens
    sequences = [sequence for each in trajectories for sequence in encode_trajectory(worker.base, each, room, free)]
    sample = tuple(sequences[: config.policy.batch_size])
    tokens = sum(len(sequence.input_ids) for sequence in sample)
    began = time.perf_counter()
    if sample:
        train(worker.base, [TrainJob(sample, replace(config.policy, epochs=1))])
    training, began = time.perf_counter() - began, time.perf_counter()
    attempts = [end_of(rollout) for rollout in rollouts]
    LearntScorer(worker.engine, None, worker.base).score(attempts)
    scoring, ended = time.perf_counter() - began, time.perf_counter()
    per_attempt = sum(len(sequence.input_ids) for sequence in sequences) / max(1, len(trajectories))
    return AgentPace(
        call=acting / max(1, calls),
        token=training / max(1, tokens),
        tokens_per_attempt=per_attempt,
        score=scoring / max(1, len(attempts)),
        spent=ended - started,
    )


def counts_of(plan: AgentPlan) -> dict[str, int]:
    """The plan as JSON values."""
    return asdict(plan)
