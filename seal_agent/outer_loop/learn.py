"""A whole run of the outer loop: its rounds, figures for a tracker, a report at the end, and where the policy lies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seal_agent.base_model.model import BaseModel
from seal_agent.config import OuterLoopConfig
from seal_agent.outer_loop.archive.facts import describe_machine
from seal_agent.outer_loop.archive.run import Run
from seal_agent.outer_loop.domains.domain import Domain, Pictured
from seal_agent.outer_loop.executors.executor import Executor, InlineExecutor
from seal_agent.outer_loop.plan import Plan
from seal_agent.outer_loop.policy import POLICIES
from seal_agent.outer_loop.report.blocks import Section
from seal_agent.outer_loop.report.pictures import pictures
from seal_agent.outer_loop.report.report import write_report
from seal_agent.outer_loop.report.tracking import Tracking
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import RewardModel
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.stages import RoundProgress, Stages, no_progress
from seal_agent.outer_loop.units import Worker


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run came to. `policy` is the folder of the last policy; None where no self-edit was ever kept."""

    results: tuple[RoundResult, ...]
    policy: Path | None
    markdown: Path
    html: Path
    digest: str


def settings(
    base: BaseModel, domain: Domain[Any], reward: RewardModel, config: OuterLoopConfig, **more: str
) -> dict[str, Any]:
    """All that decides a run's results, for its manifest."""
    return {
        "outer_loop": asdict(config),
        "domain": domain.settings(),
        "reward": {"name": reward.name, "samples": reward.samples, **more},
        "base": base.identity,
        "dtype": str(base.dtype).removeprefix("torch."),
    }


def facts(base: BaseModel, plan: Plan) -> dict[str, Any]:
    """What stands beside it: the model's name, the counts of the plan, the machine."""
    about = {"model": base.name, "device": str(base.device), "plan": asdict(plan)}
    return {**about, **describe_machine()}


def learn(
    domain: Domain[Any],
    reward: RewardModel,
    config: OuterLoopConfig,
    *,
    worker: Worker,
    executor: Executor,
    run: Run,
    tell: RoundProgress = no_progress,
    report_to: str | None = None,
) -> RunResult:
    """`rest_em`, tracked and reported. A run that the watch over its votes stops is reported too, and raises."""
    tracking = Tracking(report_to, run.folder, run.manifest["config"]) if report_to else None
    results: list[RoundResult] = []

    def each_round(result: RoundResult) -> None:
        results.append(result)
        if tracking:
            tracking.log(result)

    try:
        rest_em(domain, reward, config, worker=worker, executor=executor, run=run, tell=tell, each_round=each_round)
    finally:
        if tracking:
            tracking.close()
        if results:
            drawn = _pictures(domain, reward, config, worker, run, results[-1])
            written = write_report(run.folder, results, run.manifest, run.seconds(), run.counts(), drawn)
    last = results[-1].policy if results[-1].next_policy is None else results[-1].next_policy
    return RunResult(tuple(results), run.folder / POLICIES / last if last else None, *written, run.digest())


def _pictures(
    domain: Domain[Any], reward: RewardModel, config: OuterLoopConfig, worker: Worker, run: Run, last: RoundResult
) -> tuple[Section, ...]:
    """A section of pictures of the last round, whose answers are all on file; none of a domain that does not draw."""
    if not isinstance(domain, Pictured) or not reward.trains:
        return ()
    stages = Stages(domain, reward, config, worker, InlineExecutor(worker), run)
    cases = stages.cases(last.round)
    edits = [tuple(one.edit for one in context.scored) for context in last.contexts]
    tried = [one.edits for one in stages.evaluate(last.round, cases, edits) if one.edits]
    return (pictures(domain, cases, last.contexts, tried),)
