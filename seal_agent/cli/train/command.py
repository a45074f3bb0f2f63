"""`seal train`: train the policy that writes self-edits, or show the status of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.options import EngineOptions, GraderOptions, Home, Json, ModelOptions, Seed
from seal_agent.cli.train.agent import AgentOptions, AgentRequest, show_agent_status, start_agent
from seal_agent.cli.train.executor import ExecutorOptions
from seal_agent.cli.train.folders import check_merge, tell_store
from seal_agent.cli.train.options import EditOptions, RewardOptions, SearchOptions, check_agent, check_pictures
from seal_agent.cli.train.pictures import PictureVoteOptions, learn_from_pictures
from seal_agent.cli.train.show import show_plan, show_result, show_status
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.config import OuterLoopConfig
    from seal_agent.outer_loop.domains.domain import Domain
    from seal_agent.outer_loop.executors.workers import MakeWorker
    from seal_agent.outer_loop.learn import RunResult
    from seal_agent.outer_loop.plan import Plan
    from seal_agent.outer_loop.rewards.reward import RewardModel
    from seal_agent.outer_loop.units import Worker

EXAMPLE = "Example: seal train --data squad.jsonl --rounds 2 --contexts 50 --edits 5 --seeds 3 --run runs/first"
AGENT_EXAMPLE = "seal train --agent apps --rounds 2 --run runs/apps"
VERDICTS = "judge.sqlite"  # in the run's folder


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
    agent_options: AgentOptions,
    model_options: ModelOptions,
    engine_options: EngineOptions,
    vote_options: PictureVoteOptions,
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
    """Learn to write better self-edits, or to act (--agent): try several, learn what worked, repeat."""
    if status:
        _show_status(status, as_json)
        return
    from seal_agent.outer_loop.executors.workers import MakeWorker

    if vote_options.pictures:
        if data or arc or agent_options.agent or run is None or reward_options.reward != "votes" or dry_run or merge:
            raise InputError(
                "pictures have no labels: give --pictures with --reward votes and --run, and leave --data, --arc, "
                "--agent, --dry-run and --merge out"
            )
        groups = (search_options, edit_options, reward_options, grader_options, executor_options, agent_options)
        check_pictures(groups, {"report-to": report_to, "keep-adapters": keep_adapters})
        seal = model_options.load(None, seed, engine_options=engine_options)
        learn_from_pictures(seal, vote_options, run, search_options.rounds, seed, as_json)
        return
    if sum(source is not None for source in (data, arc, agent_options.agent)) != 1 or run is None:
        raise InputError(
            "give passages with --data, tasks with --arc or an environment with --agent, and a folder with --run; "
            f"{EXAMPLE[0].lower()}{EXAMPLE[1:]}"
        )
    if agent_options.agent:
        check_agent(search_options, edit_options, reward_options, grader_options, report_to)
    config = replace(edit_options.config(search_options, arc, seed), early_stop=reward_options.early_stop)
    # the judge's options are then the reward's, or the scorer's
    not_graders = reward_options.reward == "rubric" or agent_options.agent is not None
    # none in a dry run, which writes nothing; none on a cluster, whose machines may not have the folder
    verdicts = None if dry_run or executor_options.address else (run / VERDICTS).resolve()
    make_worker = MakeWorker(
        model_options.model,
        model_options.device,
        model_options.dtype,
        model_options.trust_remote_code,
        adapters=(run / "adapters").resolve() if keep_adapters else None,
        engine=engine_options.name,
        vllm=engine_options.config(),
        grader=grader_options.grader,
        judge_model=None if not_graders else grader_options.judge_model,
        judge_url=None if not_graders else grader_options.judge_url,
        judge_cache=verdicts,
    )
    request: _RunRequest | AgentRequest
    if agent_options.agent:
        loop = agent_options.config(search_options.rounds, seed)
        scorer = agent_options.choice(grader_options, verdicts)
        request = AgentRequest(agent_options.agent, run, loop, scorer, make_worker, executor_options, merge, home)
    else:
        request = _RunRequest(
            data,
            arc,
            run,
            config,
            reward_options,
            grader_options,
            make_worker,
            executor_options,
            merge,
            report_to,
            home,
        )
        _check(request)
    try:
        if isinstance(request, AgentRequest):
            start_agent(request, dry_run, as_json)
        else:
            _start(request, dry_run, as_json)
    except KeyboardInterrupt:
        message = f"stopped; what is finished stands in {run}: the same command goes on from here"
        console.err.print(message, markup=False, soft_wrap=True)
        raise typer.Exit(console.INTERRUPTED) from None


def _show_status(folder: Path, as_json: bool) -> None:
    from seal_agent.outer_loop.agents.status import is_agent_run

    (show_agent_status if is_agent_run(folder) else show_status)(folder, as_json)


def _check(request: _RunRequest) -> None:
    """Refuse invalid options before a model is loaded. Raises InputError, MissingDependency."""
    from seal_agent.outer_loop.report.tracking import check_tracker
    from seal_agent.outer_loop.rewards.votes import check_votes

    rewarding = request.reward_options
    rewards = ("questions", "cells") if request.arc else ("questions", "votes", "rubric")
    if rewarding.reward not in rewards:
        raise InputError(f"there is no reward {rewarding.reward!r} for this data; use {_join_names(rewards)}")
    request.executor_options.check()
    check_votes(rewarding.teacher, rewarding.curriculum)
    if rewarding.only_for_votes and rewarding.reward != "votes":
        raise InputError("--teacher, --curriculum and --early-stop are of the model's own votes; add --reward votes")
    if request.config.guard and rewarding.reward != "questions":
        raise InputError(f"--guard lowers the reward of questions, not of {rewarding.reward}; leave one of them out")
    _check_grader(request.grader_options, rewarding.reward, request.arc)
    check_merge(request.merge)
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

        votes = request.reward_options
        return MajorityVoteReward(teacher=votes.teacher, curriculum=votes.curriculum)
    if reward == "rubric":
        from seal_agent.outer_loop.rewards.rubric import RubricReward

        if not options.judge_model:
            return RubricReward.of_model(worker.engine)
        judge = partial(RubricReward.of_endpoint, options.judge_model, cache=request.folder / VERDICTS)
        return judge(base_url=options.judge_url) if options.judge_url else judge()
    from seal_agent.outer_loop.rewards.reward import QuestionReward

    return QuestionReward(request.config.guard_penalty if request.config.guard else 0.0)


def _learn(
    request: _RunRequest, domain: Domain[Any], reward: RewardModel, worker: Worker, planned: Plan, as_json: bool
) -> RunResult:
    """Run the outer loop, and write the merged model if requested."""
    from seal_agent.outer_loop.archive.run import Run
    from seal_agent.outer_loop.learn import facts, learn, settings
    from seal_agent.outer_loop.rewards.votes import MajorityVoteReward

    options = request.grader_options
    judge = {"judge": options.judge_model or "", "judge_url": options.judge_url or ""}
    grader = {"name": options.grader, **(judge if options.grader == "judge" else {})}
    rubric = request.reward_options.reward == "rubric"
    judge_settings = {**judge, "judge": options.judge_model or "the model"} if rubric else {}
    if isinstance(reward, MajorityVoteReward):
        judge_settings |= reward.options
    run_settings = settings(worker.base, domain, reward, request.config, grader=grader, **judge_settings)
    run = Run(request.folder, run_settings, facts(worker.base, planned))
    tell_store(request.home, request.folder)
    try:
        executor = request.executor_options.make(request.make_worker, worker)
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
