"""`seal train`: train the policy that writes self-edits, or show the status of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.options import EngineOptions, GraderOptions, Home, Json, ModelOptions, Seed, configured, open_ledger
from seal_agent.cli.train.show import show_plan, show_result, show_status
from seal_agent.errors import InputError, StoreError

if TYPE_CHECKING:
    from seal_agent.config import OuterLoopConfig
    from seal_agent.outer_loop.domains.domain import Domain
    from seal_agent.outer_loop.executors.executor import Executor
    from seal_agent.outer_loop.executors.workers import MakeWorker
    from seal_agent.outer_loop.learn import RunResult
    from seal_agent.outer_loop.plan import Plan
    from seal_agent.outer_loop.rewards.reward import RewardModel
    from seal_agent.outer_loop.units import Worker

EXAMPLE = "Example: seal train --data squad.jsonl --rounds 2 --contexts 50 --edits 5 --seeds 3 --run runs/first"
INTERRUPTED = 130
VERDICTS = "judge.sqlite"  # in the run's folder


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """How many contexts, self-edits and seeds a round tries, and which self-edits are kept."""

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
    """How self-edits are written and trained on. Options that are not given keep the recipe's values."""

    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe", "-r", help="A name of `seal recipes`, or a TOML file. \\[default: paper; of ARC: default]"
        ),
    ] = None
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="implications, implications-long, rewrite, self-qa or a .txt file; several make a mix. "
            "\\[default: implications]",
        ),
    ] = None
    temperature: Annotated[float | None, typer.Option(help="Temperature of self-edits. \\[default: 1.0]")] = None
    epochs: Annotated[int | None, typer.Option(help="Passes over a self-edit.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate on a self-edit.")] = None

    def config(self, search: SearchOptions, arc: str | None, seed: int) -> OuterLoopConfig:
        """The outer loop's config. Raises InputError for options that ARC's self-edits choose themselves."""
        from seal_agent.config import OuterLoopConfig, recipe_named

        if arc and (self.formats or self.epochs or self.learning_rate or self.temperature):
            raise InputError(
                "a self-edit about a task of ARC chooses its own training; leave --format, --epochs, --learning-rate "
                "and --temperature out"
            )
        recipe = recipe_named(self.recipe or ("default" if arc else "paper"))
        if recipe.mode != "self_edit" or recipe.policy or recipe.inner_loop.full:
            raise InputError(
                f"a policy cannot be taught by the recipe {self.recipe}; use one by which the base model writes notes "
                "and an adapter learns them, such as paper or implications"
            )
        # A self-edit about a task of ARC is written in a form of its own.
        self_edit = OuterLoopConfig().self_edit if arc else recipe.self_edit
        inner_loop = recipe.arc_inner_loop if arc else recipe.inner_loop
        formats = tuple(self.formats) if self.formats else None
        return OuterLoopConfig(
            **asdict(search),
            self_edit=configured(self_edit, formats=formats, temperature=self.temperature),
            inner_loop=configured(inner_loop, epochs=self.epochs, learning_rate=self.learning_rate),
            seed=seed,
        )


@dataclass(frozen=True, slots=True)
class RewardOptions:
    """How self-edits are rewarded."""

    reward: Annotated[
        str,
        typer.Option(
            help="questions (of the data; of ARC: solved or not), cells (of ARC: the share that is right), votes (its "
            "own questions, no labels), or rubric (by --judge-model, or else the model itself; nothing trained)."
        ),
    ] = "questions"


@dataclass(frozen=True, slots=True)
class ExecutorOptions:
    """Where self-edits are evaluated."""

    executor: Annotated[str, typer.Option(help="inline (this process), or ray.")] = "inline"
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster. \\[default: this machine alone]")] = None
    workers: Annotated[int | None, typer.Option(help="Ray workers. \\[default: as many as there is room for]")] = None


@dataclass(frozen=True, slots=True)
class _RunRequest:
    """A run as requested on the command line."""

    data: Path | None
    arc: str | None
    folder: Path
    config: OuterLoopConfig
    reward_options: RewardOptions
    grader_options: GraderOptions
    make_worker: MakeWorker
    executor_options: ExecutorOptions
    merge: Path | None
    report_to: str | None
    home: Path | None


def train(
    search_options: SearchOptions,
    edit_options: EditOptions,
    reward_options: RewardOptions,
    grader_options: GraderOptions,
    executor_options: ExecutorOptions,
    model_options: ModelOptions,
    engine_options: EngineOptions,
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
    home: Home = None,
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
    config = edit_options.config(search_options, arc, seed)
    rubric = reward_options.reward == "rubric"  # the judge's options are the reward's then
    make_worker = MakeWorker(
        model_options.model,
        model_options.device,
        model_options.dtype,
        model_options.trust_remote_code,
        adapters=(run / "adapters").resolve() if keep_adapters else None,
        engine=engine_options.name,
        vllm=engine_options.config(),
        grader=grader_options.grader,
        judge_model=None if rubric else grader_options.judge_model,
        judge_url=None if rubric else grader_options.judge_url,
        # none in a dry run, which writes nothing; none on a cluster, whose machines may not have the folder
        judge_cache=None if dry_run or executor_options.address else (run / VERDICTS).resolve(),
    )
    request = _RunRequest(
        data, arc, run, config, reward_options, grader_options, make_worker, executor_options, merge, report_to, home
    )
    _check(request)
    try:
        _start(request, dry_run, as_json)
    except KeyboardInterrupt:
        message = f"stopped; what is finished stands in {run}: the same command goes on from here"
        console.err.print(message, markup=False, soft_wrap=True)
        raise typer.Exit(INTERRUPTED) from None


def _check(request: _RunRequest) -> None:
    """Refuse invalid options before a model is loaded. Raises InputError, MissingDependency."""
    from seal_agent.outer_loop.report.tracking import check_tracker

    rewarding, executing = request.reward_options, request.executor_options
    rewards = ("questions", "cells") if request.arc else ("questions", "votes", "rubric")
    if rewarding.reward not in rewards:
        raise InputError(f"there is no reward {rewarding.reward!r} for this data; use {_join_names(rewards)}")
    if executing.executor not in ("inline", "ray"):
        raise InputError(f"there is no executor {executing.executor!r}; use inline or ray")
    if executing.executor == "inline" and (executing.address or executing.workers):
        raise InputError("--address and --workers are Ray's; add --executor ray")
    if request.config.guard and rewarding.reward != "questions":
        raise InputError(f"--guard lowers the reward of questions, not of {rewarding.reward}; leave one of them out")
    _check_grader(request.grader_options, rewarding.reward, request.arc)
    if request.merge and request.merge.exists() and (not request.merge.is_dir() or any(request.merge.iterdir())):
        raise InputError(f"{request.merge} exists and is not an empty folder; choose another --merge")
    if request.report_to:
        check_tracker(request.report_to)


def _check_grader(options: GraderOptions, reward: str, arc: str | None) -> None:
    """Refuse graders and judges that nothing would ask. Raises InputError."""
    from seal_agent.grading.graders import DEFAULT_GRADER, check_grader

    rubric = reward == "rubric"
    if (options.judge_url or options.judge_model) and not rubric and options.grader != "judge":
        raise InputError("--judge-url and --judge-model belong to --reward rubric or --grader judge; add one of them")
    if options.judge_url and not options.judge_model:
        raise InputError("a judge at an endpoint has a name there; give --judge-model")
    if options.grader != DEFAULT_GRADER and (rubric or arc):
        reason = "--reward rubric asks no questions" if rubric else "ARC's answers are grids"
        raise InputError(f"--grader judges answers in words, but {reason}; leave it out")
    if not rubric:
        check_grader(options.grader, options.judge_model, options.judge_url)


def _start(request: _RunRequest, dry_run: bool, as_json: bool) -> None:
    from seal_agent.outer_loop.learn import resumed_base
    from seal_agent.outer_loop.plan import plan

    domain = _domain(request)
    with console.waiting("loading the model"):
        worker = request.make_worker()
    worker = replace(worker, base=resumed_base(worker.base, request.folder))
    reward = _reward(request, worker)
    cases = domain.cases(worker, domain.items(request.config.contexts, 0, request.config.seed), request.config.seed)
    planned = plan(domain, reward, request.config, cases)
    if dry_run:
        from seal_agent.outer_loop.plan import calibrate

        with console.waiting("trying a little of each stage"):
            pace = calibrate(domain, reward, request.config, worker, cases)
        show_plan(planned, pace, request.config, as_json)
        return
    result = _learn(request, domain, reward, worker, planned, as_json)
    show_result(result, request.folder, request.make_worker.model, request.merge, as_json)


def _join_names(names: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _domain(request: _RunRequest) -> Domain[Any]:
    reward = request.reward_options.reward
    if request.arc:
        from seal_agent.arc.data import load_split
        from seal_agent.outer_loop.domains.arc import ArcDomain

        return ArcDomain(load_split(request.arc), measure="cells" if reward == "cells" else "solved")
    from seal_agent.data.contexts import read_contexts
    from seal_agent.outer_loop.domains.passages import passages_for

    assert request.data is not None
    return passages_for(read_contexts(request.data), request.config, need_questions=reward == "questions")


def _reward(request: _RunRequest, worker: Worker) -> RewardModel:
    reward, options = request.reward_options.reward, request.grader_options
    if reward == "votes":
        from seal_agent.outer_loop.rewards.votes import MajorityVoteReward

        return MajorityVoteReward(worker.grader)
    if reward == "rubric":
        from seal_agent.outer_loop.rewards.rubric import RubricReward

        if not options.judge_model:
            return RubricReward.of_model(worker.engine)
        judge = partial(RubricReward.of_endpoint, options.judge_model, cache=request.folder / VERDICTS)
        return judge(base_url=options.judge_url) if options.judge_url else judge()
    from seal_agent.outer_loop.rewards.reward import QuestionReward

    return QuestionReward(request.config.guard_penalty if request.config.guard else 0.0)


def _executor(request: _RunRequest, worker: Worker) -> Executor:
    options = request.executor_options
    if options.executor == "ray":
        from seal_agent.outer_loop.executors.ray import RayExecutor

        return RayExecutor(request.make_worker, address=options.address, workers=options.workers)
    from seal_agent.outer_loop.executors.executor import InlineExecutor

    return InlineExecutor(worker)


def _tell_store(request: _RunRequest) -> None:
    """Let the adapter store know of the run, so that `seal forget` can flag its policies; a store is not needed."""
    from seal_agent.store.policies import register_policies

    try:
        register_policies(open_ledger(request.home), request.folder)
    except StoreError as err:
        message = f"seal: the policies of this run will not be flagged when a text of theirs is forgotten, since {err}"
        console.err.print(message, style="yellow", markup=False, soft_wrap=True)


def _learn(
    request: _RunRequest, domain: Domain[Any], reward: RewardModel, worker: Worker, planned: Plan, as_json: bool
) -> RunResult:
    """Run the outer loop, and write the merged model if requested."""
    from seal_agent.outer_loop.archive.run import Run
    from seal_agent.outer_loop.learn import facts, learn, settings

    options = request.grader_options
    judge = {"judge": options.judge_model or "", "judge_url": options.judge_url or ""}
    grader = {"name": options.grader, **(judge if options.grader == "judge" else {})}
    rubric = request.reward_options.reward == "rubric"
    judge_settings = {**judge, "judge": options.judge_model or "the model"} if rubric else {}
    run_settings = settings(worker.base, domain, reward, request.config, grader=grader, **judge_settings)
    run = Run(request.folder, run_settings, facts(worker.base, planned))
    _tell_store(request)
    try:
        executor = _executor(request, worker)
        try:
            with console.round_bars(planned.rounds, planned.work, quiet=as_json) as bars:
                result = learn(
                    domain,
                    reward,
                    request.config,
                    worker=worker,
                    executor=executor,
                    run=run,
                    progress=bars,
                    report_to=request.report_to,
                )
        finally:
            executor.close()
        if request.merge and result.policy:
            from seal_agent.outer_loop.policy import load_policy, merge_policy

            with console.waiting("merging the policy"):
                merge_policy(worker.base, load_policy(result.policy, worker.base.identity).adapter, request.merge)
        return result
    finally:
        run.close()
