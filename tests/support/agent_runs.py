"""A small run of an agent's loop: a tiny model that really trains, in the world of doors."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from doors import Doors, DoorsEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_LORA, AgentLoopConfig, ExplorationConfig
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.outer_loop.agents.plan import plan_agent
from seal_agent.outer_loop.agents.run import agent_facts, agent_settings, world_of
from seal_agent.outer_loop.agents.stages import AgentStages, AgentWorld
from seal_agent.outer_loop.agents.units import ScorerChoice
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.executors.executor import InlineExecutor
from seal_agent.outer_loop.units import Worker

TINY = replace(PLAIN_LORA, rank=2, alpha=4, epochs=1, batch_size=4, learning_rate=1e-2)
CONFIG = AgentLoopConfig(
    rounds=2,
    tasks=3,
    held_out=0.34,
    exploration=ExplorationConfig(context_tokens=1600),
    tasks_per_unit=2,
    measured_per_unit=2,
    scorer_labels=8,
    policy=TINY,
    scorer=TINY,
)


def world(config: AgentLoopConfig = CONFIG, environment: type[Doors] = Doors) -> AgentWorld:
    return world_of(environment, config)


def stages(base: BaseModel, folder: Path, engine: DoorsEngine, config: AgentLoopConfig = CONFIG) -> AgentStages:
    """The stages of a run in this folder. Close its run afterwards."""
    doors, scorer = world(config), ScorerChoice()
    run = Run(folder, agent_settings(base, doors, scorer, config), agent_facts(base, asdict(plan_agent(doors, config))))
    worker = Worker(base, engine, LexicalGrader())
    return AgentStages(doors, scorer, config, worker, InlineExecutor(worker), run)
