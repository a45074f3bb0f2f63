"""`seal bench`: run a suite, and write one row of the leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.bench.show import show_dry_run, show_results, show_suites
from seal_agent.cli.options import Device, Dtype, GraderOptions, Json, Model, print_json
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.evaluation.results import Results
    from seal_agent.integrations.lm_eval.bench.plan import BenchRequest, Plan

EXAMPLE = "Example: seal bench novel_n1 --recipe in_context --out results --export eee"


@dataclass(frozen=True, slots=True)
class ContestantOptions:
    """What is benchmarked."""

    model: Model = "default"
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe", "-r", help="A name of `seal recipes`, a TOML file, or a folder of `seal tune` or `seal train`."
        ),
    ] = "default"
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE in place of the recipe's, named as for lm-eval: epochs=2. Repeatable."),
    ] = None
    style: Annotated[str | None, typer.Option(help="How an adapter answers: short, sentence or plain.")] = None
    notes: Annotated[
        str | None,
        typer.Option(
            help="Self-edits per format, of formats that are one prompt: how much is written. Several, such as 1,5,20, "
            "make a row each and a curve."
        ),
    ] = None
    device: Device = "auto"
    dtype: Dtype = "auto"
    engine: Annotated[str, typer.Option(help="What answers: hf (transformers) or vllm.")] = "hf"

    def amounts(self) -> list[int | None]:
        """The values of --notes, one run each; [None] where it is not given. Raises InputError."""
        if self.notes is None:
            return [None]
        parts = [part.strip() for part in self.notes.split(",")]
        if not all(part.isdecimal() and int(part) > 0 for part in parts) or len(set(parts)) < len(parts):
            raise InputError(f"--notes takes different whole numbers above 0, such as 1,5,20, but it is {self.notes!r}")
        return [int(part) for part in parts]

    def changes(self, notes: int | None) -> dict[str, Any]:
        """What replaces the recipe's settings, under lm-eval's names. Raises InputError."""
        changes: dict[str, Any] = {}
        for setting in self.settings or ():
            name, equals_sign, value = setting.partition("=")
            if not equals_sign:
                raise InputError(f"--set takes NAME=VALUE, but it is {setting!r}; write --set epochs=2")
            changes[name] = value
        named = {"answer_style": self.style, "per_format": notes}
        return changes | {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class SizeOptions:
    """How much is measured."""

    limit: Annotated[
        int | None,
        typer.Option(help="Passages, tasks, sequences or rounds; not of squad_cpt. \\[default: the suite's]", min=1),
    ] = None
    seeds: Annotated[int, typer.Option(help="Adapters trained on each, with seeds 0, 1, …", min=1)] = 1
    size: Annotated[
        int | None, typer.Option(help="Passages in one adapter: of squad_cpt, squad_continual and speed.", min=1)
    ] = None
    data: Annotated[
        Path | None, typer.Option(help="Passages with questions: SQuAD JSON, or JSON lines. Needed by squad_*.")
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
    from seal_agent.evaluation.suites import suite_named
    from seal_agent.integrations.lm_eval.bench.plan import plan_run

    check_formats(export or (), suite_named(suite))
    grader_options.check()
    if pictures and not dry_run:
        from seal_agent.evaluation.pictures import check_pictures

        check_pictures()
    requests = [
        _request(suite, contestant_options, size_options, grader_options, harm_options, out, as_json, notes)
        for notes in contestant_options.amounts()
    ]
    plans = [plan_run(request) for request in requests]
    if dry_run:
        _show_pace(plans, as_json)
        return
    try:
        rows, written = _run(plans, export or (), pictures, as_json)
    except KeyboardInterrupt:
        message = f"stopped; what was measured stands in {requests[0].out}: the same command goes on from here"
        console.err.print(message, markup=False, soft_wrap=True)
        raise typer.Exit(console.INTERRUPTED) from None
    if as_json:
        shown = [show_results(results, quiet=True) for results in rows]
        print_json(files=[str(file) for file in written], **(shown[0] if len(shown) == 1 else {"rows": shown}))
        return
    for results in rows:
        show_results(results)
    for file in written:
        console.out.print(f"wrote {file}", markup=False, soft_wrap=True)


def _show_pace(plans: Sequence[Plan], as_json: bool) -> None:
    """Try a passage of each planned run, with one loaded model."""
    from seal_agent.integrations.lm_eval.bench.pace import expected_time
    from seal_agent.integrations.lm_eval.bench.run import load_contestant

    tried = []
    contestant = None
    with console.stage_bars(quiet=as_json) as bars:
        for plan in plans:
            contestant = load_contestant(plan, contestant)
            tried.append(expected_time(plan, lambda stage: lambda done, total: bars(stage, done, total), contestant))
    show_dry_run(plans, tried, as_json)


def _run(
    plans: Sequence[Plan], formats: Sequence[str], pictures: bool, as_json: bool
) -> tuple[list[Results], list[Path]]:
    """Run the plans, with one loaded model; returns the rows and the files that were written."""
    from seal_agent.integrations.lm_eval.bench.run import load_contestant, run_suite

    rows: list[Results] = []
    paths, written = list[Path](), list[Path]()
    contestant = None
    with console.stage_bars(quiet=as_json or bool(plans[0].suite.task)) as bars:
        for plan in plans:
            contestant = load_contestant(plan, contestant)
            path, results = run_suite(plan, lambda stage: lambda done, total: bars(stage, done, total), contestant)
            rows.append(results)
            paths.append(path)
            written += [path, *_extras(path, formats, pictures)]
    if pictures and len(paths) > 1:
        from seal_agent.evaluation.pictures import draw_note_curve

        written += draw_note_curve(paths)
    return rows, written


def _request(
    suite: str,
    contestant: ContestantOptions,
    size: SizeOptions,
    grader: GraderOptions,
    harm: HarmOptions,
    out: Path,
    quiet: bool,
    notes: int | None,
) -> BenchRequest:
    from seal_agent.integrations.lm_eval.bench.plan import BenchRequest

    return BenchRequest(
        suite=suite,
        out=out,
        model=contestant.model,
        recipe=contestant.recipe,
        changes=contestant.changes(notes),
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


def _extras(path: Path, formats: Sequence[str], pictures: bool) -> list[Path]:
    """Write what was asked for beside the results; returns the paths."""
    from seal_agent.evaluation.exports.formats import export_results

    written = [file for name in formats for file in export_results(path, name)]
    if pictures:
        from seal_agent.evaluation.pictures import draw_run

        written += draw_run(path)
    return written
