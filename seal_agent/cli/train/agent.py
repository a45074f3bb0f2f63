"""`seal train --agent`: an agent that explores an environment and learns from what worked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.options import GraderOptions, print_json
from seal_agent.cli.train.executor import ExecutorOptions
from seal_agent.cli.train.folders import check_merge, tell_store
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.agents.exploring.worlds import MakeEnvironment
    from seal_agent.config import AgentLoopConfig
    from seal_agent.outer_loop.agents.plan import AgentPace, AgentPlan
    from seal_agent.outer_loop.agents.rounds import AgentResults, AgentRound
    from seal_agent.outer_loop.agents.run import AgentRunResult
    from seal_agent.outer_loop.agents.stages import AgentWorld
    from seal_agent.outer_loop.agents.units import ScorerChoice
    from seal_agent.outer_loop.executors.workers import MakeWorker
    from seal_agent.outer_loop.units import Worker

_ROOM = "Agents"


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How an agent explores."""

    agent: Annotated[
        str | None,
        typer.Option(
            help="An environment instead of passages: apps, miniwob, or package.module:factory.", rich_help_panel=_ROOM
        ),
    ] = None
    tasks: Annotated[
        int | None, typer.Option(help="Tasks explored in each round. \\[default: 12]", rich_help_panel=_ROOM)
    ] = None
    candidates: Annotated[
        int | None, typer.Option(help="Calls drawn for each step. \\[default: 4]", rich_help_panel=_ROOM)
    ] = None
    paths: Annotated[
        int | None, typer.Option(help="Attempts followed at each task. \\[default: 2]", rich_help_panel=_ROOM)
    ] = None
    tries: Annotated[
        int | None,
        typer.Option(help="Attempts from each step that is tried again. \\[default: 2]", rich_help_panel=_ROOM),
    ] = None
    environments: Annotated[
        int | None,
        typer.Option(help="Environments open at once; a browser takes 200 MB. \\[default: 8]", rich_help_panel=_ROOM),
    ] = None
    scorer: Annotated[
        str,
        typer.Option(
            help="Who chooses among candidates: learnt (a LoRA that the run trains), judge (--judge-model), or none.",
            rich_help_panel=_ROOM,
        ),
    ] = "learnt"

    def config(self, rounds: int, seed: int) -> AgentLoopConfig:
        """The loop's config. Raises InputError."""
        from seal_agent.config import AgentLoopConfig

        config = AgentLoopConfig(rounds=rounds, seed=seed)
        loop = {"tasks": self.tasks, "tries": self.tries}
        exploring = {"candidates": self.candidates, "paths": self.paths, "environments": self.environments}
        exploration = replace(config.exploration, **_given(exploring))
        return replace(config, exploration=exploration, **_given(loop))

    def choice(self, judge: GraderOptions, cache: Path | None = None) -> ScorerChoice:
        """Who scores. Raises InputError for a judge without a name, and for a name or an address without a judge.

        Args:
            cache: A SQLite file of the judge's verdicts.
        """
        from seal_agent.agents.scoring.judge import OPENAI
        from seal_agent.grading.graders import check_grader
        from seal_agent.outer_loop.agents.units import ScorerChoice

        if self.scorer not in ("learnt", "judge", "none"):
            raise InputError(f"there is no scorer {self.scorer!r}; use learnt, judge or none")
        if self.scorer != "judge" and (judge.judge_model or judge.judge_url):
            raise InputError("--judge-model and --judge-url are for --scorer judge; add it, or leave them out")
        if self.scorer == "judge":
            if not judge.judge_model:
                raise InputError("--scorer judge and --judge-model belong together; give both or neither")
            check_grader("judge", judge.judge_model, judge.judge_url)
            return ScorerChoice("judge", judge.judge_model, judge.judge_url or OPENAI, cache)
        return ScorerChoice("learnt" if self.scorer == "learnt" else "none")


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """A run of an agent as requested on the command line."""

    environment: str
    folder: Path
    config: AgentLoopConfig
    scorer: ScorerChoice
    make_worker: MakeWorker
    executor: ExecutorOptions
    merge: Path | None
    home: Path | None


def start_agent(request: AgentRequest, dry_run: bool, as_json: bool) -> None:
    """Run the loop, or only show its plan. Raises InputError for unusable options before a model is loaded."""
    from seal_agent.outer_loop.agents.plan import calibrate_agent, plan_agent
    from seal_agent.outer_loop.agents.run import world_of
    from seal_agent.outer_loop.learn import resumed_base

    request.executor.check()
    check_merge(request.merge)
    world = world_of(environment_maker(request.environment), request.config)
    planned = plan_agent(world, request.config)
    with console.waiting("loading the model"):
        worker = request.make_worker()
    worker = replace(worker, base=resumed_base(worker.base, request.folder))
    if dry_run:
        with console.waiting("trying a little of each stage"):
            pace = calibrate_agent(world, request.config, worker)
        _show_plan(planned, pace, request.config, as_json)
        return
    _show_result(_run(request, world, planned, worker, as_json), request, as_json)


def environment_maker(name: str) -> MakeEnvironment:
    """What makes environments of this name, in this process or another. Raises InputError for an unknown one."""
    from seal_agent.agents.environments.registry import environment_named

    return partial(environment_named, name)


def _run(request: AgentRequest, world: AgentWorld, planned: AgentPlan, worker: Worker, as_json: bool) -> AgentRunResult:
    from seal_agent.outer_loop.agents.run import agent_facts, agent_settings, learn_agent
    from seal_agent.outer_loop.agents.stages import AgentStages
    from seal_agent.outer_loop.archive.run import Run

    settings = agent_settings(worker.base, world, request.scorer, request.config)
    run = Run(request.folder, settings, agent_facts(worker.base, asdict(planned)))
    tell_store(request.home, request.folder)
    try:
        executor = request.executor.make(request.make_worker, worker)
        try:
            with console.round_bars(planned.rounds, lambda _, done: float(done), quiet=as_json) as bars:
                stages = AgentStages(world, request.scorer, request.config, worker, executor, run, bars)
                has_bars = as_json or console.err.is_terminal
                result = learn_agent(stages) if has_bars else learn_agent(stages, _tell_round)
        finally:
            executor.close()
        if request.merge and result.policy:
            from seal_agent.outer_loop.policy import load_policy, merge_policy

            with console.waiting("merging the policy"):
                merge_policy(worker.base, load_policy(result.policy, worker.base.identity).adapter, request.merge)
        return result
    finally:
        run.close()


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


# ---------------------------------------------------------------- output


def _show_plan(planned: AgentPlan, pace: AgentPace, config: AgentLoopConfig, as_json: bool) -> None:
    seconds = pace.expected(planned, config)
    if as_json:
        print_json(**asdict(planned), expected_seconds=round(seconds, 1), pace=asdict(pace))
        return
    _print(f"  rounds         {planned.rounds}, of {planned.tasks} tasks each; {planned.held_out} tasks are held out")
    _print(
        f"  attempts       at most {planned.explored} that explore, {planned.rerolled} again, {planned.greedy} greedy"
    )
    _print(
        f"  learnt         at most {planned.lessons} attempts, and {planned.labels} labels for the scorer, "
        f"which judges at most {planned.scored} steps"
    )
    _print(f"  expected time  at most {console.duration(seconds)} on one worker like this machine")
    _print(
        f"That is from {console.duration(pace.spent)} of calibration just now: {pace.call:.2f} s a call, "
        f"{1 / pace.token if pace.token else 0:.0f} tokens a second in training. "
        "Larger batches are faster, so it is rather less."
    )


def _show_result(result: AgentRunResult, request: AgentRequest, as_json: bool) -> None:
    from seal_agent.outer_loop.agents.report import gain, summary_of, trained_grades

    results = result.results
    rise = gain(results.base, results.rounds[-1].held_out, trained_grades(results))
    if as_json:
        print_json(
            environment=results.environment,
            base_done=sum(each.success for each in results.base),
            rounds=[summary_of(round_) for round_ in results.rounds],
            gain=asdict(rise) if rise else None,
            policy=str(result.policy) if result.policy else None,
            trajectories=str(result.trajectories),
            report={"markdown": str(result.markdown), "html": str(result.html)},
            digest=result.digest,
        )
        return
    _print(f"the base model: {sum(each.success for each in results.base)} of {len(results.base)} held-out tasks done")
    for round_ in results.rounds:
        _print(_round_line(round_))
    _print(f"gain on held-out tasks of the trained grades  {rise or 'not measured'}")
    _print(f"report   {result.markdown}\n         {result.html}")
    if result.policy is None:
        _print("no policy was promoted: nothing succeeded, or what was learnt cost earlier tasks; see the report")
        return
    model = request.make_worker.model
    _print(f"policy   {result.policy}")
    _print(f"use it   seal import {result.policy} --adapter {results.environment} --model {model}, then seal promote")
    _print(f"         seal learn --trajectories {result.trajectories} --adapter NAME --model {model}")


def _round_line(round_: AgentRound) -> str:
    from seal_agent.outer_loop.agents.report import f1_of, summary_of

    row, quality = summary_of(round_), round_.scorer.quality
    return (
        f"round {row['round'] + 1}: {row['tasks_done']} of {row['tasks']} tasks done, {row['lessons']} attempts "
        f"learnt, {'promoted' if row['promoted'] else 'not promoted'}; held out {row['held_out_done']} of "
        f"{row['held_out']}; scorer {f'F1 {f1_of(quality)}' if quality else 'no F1 yet'}"
    )


def _tell_round(results: AgentResults) -> None:
    """A line about the round that has just ended, where there are no bars."""
    console.err.print(_round_line(results.rounds[-1]), markup=False, soft_wrap=True)


def show_agent_status(folder: Path, as_json: bool) -> None:
    """Show the progress of an agent's run."""
    from seal_agent.outer_loop.agents.report import summary_of
    from seal_agent.outer_loop.agents.status import read_agent_status

    status = read_agent_status(folder)
    if as_json:
        print_json(
            finished=status.finished,
            rounds=[summary_of(round_) for round_ in status.closed],
            stages=[
                {"round": round_, "stage": stage, "pieces": pieces, "seconds": round(seconds, 1)}
                for round_, stage, pieces, seconds in status.stages
            ],
            seconds_since_last_piece=round(status.idle, 1),
        )
        return
    for round_ in range(status.rounds):
        stages = [f"{stage} {pieces} in {console.duration(s)}" for r, stage, pieces, s in status.stages if r == round_]
        closed = " ✓" if round_ < len(status.closed) else ""
        _print(f"round {round_ + 1}/{status.rounds}{closed}  {' · '.join(stages) or 'not begun'}")
    if status.finished:
        _print(f"finished; see {folder / 'report.md'}")
    else:
        _print(f"last piece {console.duration(status.idle)} ago")


def _print(text: str) -> None:
    console.out.print(text, markup=False, soft_wrap=True)
