"""The stages of an agent's round. Finished work is read from the run's ledger; the rest is done and recorded there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from seal_agent.agents.environments.environment import Task
from seal_agent.agents.exploring.pruning import pruned
from seal_agent.agents.exploring.worlds import MakeEnvironment, Worlds
from seal_agent.agents.scoring.scorer import ACCEPTED, Attempt
from seal_agent.agents.trajectories.conversation import encode_trajectory
from seal_agent.agents.trajectories.lesson import in_words
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.config import AgentLoopConfig, recorded_settings
from seal_agent.generation.answer_form.form import Tool
from seal_agent.generation.engine import resting
from seal_agent.outer_loop.agents.curriculum import Curriculum
from seal_agent.outer_loop.agents.gate import decide
from seal_agent.outer_loop.agents.lessons import lessons_of, results_of, starts_again
from seal_agent.outer_loop.agents.refresh import RefreshedScorer, Refresher
from seal_agent.outer_loop.agents.rounds import GateReport, ShortcutCounts, TaskResult
from seal_agent.outer_loop.agents.units import AgentUnit, AgentUnitResult, ScorerChoice, Weights, run_unit
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import Executor, InlineExecutor
from seal_agent.outer_loop.policy import load_policy, mark_last, save_policy
from seal_agent.outer_loop.stages import RoundProgress, no_progress
from seal_agent.outer_loop.units import Worker
from seal_agent.seeds import derived_seed
from seal_agent.store.policies import POLICIES, text_hash
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train
from seal_agent.types import content_hash

UNSCORED_TASKS = 2  # explored in one unit where nobody chooses, so that a kill loses little; not tuned

FORMAT = "actions"
"""What a policy of an agent writes, as its folder says."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class AgentWorld:
    """An environment by name, how it is made, what can be done in it, and its tasks."""

    name: str
    make: MakeEnvironment
    tools: tuple[Tool, ...]
    tasks: Curriculum
    cheap: bool = False
    """Whether it costs next to nothing to replay attempts."""

    @property
    def by_id(self) -> dict[str, Task]:
        return {task.id: task for task in (*self.tasks.training, *self.tasks.held_out)}


@dataclass(frozen=True, slots=True)
class _Finetuned:
    policy: str
    losses: tuple[float, ...]


class AgentStages:
    """The stages that `agent_loop` calls, in its order."""

    def __init__(
        self,
        world: AgentWorld,
        scorer: ScorerChoice,
        config: AgentLoopConfig,
        worker: Worker,
        executor: Executor,
        run: Run,
        progress: RoundProgress = no_progress,
    ) -> None:
        self.world, self.scorer, self.config = world, scorer, config
        self.worker, self.executor, self.run, self.progress = worker, executor, run, progress

    # ------------------------------------------------------------ attempts

    def measure(self, round_: int, kind: str, tasks: Sequence[Task], policy: Weights) -> tuple[TaskResult, ...]:
        """How one greedy attempt at each task ends."""
        return results_of(self.greedy(round_, kind, tasks, policy), self.world.by_id)

    def greedy(self, round_: int, kind: str, tasks: Sequence[Task], policy: Weights) -> list[Rollout]:
        """One greedy attempt at each task."""
        starts = [[Start(task, self.config.seed)] for task in tasks]
        return self._attempts(round_, kind, "roll out", starts, policy, 0.0)

    def explore(
        self, round_: int, tasks: Sequence[Task], policy: Weights, scorer_weights: Weights | None
    ) -> list[Rollout]:
        """A beam of paths for each task; without `scorer_weights` nobody chooses among candidates."""
        starts = [[Start(task, self.config.seed)] for task in tasks]
        temperature = self.config.exploration.temperature
        return self._attempts(round_, "explore", "explore", starts, policy, temperature, scorer_weights)

    def reroll(self, round_: int, tasks: Sequence[Task], explored: Sequence[Rollout], policy: Weights) -> list[Rollout]:
        """Tasks without a success, tried again from the steps of their attempts."""
        config = self.config
        starts = [starts_again(task, config.seed, explored, config.rerolled, config.tries) for task in tasks]
        temperature = config.exploration.temperature
        return self._attempts(round_, "roll out again", "roll out", [s for s in starts if s], policy, temperature)

    def _attempts(
        self,
        round_: int,
        stage: str,
        kind: Literal["explore", "roll out"],
        starts: Sequence[Sequence[Start]],
        policy: Weights,
        temperature: float,
        scorer_weights: Weights | None = None,
    ) -> list[Rollout]:
        """The attempts from the starts of several tasks, in units of a few tasks each."""
        size = self.config.tasks_per_unit if temperature else self.config.measured_per_unit
        if kind == "explore" and scorer_weights is None:
            size = min(size, UNSCORED_TASKS)
        seed = self.config.seed
        units = [
            AgentUnit(
                kind,
                self.worker.base.identity,
                self.world.name,
                tuple(start for row in starts[i : i + size] for start in row),
                policy,
                self.config.exploration,
                temperature,
                derived_seed(seed, "round", round_, stage, i) if temperature else 0,
                self.world.make,
                self.scorer if scorer_weights is not None else None,
                scorer_weights or Weights(),
            )
            for i in range(0, len(starts), size)
        ]
        return [rollout for result in self._unit_results(round_, stage, units) for rollout in result.rollouts]

    def _unit_results(self, round_: int, stage: str, units: Sequence[AgentUnit]) -> list[AgentUnitResult]:
        """Results of the units, in order: from the ledger, or made now and recorded as they come in."""
        results = {unit.key: found for unit in units if (found := self.run.find(unit.key, AgentUnitResult))}
        missing = [unit for unit in units if unit.key not in results]
        starts = {unit.key: len(unit.starts) for unit in units}

        def report(within: int = 0) -> None:
            self.progress(round_, stage, sum(starts[key] for key in results) + within, sum(starts.values()))

        def run_here(unit: AgentUnit, worker: Worker) -> AgentUnitResult:
            return run_unit(unit, worker, lambda ended, of: report(len(unit.starts) * ended // max(1, of)), worlds)

        report()
        # only what runs in this process can tell how far a unit is and share environments, which rest in training
        run_one = run_here if isinstance(self.executor, InlineExecutor) else run_unit
        with Worlds(self.world.make, self.config.exploration.environments) as worlds:
            for finished in self.executor.map(missing, run_one):
                self.run.record(finished.result.unit, stage, round_, finished.result, finished.seconds)
                results[finished.result.unit] = finished.result
                report()
        return [results[unit.key] for unit in units]

    # ------------------------------------------------------------ the scorer

    def refresh(self, round_: int, rollouts: Sequence[Rollout], last: Weights) -> RefreshedScorer:
        """The scorer trained on all that the rollouts proved so far, and its quality on held-out labels."""
        refresher = Refresher(self.worker, self.scorer, self.config, self.run.folder)
        facts = [self.worker.base.identity, self.scorer.facts, last.name, _facts(rollouts), self._label_settings()]
        progress = partial(self.progress, round_, "scorer")
        report = self.run.recorded(
            "scorer",
            round_,
            facts,
            refresher.report_type,
            self._shown("scorer", round_, lambda: refresher.refresh(rollouts, last, progress)),
            redo=refresher.is_lost,
        )
        return refresher.load(report)

    def _label_settings(self) -> list[Any]:
        config = self.config
        return [
            recorded_settings(asdict(config.scorer)),
            [config.tries, config.scorer_labels, config.bad_per_good, config.held_out_labels, config.least_f1],
            config.seed,
        ]

    def shortcuts(self, round_: int, rollouts: Sequence[Rollout], weights: Weights) -> ShortcutCounts:
        """How often the attempts took a shortcut, and how often the scorer alone would have taken it for a success."""
        taken = [rollout for rollout in rollouts if rollout.shortcut and rollout.steps]

        def count() -> ShortcutCounts:
            scorer = self.scorer.make(self.worker, weights) if taken else None
            scores = scorer.score(list(map(end_of, taken))) if scorer else [None] * len(taken)
            accepted = sum(score is not None and score >= ACCEPTED for score in scores)
            return ShortcutCounts(len(rollouts), len(taken), accepted, sum(each.success for each in taken))

        facts = [self.scorer.facts, weights.name, _facts(rollouts)]
        return self.run.recorded("shortcuts", round_, facts, ShortcutCounts, self._shown("shortcuts", round_, count))

    # ------------------------------------------------------------ the policy

    def lessons(self, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """The attempts to learn; of a cheap environment without the calls that had no effect."""
        if self.world.cheap:
            tasks = self.world.by_id
            with Worlds(self.world.make, 1) as worlds:
                rollouts = [pruned(worlds, tasks[each.task], each) if each.success else each for each in rollouts]
        return lessons_of(rollouts, self.config.kept)

    def finetune(
        self, round_: int, rollouts: Sequence[Rollout], policy: Weights
    ) -> tuple[Weights, tuple[float, ...], int]:
        """A new policy that learnt all accepted attempts so far, its losses, and their number; the same without any."""
        lessons = self.lessons(rollouts)
        if not lessons:
            return policy, (), 0
        config, base, folder = self.config.policy, self.worker.base, self.run.folder / POLICIES
        exploration = self.config.exploration
        room, free = exploration.context_tokens, exploration.action_tokens
        trajectories = [lesson.trajectory(self.world.name, self.world.tools) for lesson in lessons]

        def learn() -> _Finetuned:
            sequences = [sequence for each in trajectories for sequence in encode_trajectory(base, each, room, free)]
            with resting(self.worker.engine):
                (trained,) = train(
                    base,
                    [TrainJob(tuple(sequences), config)],
                    lambda done, total: self.progress(round_, "finetune", done, total),
                )
            texts = {text_hash(in_words(each)) for each in trajectories}
            name = save_policy(trained.adapter, (FORMAT,), base, folder, texts)
            return _Finetuned(name, trained.summary.epoch_losses)

        facts = [base.identity, [each.id for each in trajectories], recorded_settings(asdict(config)), room]
        finetuned = self.run.recorded(
            "finetune",
            round_,
            facts,
            _Finetuned,
            self._shown("finetune", round_, learn),
            redo=lambda done: not (folder / done.policy).is_dir(),
        )
        adapter = load_policy(folder / finetuned.policy, base.identity).adapter
        return Weights(finetuned.policy, adapter), finetuned.losses, len(lessons)

    def gate(self, round_: int, tasks: Sequence[Task], policy: Weights, candidate: Weights) -> GateReport:
        """Whether the candidate still does what the policy does, of tasks explored so far."""
        if candidate.name == policy.name:
            return GateReport(False, "there was nothing new to learn")
        before = self.measure(round_, "gate", tasks, policy)
        after = self.measure(round_, "gate", tasks, candidate)
        return decide(before, after, self.config.max_lost)

    def use(self, policy: Weights) -> None:
        """Make a policy the run's last one, which `load_policy` of its folder gives."""
        if policy.name:
            mark_last(self.run.folder / POLICIES, policy.name)

    def _shown(self, kind: str, round_: int, do: Callable[[], Value]) -> Callable[[], Value]:
        """The same work, with progress before and after it."""

        def shown() -> Value:
            self.progress(round_, kind, 0, 1)
            value = do()
            self.progress(round_, kind, 1, 1)
            return value

        return shown


def end_of(rollout: Rollout) -> Attempt:
    """The last step of an attempt, as a scorer sees it."""
    last = rollout.steps[-1]
    return Attempt(rollout.goal, rollout.steps[:-1], last.observation, last.call)


def _facts(rollouts: Sequence[Rollout]) -> str:
    """A hash of rollouts, for the key of what is made of them."""
    return content_hash([{**asdict(each), "steps": [step.facts for step in each.steps]} for each in rollouts])
