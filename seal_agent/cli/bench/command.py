"""`seal bench`: run a suite, and write one row of the leaderboard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.bench.show import show_dry_run, show_results, show_suites
from seal_agent.cli.options import Device, Dtype, GraderOptions, Json, Model, print_json
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.integrations.lm_eval.bench.run import BenchRequest

EXAMPLE = "Example: seal bench novel_n1 --recipe in_context --out results --export eee"


@dataclass(frozen=True, slots=True)
class ContestantOptions:
    """What is benchmarked."""

    model: Model = "default"
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", help="A name of `seal recipes`, a TOML file, or a run of `seal tune`.")
    ] = "default"
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE in place of the recipe's, named as for lm-eval: epochs=2. Repeatable."),
    ] = None
    style: Annotated[str | None, typer.Option(help="How an adapter answers: short, sentence or plain.")] = None
    notes: Annotated[int | None, typer.Option(help="Self-edits per format: how much is written.", min=1)] = None
    device: Device = "auto"
    dtype: Dtype = "auto"
    engine: Annotated[str, typer.Option(help="What answers: hf (transformers) or vllm.")] = "hf"

    def changes(self) -> dict[str, Any]:
        """What replaces the recipe's settings, under lm-eval's names. Raises InputError."""
        changes: dict[str, Any] = {}
        for setting in self.settings or ():
            name, equals_sign, value = setting.partition("=")
            if not equals_sign:
                raise InputError(f"--set takes NAME=VALUE, but it is {setting!r}; write --set epochs=2")
            changes[name] = value
        named = {"answer_style": self.style, "per_format": self.notes}
        return changes | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class SizeOptions:
    """How much is measured."""

    limit: Annotated[
        int | None, typer.Option(help="Passages, tasks, sequences or rounds. \\[default: the suite's]", min=1)
    ] = None
    seeds: Annotated[int, typer.Option(help="Adapters trained on each, with seeds 0, 1, …", min=1)] = 1
    size: Annotated[
        int | None, typer.Option(help="Passages in one adapter: of squad_cpt, squad_continual and speed.", min=1)
    ] = None
    data: Annotated[
        Path | None, typer.Option(help="Passages with questions: SQuAD JSON, or JSON lines. For squad_*.")
    ] = None


@dataclass(frozen=True, slots=True)
class HarmOptions:
    """Of the suite harm: what else is asked before and after."""

    tasks: Annotated[
        list[str] | None, typer.Option("--task", help="Of harm: an lm-eval task to run before and after. Repeatable.")
    ] = None
    task_limit: Annotated[int | None, typer.Option(help="Of harm: documents of each task.", min=1)] = None
    include_path: Annotated[Path | None, typer.Option(help="Of harm: a folder with lm-eval tasks of your own.")] = None


def bench(
    contestant_options: ContestantOptions,
    size_options: SizeOptions,
    grader_options: GraderOptions,
    harm_options: HarmOptions,
    suite: Annotated[str | None, typer.Argument(help="What to run. \\[default: list the suites]")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results; the same command resumes there.")] = Path("results"),
    export: Annotated[
        list[str] | None,
        typer.Option(help="Also write eee (Every Eval Ever) or eval_results (YAML for the hub). Repeatable."),
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures", help="Also draw the run, as SVG and PNG.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Try one passage and say how long the run would take.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run a benchmark suite and write one results file, a row of the leaderboard. A stopped run resumes."""
    if suite is None:
        show_suites(as_json)
        return
    from seal_agent.evaluation.exports.formats import check_formats
    from seal_agent.integrations.lm_eval.bench.run import plan_run, run_suite

    check_formats(export or ())
    grader_options.check()
    request = _request(suite, contestant_options, size_options, grader_options, harm_options, out, as_json)
    plan = plan_run(request)
    if dry_run:
        from seal_agent.integrations.lm_eval.bench.pace import expected_time

        with console.stage_bars(quiet=as_json) as bars:
            pace = expected_time(plan, lambda stage: lambda done, total: bars(stage, done, total))
        show_dry_run(plan, pace, as_json)
        return
    with console.stage_bars(quiet=as_json or bool(plan.suite.task)) as bars:
        path, results = run_suite(plan, lambda stage: lambda done, total: bars(stage, done, total))
    written = [path, *_extras(path, export or (), pictures)]
    if as_json:
        print_json(files=[str(file) for file in written], **show_results(results, quiet=True))
    else:
        show_results(results)
        for file in written:
            console.out.print(f"wrote {file}", markup=False, soft_wrap=True)


def _request(
    suite: str,
    contestant: ContestantOptions,
    size: SizeOptions,
    grader: GraderOptions,
    harm: HarmOptions,
    out: Path,
    quiet: bool,
) -> BenchRequest:
    from seal_agent.integrations.lm_eval.bench.run import BenchRequest

    return BenchRequest(
        suite=suite,
        out=out,
        model=contestant.model,
        recipe=contestant.recipe,
        changes=contestant.changes(),
        limit=size.limit,
        seeds=size.seeds,
        size=size.size,
        data=str(size.data) if size.data else None,
        grader=grader.grader,
        judge_model=grader.judge_model,
        judge_url=grader.judge_url,
        device=contestant.device,
        dtype=contestant.dtype,
        engine=contestant.engine,
        tasks=tuple(harm.tasks or ()),
        task_limit=harm.task_limit,
        include_path=str(harm.include_path) if harm.include_path else None,
        quiet=quiet or not console.err.is_terminal,
    )


def _extras(path: Path, formats: list[str] | tuple[str, ...], pictures: bool) -> list[Path]:
    """Write what was asked for beside the results; returns the paths."""
    from seal_agent.evaluation.exports.formats import export_results

    written = [file for name in formats for file in export_results(path, name)]
    if pictures:
        from seal_agent.evaluation.pictures import draw_run

        written += draw_run(path)
    return written
