"""A whole run of an agent's loop: its settings, its rounds, what it leaves in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seal_agent import durable
from seal_agent.agents.environments.environment import is_cheap
from seal_agent.agents.exploring.worlds import MakeEnvironment, Worlds
from seal_agent.agents.trajectories.lines import to_lines
from seal_agent.agents.trajectories.rollout import Start
from seal_agent.agents.trajectories.trajectory import calls_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AgentLoopConfig, recorded_settings
from seal_agent.errors import InputError
from seal_agent.generation.answer_form.form import tool_of_function
from seal_agent.outer_loop.agents.curriculum import split_tasks
from seal_agent.outer_loop.agents.loop import Finished, agent_loop
from seal_agent.outer_loop.agents.report import Screenshot, write_agent_report
from seal_agent.outer_loop.agents.rounds import AgentResults
from seal_agent.outer_loop.agents.stages import AgentStages, AgentWorld
from seal_agent.outer_loop.agents.units import ScorerChoice
from seal_agent.outer_loop.archive.facts import describe_machine
from seal_agent.outer_loop.archive.run import Run
from seal_agent.store.policies import POLICIES
from seal_agent.types import content_hash

TRAJECTORIES = "trajectories.jsonl"
"""In the run's folder: what the last promoted policy learnt, for `seal learn --trajectories`; empty without one."""

MAX_SCREENSHOTS = 6  # per report; not tuned


@dataclass(frozen=True, slots=True)
class AgentRunResult:
    """The result of a run. `policy` is the folder of the last promoted policy, None where none was; `digest` is the
    ledger's hash."""

    results: AgentResults
    policy: Path | None
    trajectories: Path
    markdown: Path
    html: Path
    digest: str


def world_of(make: MakeEnvironment, config: AgentLoopConfig) -> AgentWorld:
    """An environment's tools, and its tasks split in those to train on and those that only measure."""
    environment = make()
    try:
        tools = tuple(map(tool_of_function, environment.tools))
        tasks = split_tasks(environment.tasks, config.held_out, config.seed)
        if not tools:
            raise InputError(f"the environment {environment.name} has no tools; an agent can do nothing in it")
        return AgentWorld(environment.name, make, tools, tasks, is_cheap(environment))
    finally:
        environment.close()


def agent_settings(base: BaseModel, world: AgentWorld, scorer: ScorerChoice, config: AgentLoopConfig) -> dict[str, Any]:
    """Everything that decides a run's results, for its manifest; how many environments are open at once does not."""
    loop = recorded_settings(asdict(config))
    del loop["exploration"]["environments"]
    tasks = [asdict(task) for task in (*world.tasks.training, *world.tasks.held_out)]
    return {
        "agent_loop": loop,
        "environment": {"name": world.name, "data": content_hash([tasks, [asdict(tool) for tool in world.tools]])},
        "scorer": scorer.facts,
        "base": base.identity,
        "dtype": base.dtype_name,
    }


def agent_facts(base: BaseModel, plan: Mapping[str, int]) -> dict[str, Any]:
    """What the manifest records besides the settings: the model's name, the plan, the machine."""
    return {"model": base.name, "device": str(base.device), "agent_plan": dict(plan), **describe_machine()}


def learn_agent(stages: AgentStages, on_round: Callable[[AgentResults], None] = lambda _: None) -> AgentRunResult:
    """Run the loop, and write the report after every round and the trajectories that were learnt at the end."""
    run, world = stages.run, stages.world

    def after_round(results: AgentResults) -> None:
        _report(run, results)
        on_round(results)

    finished = agent_loop(stages, after_round)
    results = finished.results
    markdown, html = _report(run, results, screenshots(stages, finished))
    trajectories = run.folder / TRAJECTORIES
    source = f"run:{run.folder.name}"
    text = to_lines(lesson.trajectory(world.name, world.tools, source) for lesson in finished.lessons)
    durable.write(trajectories, text.encode())
    last = results.rounds[-1].next_policy
    policy = run.folder / POLICIES / last if last else None
    return AgentRunResult(results, policy, trajectories, markdown, html, run.digest())


def screenshots(stages: AgentStages, finished: Finished) -> tuple[Screenshot, ...]:
    """How the last policy left some held-out tasks; none where the environment shows nothing."""
    last = len(finished.results.rounds) - 1
    tasks = {task.id: task for task in stages.world.tasks.measured(last + 1)}
    ends = stages.greedy(last, "measure", tuple(tasks.values()), finished.policy)[:MAX_SCREENSHOTS]
    shots = []
    with Worlds(stages.world.make, 1) as worlds:
        for rollout in ends:
            png = worlds.screenshot(Start(tasks[rollout.task], rollout.seed, calls_of(rollout.steps)))
            if png is None:
                return ()
            shots.append(Screenshot(rollout.task, rollout.goal, rollout.success, png))
    return tuple(shots)


def _report(run: Run, results: AgentResults, shots: tuple[Screenshot, ...] = ()) -> tuple[Path, Path]:
    return write_agent_report(run.folder, results, run.manifest, run.seconds(), run.counts(), shots)
