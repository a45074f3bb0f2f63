"""The unit of an agent's work: some starts, and how to go on from them. Any worker gets the same result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from seal_agent.agents.environments.environment import is_cheap
from seal_agent.agents.exploring.actor import Actor
from seal_agent.agents.exploring.beam import explore
from seal_agent.agents.exploring.endings import ended_in_time
from seal_agent.agents.exploring.roll_out import roll_out
from seal_agent.agents.exploring.worlds import MakeEnvironment, Worlds
from seal_agent.agents.scoring.judge import OPENAI, JudgeScorer
from seal_agent.agents.scoring.learnt import LearntScorer
from seal_agent.agents.scoring.scorer import Scorer
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.config import ExplorationConfig, recorded_settings
from seal_agent.errors import TooLongError
from seal_agent.generation.answer_form.form import tool_of_function
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.units import Worker
from seal_agent.progress import Progress
from seal_agent.types import content_hash


@dataclass(frozen=True, slots=True)
class Weights:
    """An adapter of a run and its name, the SHA-256 of its files; "" and None stand for the base model."""

    name: str = ""
    adapter: LoraAdapter | None = field(default=None, compare=False, repr=False)


ScorerKind = Literal["learnt", "judge", "none"]


@dataclass(frozen=True, slots=True)
class ScorerChoice:
    """Who scores steps: a LoRA of the base model that is trained in the run, a judge at an endpoint, or nobody."""

    kind: ScorerKind = "learnt"
    judge: str = ""
    judge_url: str = OPENAI
    cache: Path | None = field(default=None, compare=False)
    """A SQLite file of the judge's verdicts, which decides no result; None keeps none."""

    @property
    def facts(self) -> dict[str, Any]:
        """What decides scores, as JSON values."""
        return {"kind": self.kind, "judge": self.judge, "judge_url": self.judge_url}

    def make(self, worker: Worker, weights: Weights) -> Scorer | None:
        """The scorer; None where nobody scores. Raises InputError."""
        if self.kind == "none":
            return None
        if self.kind == "judge":
            return JudgeScorer(self.judge, self.judge_url, cache=self.cache)
        return LearntScorer(worker.engine, weights.adapter, worker.base)


@dataclass(frozen=True, slots=True)
class AgentUnit:
    """Attempts made side by side: a beam of paths from each start, or one attempt from each."""

    kind: Literal["explore", "roll out"]
    base: str
    environment: str
    starts: tuple[Start, ...]
    policy: Weights
    config: ExplorationConfig
    temperature: float
    seed: int
    make_environment: MakeEnvironment = field(compare=False, repr=False)
    scorer: ScorerChoice | None = None
    """Chooses among candidates; None: nobody does."""
    scorer_weights: Weights = Weights()

    @property
    def key(self) -> str:
        """Content hash: two units with the same key have the same result."""
        facts = [self.kind, self.base, self.environment, [asdict(start) for start in self.starts], self.policy.name]
        scorer = [self.scorer.facts, self.scorer_weights.name] if self.scorer else None
        exploration = recorded_settings(asdict(self.config))
        del exploration["environments"]  # how many are open at once decides nothing
        return content_hash([*facts, exploration, self.temperature, self.seed, scorer])


@dataclass(frozen=True, slots=True)
class AgentUnitResult:
    """A unit's ended attempts, in the order of its starts; `unit` is its key.

    Behind them stand those that explored attempts became where they were ended in time.
    """

    unit: str
    rollouts: tuple[Rollout, ...]


def run_unit(
    unit: AgentUnit, worker: Worker, progress: Progress | None = None, worlds: Worlds | None = None
) -> AgentUnitResult:
    """Make a unit's attempts. Raises TooLongError, with the environment's name, where a task leaves no room to act.

    Args:
        worlds: Environments that stay open for other units; None: the unit's own, closed at its end.
    """
    with nullcontext(worlds) if worlds else Worlds(unit.make_environment, unit.config.environments) as worlds:
        tools = tuple(map(tool_of_function, worlds.any.tools))
        explores = unit.temperature > 0  # what is measured, greedily, acts as a deployed agent does
        actor = Actor(worker.base, worker.engine, unit.policy.adapter, tools, unit.config, explores)
        go: Callable[..., list[Rollout]]
        if unit.kind == "explore":
            scorer = unit.scorer.make(worker, unit.scorer_weights) if unit.scorer else None
            go = partial(explore, scorer=scorer)
        else:
            go = partial(roll_out, temperature=unit.temperature)
        try:
            rollouts = go(actor, worlds, unit.starts, seed=unit.seed, progress=progress)
        except TooLongError as err:
            raise TooLongError(f"in the environment {unit.environment}, {err}") from err
        if explores and is_cheap(worlds.any):
            rollouts += ended_in_time(worlds, unit.starts, rollouts)
        return AgentUnitResult(unit.key, tuple(rollouts))
