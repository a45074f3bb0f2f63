"""`seal train`: learn to write better self-edits, or see how far that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.options import Json, ModelOptions, Seed, configured
from seal_agent.cli.train.show import show_learnt, show_plan, show_status
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.config import OuterLoopConfig
    from seal_agent.generation.engine import Engine
    from seal_agent.outer_loop.domains.domain import Domain
    from seal_agent.outer_loop.executors.executor import Executor
    from seal_agent.outer_loop.executors.workers import MakeWorker
    from seal_agent.outer_loop.learn import RunResult
    from seal_agent.outer_loop.plan import Plan
    from seal_agent.outer_loop.rewards.reward import RewardModel
    from seal_agent.outer_loop.units import Worker

EXAMPLE = "Example: seal train --data squad.jsonl --rounds 2 --contexts 50 --edits 5 --seeds 3 --run runs/first"
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How many self-edits are tried on what, and which are kept."""

    rounds: Annotated[int, typer.Option(help="Times that the policy learns.")] = 2
    contexts: Annotated[int, typer.Option(help="Passages looked at in each round.")] = 50
    edits: Annotated[int, typer.Option(help="Self-edits written about each passage.")] = 5
    seeds: Annotated[int, typer.Option(help="Adapters trained on each self-edit.")] = 3
    keep: Annotated[int, typer.Option(help="Self-edits of each passage kept at most.")] = 1
    guard: Annotated[int, typer.Option(help="Passages of other titles whose loss costs reward.")] = 0
    fresh_contexts: Annotated[bool, typer.Option("--fresh-contexts", help="Other passages in every round.")] = False
    measure_last: Annotated[bool, typer.Option("--measure-last", help="Try the last policy's self-edits too.")] = False


@dataclass(frozen=True, slots=True)
class EditOptions:
    """How self-edits are written and learnt; what is not given is left to the paper's recipe."""

    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="implications, implications-long, rewrite, self-qa or a .txt file; several make a mix. "
            "[default: implications]",
        ),
    ] = None
    temperature: Annotated[float | None, typer.Option(help="Of writing self-edits. [default: 1.0]")] = None
    epochs: Annotated[int | None, typer.Option(help="Passes over a self-edit.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate on a self-edit.")] = None

    def config(self, search: SearchOptions, arc: str | None, seed: int) -> OuterLoopConfig:
        """Raises InputError for what a task of ARC leaves no choice of."""
        from seal_agent.config import ARC_INNER_LOOPS, OuterLoopConfig

        if arc and (self.formats or self.epochs or self.learning_rate or self.temperature):
            raise InputError(
                "a self-edit about a task of ARC chooses its own training; leave --format, --epochs, --learning-rate "
                "and --temperature out"
            )
        start = OuterLoopConfig(inner_loop=ARC_INNER_LOOPS["default"]) if arc else OuterLoopConfig()
        formats = tuple(self.formats) if self.formats else None
        return OuterLoopConfig(
            **asdict(search),
            self_edit=configured(start.self_edit, formats=formats, temperature=self.temperature),
            inner_loop=configured(start.inner_loop, epochs=self.epochs, learning_rate=self.learning_rate),
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """What a self-edit is worth."""

    reward: Annotated[
        str,
        typer.Option(
            help="questions (of the data; of ARC: solved or not), cells (of ARC: the share that is right), votes (its "
            "own questions, no labels), or rubric (a judge, nothing trained)."
        ),
    ] = "questions"
    judge_url: Annotated[str | None, typer.Option(help="Endpoint of --judge-model. [default: OpenAI's]")] = None
    judge_model: Annotated[str | None, typer.Option(help="Judge of --reward rubric. [default: the model itself]")] = (
        None
    )


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """Where self-edits are evaluated."""

    executor: Annotated[str, typer.Option(help="inline (this process), or ray.")] = "inline"
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster. [default: this machine alone]")] = None
    workers: Annotated[int | None, typer.Option(help="Of Ray. [default: what there is room for]")] = None


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done where, as it was typed."""

    data: Path | None
    arc: str | None
    folder: Path
    config: OuterLoopConfig
    rewarding: RewardOptions
    make_worker: MakeWorker
    executing: ExecutorOptions
    merge: Path | None
    report_to: str | None


def train(
    search: SearchOptions,
    editing: EditOptions,
    rewarding: RewardOptions,
    executing: ExecutorOptions,
    loading: ModelOptions,
    data: Annotated[Path | None, typer.Option(help="Passages with questions: our JSON lines, or a SQuAD file.")] = None,
    arc: Annotated[
        str | None,
        typer.Option(help="Tasks of ARC instead of passages: toy, paper-train, train1, train2, eval1, eval2."),
    ] = None,
    run: Annotated[Path | None, typer.Option(help="The run's folder; the same command again goes on in it.")] = None,
    status: Annotated[Path | None, typer.Option(help="Only say how far the run in this folder is.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan and the expected time.")] = False,
    keep_adapters: Annotated[bool, typer.Option("--keep-adapters", help="Keep every trained adapter.")] = False,
    merge: Annotated[
        Path | None, typer.Option(help="Write the model with the policy merged in to this folder.")
    ] = None,
    report_to: Annotated[str | None, typer.Option(help="tensorboard, wandb or trackio.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn to write better self-edits: try several, keep the best, finetune the model that writes them, repeat."""
    if status:
        show_status(status, as_json)
        return
    from seal_agent.outer_loop.executors.workers import MakeWorker

    if (data is None) == (arc is None) or run is None:
        raise InputError(
            f"give passages with --data or tasks with --arc, and a folder with --run; {EXAMPLE[0].lower()}{EXAMPLE[1:]}"
        )
    config = editing.config(search, arc, seed)
    kept = (run / "adapters").resolve() if keep_adapters else None
    maker = MakeWorker(loading.model, loading.device, loading.dtype, loading.trust_remote_code, kept)
    job = _Job(data, arc, run, config, rewarding, maker, executing, merge, report_to)
    _check(job)
    try:
        _start(job, dry_run, as_json)
    except KeyboardInterrupt:
        line = f"stopped; what is finished stands in {run}: the same command goes on from here"
        console.err.print(line, markup=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None


def _check(job: _Job) -> None:
    """What can be refused before a model is loaded."""
    from seal_agent.outer_loop.report.tracking import check_tracker

    if job.rewarding.reward not in (known := ("questions", "cells") if job.arc else ("questions", "votes", "rubric")):
        raise InputError(f"there is no reward {job.rewarding.reward!r} for this data; use {_listed(known)}")
    if job.executing.executor not in ("inline", "ray"):
        raise InputError(f"there is no executor {job.executing.executor!r}; use inline or ray")
    if job.executing.executor == "inline" and (job.executing.address or job.executing.workers):
        raise InputError("--address and --workers are Ray's; add --executor ray")
    if job.config.guard and job.rewarding.reward != "questions":
        raise InputError(
            f"--guard lowers the reward of questions, not of {job.rewarding.reward}; leave one of them out"
        )
    if (job.rewarding.judge_url or job.rewarding.judge_model) and job.rewarding.reward != "rubric":
        raise InputError("--judge-url and --judge-model belong to --reward rubric")
    if job.rewarding.judge_url and not job.rewarding.judge_model:
        raise InputError("a judge at an endpoint has a name there; give --judge-model")
    if job.merge and job.merge.exists() and (not job.merge.is_dir() or any(job.merge.iterdir())):
        raise InputError(f"{job.merge} exists and is not an empty folder; choose another --merge")
    if job.report_to:
        check_tracker(job.report_to)


def _start(job: _Job, dry_run: bool, as_json: bool) -> None:
    from seal_agent.outer_loop.plan import plan

    domain = _domain(job)
    with console.waiting("loading the model"):
        worker = job.make_worker()
    reward = _reward(job, worker.engine)
    cases = domain.cases(worker, domain.items(job.config.contexts, 0, job.config.seed), job.config.seed)
    planned = plan(domain, reward, job.config, cases)
    if dry_run:
        from seal_agent.outer_loop.plan import calibrate

        with console.waiting("trying a little of each stage"):
            pace = calibrate(domain, reward, job.config, worker, cases)
        show_plan(planned, pace, job.config, as_json)
        return
    learnt = _learn(job, domain, reward, worker, planned, as_json)
    show_learnt(learnt, job.folder, job.make_worker.model, job.merge, as_json)


def _listed(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _domain(job: _Job) -> Domain[Any]:
    if job.arc:
        from seal_agent.arc.data import load_split
        from seal_agent.outer_loop.domains.arc import ArcDomain

        return ArcDomain(load_split(job.arc), measure="cells" if job.rewarding.reward == "cells" else "solved")
    from seal_agent.data.contexts import read_contexts
    from seal_agent.outer_loop.domains.passages import passages_for

    assert job.data is not None
    return passages_for(read_contexts(job.data), job.config, asked=job.rewarding.reward == "questions")


def _reward(job: _Job, engine: Engine) -> RewardModel:
    from seal_agent.grading.graders import default_grader

    if job.rewarding.reward == "votes":
        from seal_agent.outer_loop.rewards.votes import MajorityVoteReward

        return MajorityVoteReward(default_grader())
    if job.rewarding.reward == "rubric":
        from seal_agent.outer_loop.rewards.rubric import RubricReward

        if not job.rewarding.judge_model:
            return RubricReward.of_model(engine)
        of_model = partial(RubricReward.of_endpoint, job.rewarding.judge_model, cache=job.folder / "judge.sqlite")
        return of_model(base_url=job.rewarding.judge_url) if job.rewarding.judge_url else of_model()
    from seal_agent.outer_loop.rewards.reward import QuestionReward

    return QuestionReward(job.config.guard_penalty if job.config.guard else 0.0)


def _executor(job: _Job, worker: Worker) -> Executor:
    if job.executing.executor == "ray":
        from seal_agent.outer_loop.executors.ray import RayExecutor

        return RayExecutor(job.make_worker, address=job.executing.address, workers=job.executing.workers)
    from seal_agent.outer_loop.executors.executor import InlineExecutor

    return InlineExecutor(worker)


def _learn(
    job: _Job, domain: Domain[Any], reward: RewardModel, worker: Worker, planned: Plan, as_json: bool
) -> RunResult:
    """The run itself, and the merged model where that is asked for."""
    from seal_agent.outer_loop.archive.run import Run
    from seal_agent.outer_loop.learn import facts, learn, settings

    judge = {"judge": job.rewarding.judge_model or "the model", "judge_url": job.rewarding.judge_url or ""}
    decides = settings(worker.base, domain, reward, job.config, **(judge if job.rewarding.reward == "rubric" else {}))
    run = Run(job.folder, decides, facts(worker.base, planned))
    try:
        executor = _executor(job, worker)
        try:
            with console.round_bars(planned.rounds, planned.work, quiet=as_json) as bars:
                learnt = learn(
                    domain,
                    reward,
                    job.config,
                    worker=worker,
                    executor=executor,
                    run=run,
                    tell=bars,
                    report_to=job.report_to,
                )
        finally:
            executor.close()
        if job.merge and learnt.policy:
            from seal_agent.outer_loop.policy import load_policy, merge_policy

            with console.waiting("merging the policy"):
                merge_policy(worker.base, load_policy(learnt.policy, worker.base.identity).adapter, job.merge)
        return learnt
    finally:
        run.close()
