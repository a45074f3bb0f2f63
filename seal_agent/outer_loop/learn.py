"""A whole run of the outer loop: its rounds, figures for a tracker, and a report at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from seal_agent.base_model.model import BaseModel
from seal_agent.config import OuterLoopConfig, recorded_settings
from seal_agent.errors import CollapseError
from seal_agent.grading.graders import DEFAULT_GRADER
from seal_agent.outer_loop.archive.facts import describe_machine
from seal_agent.outer_loop.archive.run import MANIFEST, Run
from seal_agent.outer_loop.collapse import sign_of_collapse
from seal_agent.outer_loop.domains.domain import Domain, DrawableDomain
from seal_agent.outer_loop.executors.executor import Executor, InlineExecutor
from seal_agent.outer_loop.plan import Plan
from seal_agent.outer_loop.policies import best_policy, policy_nodes, policy_section, stand_for
from seal_agent.outer_loop.report.alarms import alarm_section
from seal_agent.outer_loop.report.blocks import Section
from seal_agent.outer_loop.report.pictures import pictures
from seal_agent.outer_loop.report.report import write_report
from seal_agent.outer_loop.report.tracking import Tracking
from seal_agent.outer_loop.rest_em import rest_em
from seal_agent.outer_loop.rewards.reward import RewardModel
from seal_agent.outer_loop.rounds import RoundResult
from seal_agent.outer_loop.stages import RoundProgress, Stages, no_progress
from seal_agent.outer_loop.units import Worker
from seal_agent.store.policies import POLICIES

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    `policy` is the folder of the last policy, or of an archive's best; None where no self-edit was ever kept.
    `markdown` and `html` are the report's files, `digest` is the ledger's hash. `stopped` is the sign of collapse at
    which a run ended early, "" where it ran to its end.
    """

    results: tuple[RoundResult, ...]
    policy: Path | None
    markdown: Path
    html: Path
    digest: str
    stopped: str = ""


def resumed_base(base: BaseModel, folder: Path) -> BaseModel:
    """The base model under the identity that a run in this folder was begun with.

    Runs of before identities followed weights go on under the one they know, so that finished work is found.
    """
    manifest = folder / MANIFEST
    begun = json.loads(manifest.read_text(encoding="utf-8"))["config"].get("base") if manifest.is_file() else None
    return replace(base, identity=begun) if begun and base.is_same_as(begun) else base


def settings(
    base: BaseModel,
    domain: Domain[Any],
    reward: RewardModel,
    config: OuterLoopConfig,
    grader: Mapping[str, str] | None = None,
    **reward_settings: str,
) -> dict[str, Any]:
    """Everything that decides a run's results, for its manifest; `reward_settings` stand beside the reward's name.

    `grader` holds its name, and a judge's model and address. The default grader is left out, so that runs of before
    graders had names go on.
    """
    return {
        "outer_loop": recorded_settings(asdict(config)),
        "domain": domain.settings(),
        "reward": {"name": reward.name, "samples": reward.samples, **reward_settings},
        "base": base.identity,
        "dtype": base.dtype_name,
        **({"grader": dict(grader)} if grader and grader["name"] != DEFAULT_GRADER else {}),
    }


def facts(base: BaseModel, plan: Plan) -> dict[str, Any]:
    """What the manifest records besides `settings`: the model's name, the plan, the machine."""
    return {"model": base.name, "device": str(base.device), "plan": asdict(plan), **describe_machine()}


def learn(
    domain: Domain[Any],
    reward: RewardModel,
    config: OuterLoopConfig,
    *,
    worker: Worker,
    executor: Executor,
    run: Run,
    progress: RoundProgress = no_progress,
    report_to: str | None = None,
) -> RunResult:
    """Run `rest_em`, log each round to a tracker, and write the report.

    Raises CollapseError where a model that rewards itself collapses, unless the config says to end early then; the
    report is written in both cases.

    Args:
        progress: Called as the stages of each round proceed.
        report_to: A tracker, one of TRACKERS in report/tracking.py; None for none.
    """
    tracking = Tracking(report_to, run.folder, run.manifest["config"]) if report_to else None
    results: list[RoundResult] = []

    def on_round(result: RoundResult) -> None:
        results.append(result)
        if tracking:
            tracking.log(result)

    def report() -> tuple[Path, Path]:
        sections = _pictures(domain, reward, config, worker, run, results[-1])
        if config.archive:
            sections = (policy_section(results), *sections)
        if reward.samples:
            sections = (alarm_section(results), *sections)
        return write_report(run.folder, results, run.manifest, run.seconds(), run.counts(), sections)

    try:
        rest_em(domain, reward, config, worker=worker, executor=executor, run=run, progress=progress, on_round=on_round)
    except BaseException as err:
        if isinstance(err, CollapseError):
            _try(lambda: stand_for(_parent_of_collapsed(results), run.folder / POLICIES))
        _try(tracking.close if tracking else None)
        _try(report if results else None)
        raise
    if tracking:
        tracking.close()
    report_files = report()
    stopped = sign_of_collapse(results) if reward.samples else ""
    policy = _final_policy(results, config, run.folder / POLICIES, bool(stopped))
    folder = run.folder / POLICIES / policy if policy else None
    return RunResult(tuple(results), folder, *report_files, run.digest(), stopped)


def _final_policy(results: Sequence[RoundResult], config: OuterLoopConfig, folder: Path, stopped: bool) -> str:
    """The policy that a run ends with, which its folder then stands for; "" where there is none.

    The last one; of an archive the best; of a run that ended early the parent of the one that collapsed.
    """
    if stopped:
        policy = _parent_of_collapsed(results)
    elif config.archive:
        policy = best_policy(results)
    else:
        return results[-1].policy if results[-1].next_policy is None else results[-1].next_policy
    stand_for(policy, folder)
    return policy


def _parent_of_collapsed(results: Sequence[RoundResult]) -> str:
    """The policy from which the last round's was finetuned; "" for the base model, and where there is none before."""
    return next((node.parent or "" for node in policy_nodes(results) if node.name == results[-1].policy), "")


def _try(step: Callable[[], object] | None) -> None:
    """A last step of a run that failed. Its own errors are logged: they must not hide why the run failed."""
    try:
        if step:
            step()
    except Exception:
        _LOG.exception("the report or the figures of a run that failed could not be written")


def _pictures(
    domain: Domain[Any], reward: RewardModel, config: OuterLoopConfig, worker: Worker, run: Run, last: RoundResult
) -> tuple[Section, ...]:
    """A report section with pictures of the last round, whose answers are in the ledger.

    Empty where the domain draws no pictures or the reward trains nothing.
    """
    if not isinstance(domain, DrawableDomain) or not reward.trains:
        return ()
    stages = Stages(domain, reward, config, worker, InlineExecutor(worker), run)
    cases = stages.cases(last.round)
    self_edits = [tuple(scored.edit for scored in context.scored) for context in last.contexts]
    trials = stages.evaluate(last.round, cases, self_edits)
    results = [context.edits for context in trials if context.edits]
    return (pictures(domain, cases, last.contexts, results),)
