"""`seal tune`: find a recipe that fits a model, by an archive of recipes that grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.options import EngineOptions, GraderOptions, Json, ModelOptions, Seed
from seal_agent.cli.train.command import VERDICTS
from seal_agent.cli.train.executor import ExecutorOptions
from seal_agent.cli.tune.show import SHORT, preparing_line, show_forecast, show_outcome
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.config import TuneConfig
    from seal_agent.outer_loop.executors.workers import MakeWorker
    from seal_agent.outer_loop.tuning.archive import Candidate
    from seal_agent.outer_loop.tuning.passages import Split
    from seal_agent.outer_loop.tuning.run import Budget, TuneOutcome
    from seal_agent.outer_loop.units import Worker

EXAMPLE = "Example: seal tune --model google/gemma-3-270m --data passages.jsonl --budget 90 --run runs/gemma"


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """How the archive grows. Options that are not given keep the values of TuneConfig."""

    begin_with: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            help="A recipe that the archive begins with, beside default: a name or a file; repeatable. "
            "\\[default: all of `seal recipes` that write notes]",
        ),
    ] = None
    stages: Annotated[
        str | None, typer.Option(help="Passages that a recipe has learnt by the end of each stage. \\[default: 2,6,24]")
    ] = None
    confirm: Annotated[int | None, typer.Option(help="Passages on which the winner is confirmed. \\[default: 24]")] = (
        None
    )
    children: Annotated[int | None, typer.Option(help="Recipes measured side by side in a step. \\[default: 4]")] = None
    parents: Annotated[
        str | None,
        typer.Option(help="How parents are drawn: clade (by what came of all descendants), or dgm. \\[default: clade]"),
    ] = None
    no_proposals: Annotated[
        bool, typer.Option("--no-proposals", help="Random steps and crossovers only: the model proposes no change.")
    ] = False

    def config(self, seed: int) -> TuneConfig:
        """The archive's config. Raises InputError."""
        from seal_agent.config import TuneConfig

        try:
            stages = tuple(map(int, self.stages.split(","))) if self.stages else None
        except ValueError:
            raise InputError(f"--stages are whole numbers such as 2,6,24, but got {self.stages!r}") from None
        given = {"stages": stages, "confirming": self.confirm, "children": self.children, "parents": self.parents}
        return replace(TuneConfig(seed=seed), **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Request:
    """A run as requested on the command line."""

    folder: Path
    roots: list[Candidate]
    split: Split
    config: TuneConfig
    budget: Budget
    proposes: bool
    grader_options: GraderOptions
    executor_options: ExecutorOptions
    make_worker: MakeWorker


def tune(
    archive_options: ArchiveOptions,
    grader_options: GraderOptions,
    executor_options: ExecutorOptions,
    model_options: ModelOptions,
    engine_options: EngineOptions,
    data: Annotated[Path | None, typer.Option(help="Passages with questions: our JSON lines, or a SQuAD file.")] = None,
    run: Annotated[Path | None, typer.Option(help="The run's folder; the same command again goes on in it.")] = None,
    budget: Annotated[
        float | None, typer.Option(help="Minutes of work, with the confirming at the end.", metavar="MINUTES")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of the search, instead of minutes or beside them.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan and the expected time.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Find a recipe that fits a model: keep an archive of recipes, change the promising, confirm the best."""
    from seal_agent.data.contexts import read_contexts
    from seal_agent.outer_loop.tuning.passages import split_passages
    from seal_agent.outer_loop.tuning.run import Budget, named_candidates, searched_for

    if data is None or run is None or (budget is None and steps is None):
        raise InputError(
            "give passages with --data, a folder with --run, and an end with --budget or --steps; "
            f"{EXAMPLE[0].lower()}{EXAMPLE[1:]}"
        )
    if (budget is not None and budget <= 0) or (steps is not None and steps < 0):
        raise InputError("--budget is above 0 minutes, and --steps are 0 or more")
    executor_options.check()
    grader_options.check()
    config = archive_options.config(seed)
    # none in a dry run, which writes nothing; none on a cluster, whose machines may not have the folder
    cache = None if dry_run or executor_options.address else (run / VERDICTS).resolve()
    roots = named_candidates(archive_options.begin_with or ())
    request = _Request(
        run,
        roots,
        split_passages(read_contexts(data), config, searched_for(roots)),
        config,
        Budget(budget, steps),
        not archive_options.no_proposals,
        grader_options,
        executor_options,
        _make_worker(model_options, engine_options, grader_options, cache),
    )
    try:
        _start(request, dry_run, as_json)
    except KeyboardInterrupt:
        _say(f"stopped; what is finished stands in {run}: the same command goes on from here")
        raise typer.Exit(console.INTERRUPTED) from None


def _make_worker(
    model_options: ModelOptions, engine_options: EngineOptions, grader_options: GraderOptions, cache: Path | None
) -> MakeWorker:
    from seal_agent.outer_loop.executors.workers import MakeWorker

    return MakeWorker(
        model_options.model,
        model_options.device,
        model_options.dtype,
        model_options.trust_remote_code,
        engine=engine_options.name,
        vllm=engine_options.config(),
        grader=grader_options.grader,
        judge_model=grader_options.judge_model,
        judge_url=grader_options.judge_url,
        judge_cache=cache,
    )


def _start(request: _Request, dry_run: bool, as_json: bool) -> None:
    from seal_agent.outer_loop.learn import resumed_base
    from seal_agent.outer_loop.tuning.forecast import forecast, prepare

    with console.waiting("loading the model", quiet=as_json):
        worker = request.make_worker()
    worker = replace(worker, base=resumed_base(worker.base, request.folder))
    if dry_run:
        with console.waiting("learning two passages by the default recipe", quiet=as_json):
            expected = forecast(request.roots, request.split, request.config, request.budget, worker)
        show_forecast(expected, request.config, as_json)
        return
    if request.executor_options.is_on_this_machine:  # Ray's workers then find the files
        with console.waiting("preparing the model: its reader, and what lessons must not change", quiet=as_json):
            seconds = prepare(worker, request.roots)
        if seconds >= SHORT and not as_json:
            _say(preparing_line(seconds))
    show_outcome(_tune(request, worker, as_json), request.folder, request.make_worker.model, as_json)


def _tune(request: _Request, worker: Worker, as_json: bool) -> TuneOutcome:
    from seal_agent.outer_loop.archive.facts import describe_machine
    from seal_agent.outer_loop.archive.run import Run
    from seal_agent.outer_loop.tuning.confirm import CONFIRMING
    from seal_agent.outer_loop.tuning.forecast import MakePrepared
    from seal_agent.outer_loop.tuning.run import settings, tune

    base, options = worker.base, request.grader_options
    grader = {"name": options.grader, "judge": options.judge_model or "", "judge_url": options.judge_url or ""}
    run_settings = settings(base, request.roots, request.split, request.config, request.proposes, grader)
    told: set[tuple[str, int]] = set()
    run = Run(request.folder, run_settings, {"model": base.name, "device": str(base.device), **describe_machine()})
    try:
        executor = request.executor_options.make(MakePrepared(request.make_worker, tuple(request.roots)), worker)
        try:
            with console.stage_bars(quiet=as_json) as bars:

                def progress(step: int, done: int, total: int) -> None:
                    stage = "confirm" if step == CONFIRMING else f"step {step}"
                    bars(stage, done, total)
                    if not as_json and not console.err.is_terminal and (stage, done) not in told:
                        told.add((stage, done))
                        _say(f"{stage}: {done} of {total} passages learnt")

                return tune(
                    request.roots,
                    request.split,
                    request.config,
                    request.budget,
                    worker=worker,
                    executor=executor,
                    run=run,
                    proposes=request.proposes,
                    progress=progress,
                )
        finally:
            executor.close()
    finally:
        run.close()


def _say(text: str) -> None:
    console.err.print(text, markup=False, soft_wrap=True)
