"""The command line, `seal …`. Each command makes one call of the library and shows the result."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from seal_agent.cli import adapt, ask, care, console, demo, evaluate, learn, mcp, serve, store
from seal_agent.cli.arc.command import arc
from seal_agent.cli.bench.command import EXAMPLE as BENCH_EXAMPLE
from seal_agent.cli.bench.command import bench
from seal_agent.cli.bench.leaderboard import LEADERBOARD_EXAMPLE, SUBMIT_EXAMPLE, leaderboard, submit
from seal_agent.cli.doctor.command import EXAMPLE as DOCTOR_EXAMPLE
from seal_agent.cli.doctor.command import doctor
from seal_agent.cli.options import grouped
from seal_agent.cli.train.command import AGENT_EXAMPLE, train
from seal_agent.cli.train.command import EXAMPLE as TRAIN_EXAMPLE
from seal_agent.cli.tune.command import EXAMPLE as TUNE_EXAMPLE
from seal_agent.cli.tune.command import tune
from seal_agent.errors import BaseModelWarning, InputError, JudgeWarning, PolicyWarning, SealError


class Commands(TyperGroup):
    """All commands. Ctrl-C in one that has no words of its own for it says that it was heard."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.err.print("seal: interrupted", style="yellow")
            raise typer.Exit(console.INTERRUPTED) from None


app = typer.Typer(
    name="seal",
    cls=Commands,
    help="A language model that writes its own study notes, trains a small adapter on them, and can take it back.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line. Errors are one sentence; the exit code is 2 for misuse, 1 for failure, 130 for Ctrl-C."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
            stream.reconfigure(errors="replace")  # a sign that it lacks ends no command
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except SealError as error:
        if debug:
            raise
        _fail(str(error), 2 if isinstance(error, InputError) else 1)
    except BrokenPipeError:
        raise
    except (OSError, UnicodeDecodeError) as error:  # of a path, a disk or a pipe; what our own code expects has a fix
        if debug:
            raise
        _fail(f"{error}; check the file or folder, its permissions and the disk (--debug shows where)", 1)


def _fail(message: str, code: int) -> NoReturn:
    console.err.print(f"seal: {message}", style="red", markup=False, soft_wrap=True)
    sys.exit(code)


_python_shows = warnings.showwarning


def _show_warning(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """Our own warnings are one line on standard error, without the line of code that Python shows."""
    if issubclass(category, BaseModelWarning | JudgeWarning | PolicyWarning):
        console.err.print(f"seal: {message}", style="yellow", markup=False, soft_wrap=True)
    else:
        _python_shows(message, category, *place)


def _show_version(requested: bool) -> None:
    if requested:
        import seal_agent

        typer.echo(seal_agent.__version__)
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (anywhere on the line).")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Options of every command."""


app.command(epilog="Example: seal demo --json")(grouped(demo.demo))
app.command(epilog=adapt.EXAMPLE)(grouped(adapt.adapt))
app.command(epilog=ask.ASK_EXAMPLE)(grouped(ask.ask))
app.command(epilog="Example: seal chat --adapter work   (Ctrl-D ends)")(grouped(ask.chat))
app.command(epilog="Example: seal history --adapter work")(store.history)
app.command(epilog="Example: seal rollback --adapter work --to 6ea30f4932f3")(store.rollback)
app.command(epilog="Example: seal forget 6ea30f4932f3 --yes")(grouped(store.forget))
app.command(epilog="Example: seal adapters")(store.adapters)
app.command(epilog="Example: seal export ./my-adapter --adapter work")(store.export)
app.command(name="import", epilog="Example: seal import ./their-adapter --adapter work")(grouped(care.import_))
app.command(epilog="Example: seal promote 6ea30f4932f3")(care.promote)
app.command(epilog="Example: seal revoke 6ea30f4932f3")(care.revoke)
app.command(epilog="Example: seal delete work --yes")(care.delete)
app.command(epilog="Example: seal diff base 6ea30f4932f3")(grouped(care.diff))
app.command(epilog="Example: seal verify")(care.verify)
app.command(epilog="Example: seal backup store.tar")(care.backup)
app.command(epilog="Example: seal restore store.tar --home ./store")(care.restore)
app.command(epilog="Example: seal budget --store --adaptations 20 --megabytes 2000")(care.budget)
app.command(epilog=evaluate.TASKS_EXAMPLE)(evaluate.tasks)
app.command(epilog="Example: seal recipes paper")(evaluate.recipes)
app.command(epilog=evaluate.WEIGHTS_EXAMPLE)(evaluate.weights)
app.command(epilog=f"{TRAIN_EXAMPLE}; {AGENT_EXAMPLE}")(grouped(train))
app.command(epilog=learn.LEARN_EXAMPLE)(grouped(learn.learn))
app.command(epilog=learn.TRAJECTORIES_EXAMPLE)(learn.trajectories)
app.command(epilog=TUNE_EXAMPLE)(grouped(tune))
app.command(epilog=DOCTOR_EXAMPLE)(doctor)
app.command(epilog=mcp.EXAMPLE)(grouped(mcp.mcp))
app.command(epilog=serve.EXAMPLE)(grouped(serve.serve))
app.command(epilog=BENCH_EXAMPLE)(grouped(bench))
app.command(epilog=LEADERBOARD_EXAMPLE)(leaderboard)
app.command(epilog=SUBMIT_EXAMPLE)(submit)
app.add_typer(arc)
app.command(name="eval", context_settings=evaluate.PASS_THROUGH, epilog=evaluate.EVAL_EXAMPLE)(evaluate.evaluate)
