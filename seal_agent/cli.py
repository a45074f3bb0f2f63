"""The command line: `seal …`. Thin: every command is one call of the library and a way to show what came of it."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent import console
from seal_agent.cli_arc import arc
from seal_agent.cli_options import (
    Adapter,
    Device,
    Dtype,
    Home,
    Json,
    Model,
    Policy,
    Seed,
    TrustRemoteCode,
    configured,
    print_json,
)
from seal_agent.cli_train import EXAMPLE as TRAIN_EXAMPLE
from seal_agent.cli_train import train
from seal_agent.errors import InputError, SealError

if TYPE_CHECKING:
    from seal_agent.forgetting import Forgetting
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.store.ledger import Ledger
    from seal_agent.types import Answer, Context, Revision

EVAL_EXAMPLE = "Example: seal eval --model_args pretrained=default,mode=passage --tasks seal_novel --limit 12"

app = typer.Typer(
    name="seal",
    help="A language model that writes its own study notes, trains a small adapter on them, and can take it back.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: errors are one sentence; exit 2 for misuse, 1 for failure, 130 for Ctrl-C."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        app()
    except SealError as error:
        if debug:
            raise
        console.err.print(f"seal: {error}", style="red", markup=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, InputError) else 1)


def _show_version(wanted: bool) -> None:
    if wanted:
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


@app.command(epilog="Example: seal demo --json")
def demo(
    model: Model = "default", device: Device = "auto", dtype: Dtype = "auto", seed: Seed = 0, as_json: Json = False
) -> None:
    """The model learns a passage of invented facts before your eyes (about a minute)."""
    from seal_agent.demo import run_demo
    from seal_agent.models import load_model

    with console.waiting("loading the model (the first time, the bundled weights are converted: half a minute)"):
        base = load_model(model, device=device, dtype=dtype)
    with console.stage_bars(quiet=as_json) as bars:
        result = run_demo(base, seed, bars)
    revision = result.revision
    if as_json:
        print_json(
            accuracy_before=result.accuracy_before,
            accuracy_after=result.accuracy_after,
            accuracy_in_context=result.accuracy_in_context,
            seconds=round(result.seconds, 2),
            stages={stage.name: round(stage.seconds, 2) for stage in revision.stages},
            questions=_answers_json(result.before, result.after, result.in_context),
            self_test=_answers_json(revision.before, revision.after),
            self_edits=[console.notes_lines(edit) for edit in revision.self_edits],
            base=base.identity,
            seed=seed,
        )
        return
    show = console.out.print
    show(f"\n[bold]{revision.context.title}[/bold], a passage of invented facts:", soft_wrap=False)
    show(revision.context.text, style="dim")
    show("\nNotes that the model wrote about it:")
    for edit in revision.self_edits:
        for line in console.notes_lines(edit):
            show(f"  {line}", style="dim", markup=False)
    show("\nAsked [bold]without[/bold] the passage, before and after it trained on passage and notes:")
    show(console.answers_table(result.before, result.after))
    total = len(result.before)
    for label, value in (
        ("before", result.accuracy_before),
        ("after", result.accuracy_after),
        ("with the passage in the prompt", result.accuracy_in_context),
    ):
        show(f"  {round(value * total)} of {total} right {label}")
    if revision.self_tested:
        show("\nIts own test, which it was not trained on; gold is what it answered with the sentence in view:")
        show(console.answers_table(revision.before, revision.after))
    show(f"\n{console.stages_line(revision.stages)} · {result.seconds:.1f} s in all", style="dim")
    show('Next: seal adapt YOUR.txt, then seal ask "…"', markup=False)


@app.command(epilog='Example: seal adapt handbook.txt --adapter work --title "Staff handbook"')
def adapt(
    file: Annotated[Path, typer.Argument(metavar="FILE.txt", help="UTF-8 text, or - for standard input.")],
    adapter: Adapter = "default",
    title: Annotated[str, typer.Option(help="What the text is about; put before every note.")] = "",
    questions: Annotated[
        Path | None, typer.Option(help='JSON lines {"question", "answer"}, asked before and after.')
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="default, or paper (as published, for models of 7B, and taken with --policy); the options below "
            "change it."
        ),
    ] = None,
    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="passage, implications, implications-long, rewrite, self-qa, sentences, shuffled, cloze, sentence-qa, "
            "evidence, or a .txt file.",
        ),
    ] = None,
    notes: Annotated[int | None, typer.Option(help="Self-edits per format.", min=1)] = None,
    temperature: Annotated[float | None, typer.Option(help="Of writing notes.")] = None,
    verify: Annotated[
        str | None,
        typer.Option(help="Check what the model wrote against the text before training: strict, lenient or off."),
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="default, all, or names such as q_proj,v_proj or layers.28,layers.29.")
    ] = None,
    rank: Annotated[int | None, typer.Option(help="LoRA rank.")] = None,
    alpha: Annotated[float | None, typer.Option(help="LoRA alpha.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the notes.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    openings: Annotated[
        int | None, typer.Option(help="Of the format evidence: cues of a sentence of which its first words are learnt.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option(help="sft, distill (question-answer pairs as the model with the text says), or both.")
    ] = None,
    null_space: Annotated[
        float | None, typer.Option(help="Share of what ordinary text says that the adapter may not read (0..1).")
    ] = None,
    shrink: Annotated[
        float | None, typer.Option(help="Weight of ordinary text against the notes when all is learnt; 0 for none.")
    ] = None,
    max_update: Annotated[
        float | None, typer.Option(help="Largest change of a layer, as a share of its weights' norm.")
    ] = None,
    anchors: Annotated[
        int | None, typer.Option(help="Texts of the model's own learnt beside the notes, to keep what it was.")
    ] = None,
    replay: Annotated[
        float | None, typer.Option(help="Sequences of earlier texts for every new one, on an adapter that exists.")
    ] = None,
    self_test: Annotated[
        int | None, typer.Option(help="Questions it writes to test itself where --questions gives none; 0 for none.")
    ] = None,
    minimum_gain: Annotated[
        float | None, typer.Option(help="Take the change back unless accuracy on the questions rises by this (0..1).")
    ] = None,
    policy: Policy = None,
    model: Model = "default",
    home: Home = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Learn a text: write notes about it, train the adapter on them, keep the change."""
    from seal_agent.config import recipe_named
    from seal_agent.gate import MinimumGain
    from seal_agent.knowledge.self_edits import check_format

    for name in formats or ():
        check_format(name)
    start = recipe_named(recipe or ("paper" if policy else "default"))
    context = _read_context(file, title, questions)
    self_edit = configured(
        start.self_edit,
        per_format=notes,
        formats=tuple(formats) if formats else None,
        temperature=temperature,
        verify=verify,
        self_test=self_test,
    )
    inner_loop = configured(
        start.inner_loop,
        seed=seed,
        targets=tuple(targets.split(",")) if targets else None,
        rank=rank,
        alpha=alpha,
        epochs=epochs,
        learning_rate=learning_rate,
        openings=openings,
        objective=objective,
        null_space=null_space,
        shrink=shrink,
        max_update=max_update,
        anchors=anchors,
        replay=replay,
    )
    gate = MinimumGain(minimum_gain) if minimum_gain is not None else None
    seal = _load(model, home, device, dtype, seed, trust_remote_code, policy)
    if seal.policy and seal.policy.formats and not formats:
        self_edit = dataclasses.replace(self_edit, formats=seal.policy.formats)
    with console.stage_bars(quiet=as_json) as bars:
        revision = seal.adapt(
            context, adapter=adapter, self_edit=self_edit, inner_loop=inner_loop, gate=gate, progress=bars
        )
    if as_json:
        print_json(**_revision_json(revision))
        return
    console.out.print(str(revision), markup=False, soft_wrap=True)


@app.command(epilog='Example: seal ask "On which island does Tarnby Light stand?" --title "Tarnby Light"')
def ask(
    question: Annotated[str, typer.Argument(help="Asked without any passage.")],
    adapter: Adapter = "default",
    title: Annotated[str, typer.Option(help="The topic, as it was given to `seal adapt`.")] = "",
    model: Model = "default",
    home: Home = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Ask an adapter one question."""
    seal = _load(model, home, device, dtype, 0, trust_remote_code)
    with console.waiting("thinking"):
        answer = seal.ask(question, adapter=adapter, title=title)
    if as_json:
        print_json(question=question, answer=answer, adapter=adapter, revision=seal.ledger.active(adapter))
    else:
        console.out.print(answer, markup=False, soft_wrap=True)


@app.command(epilog="Example: seal chat --adapter work   (Ctrl-D ends)")
def chat(
    adapter: Adapter = "default",
    max_tokens: Annotated[int, typer.Option(help="Longest reply, in tokens.", min=1)] = 256,
    temperature: Annotated[float, typer.Option(help="0 is greedy.", min=0)] = 0.0,
    model: Model = "default",
    home: Home = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Talk with an adapter, line by line; with --json each reply is one JSON line."""
    from seal_agent.types import Message

    seal = _load(model, home, device, dtype, seed, trust_remote_code)
    seal.adapter(adapter)
    turns: list[Message] = []
    for line in _lines_of_user():
        turns.append(Message("user", line))
        pieces = seal.chat(turns, adapter=adapter, max_tokens=max_tokens, temperature=temperature, stream=True)
        reply = ""
        for piece in pieces:
            reply += piece
            if not as_json:
                console.out.print(piece, end="", markup=False, soft_wrap=True)
        turns.append(Message("assistant", reply))
        if as_json:
            print_json(user=line, assistant=reply)
        else:
            console.out.print()


@app.command(epilog="Example: seal history --adapter work")
def history(adapter: Adapter = "default", home: Home = None, as_json: Json = False) -> None:
    """What an adapter has learnt, oldest first; ● is in use, ✗ was taken back."""
    from seal_agent.model import DEFAULT_ADAPTER

    ledger = _ledger(home)
    if adapter != DEFAULT_ADAPTER:
        ledger.check_known(adapter)
    revisions, active, forgotten = ledger.history(adapter), ledger.active(adapter), ledger.forgotten(adapter)
    if as_json:
        gone = [dataclasses.asdict(one) for one in forgotten]
        print_json(adapter=adapter, active=active, revisions=[_revision_json(r) for r in revisions], forgotten=gone)
        return
    if revisions:
        console.out.print(console.history_table(revisions, active))
    for one in forgotten:
        became = f"; {one.became} was learnt in its place" if one.became else ""
        console.out.print(f"{one.id} was forgotten on {one.forgotten[:10]}{became}", style="dim", soft_wrap=True)
    if not revisions and not forgotten:
        console.out.print(f"adapter {adapter!r} has learnt nothing yet; begin with: seal adapt FILE.txt", markup=False)


@app.command(epilog="Example: seal rollback --adapter work --to 6ea30f4932f3")
def rollback(
    adapter: Adapter = "default",
    to: Annotated[str | None, typer.Option(help='A revision, or "base". [default: the parent]')] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make an earlier revision active again. Nothing is deleted."""
    now = _ledger(home).rollback(adapter, to)
    if as_json:
        print_json(adapter=adapter, active=now.id if now else None)
    else:
        console.out.print(f"adapter {adapter!r} is now at {now.id if now else 'the base model'}", markup=False)


@app.command(epilog="Example: seal forget 6ea30f4932f3 --yes")
def forget(
    revision: Annotated[str, typer.Argument(help="Its id, from `seal history`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; it cannot be undone.")] = False,
    model: Model = "default",
    home: Home = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Json = False,
) -> None:
    """Erase what a revision learnt, for good; what was learnt after it is trained again without it."""
    from seal_agent.forgetting import erase, plan_forgetting

    ledger = _ledger(home)
    plan = plan_forgetting(ledger, revision)
    if not yes:
        _confirm_forgetting(plan)
    if plan.again:
        seal = _load(model, home, device, dtype, seed, trust_remote_code)
        with console.stage_bars(quiet=as_json) as bars:
            now = seal.forget(revision, progress=bars)
    else:
        now = erase(ledger, revision)
    adapter, active = plan.target.adapter, now.id if now else None
    gone = {one.id: one.became for one in ledger.forgotten(adapter) if one.id in plan.erased}
    if as_json:
        print_json(adapter=adapter, active=active, forgotten=gone)
        return
    for old, became in gone.items():
        console.out.print(f"{old} is forgotten" + (f"; {became} was learnt in its place" if became else ""))
    console.out.print(f"adapter {adapter!r} is now at {active or 'the base model'}", markup=False)


@app.command(epilog="Example: seal adapters")
def adapters(home: Home = None, as_json: Json = False) -> None:
    """All adapters, and the revision that each one uses."""
    active = _ledger(home).adapters()
    if as_json:
        print_json(adapters=active)
    elif active:
        for name, revision in active.items():
            console.out.print(f"{name}\t{revision or 'base'}", markup=False)
    else:
        console.out.print("no adapters yet; begin with: seal adapt FILE.txt")


@app.command(epilog="Example: seal export ./my-adapter --adapter work")
def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    adapter: Adapter = "default",
    model: Model = "default",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write an adapter as a plain PEFT folder that PEFT and vLLM load."""
    written = _load(model, home, "auto", "auto", 0, False).export(adapter, folder)
    if as_json:
        print_json(adapter=adapter, folder=str(written))
    else:
        console.out.print(f"wrote {written}", markup=False)


@app.command(epilog='Example: lm_eval --model seal --include_path "$(seal tasks)" --tasks seal_novel')
def tasks(as_json: Json = False) -> None:
    """Print the folder of the lm-eval tasks."""
    from seal_agent.integrations.tasks import tasks_folder

    folder = tasks_folder()
    if as_json:
        print_json(folder=str(folder), tasks=sorted(p.name for p in folder.iterdir() if (p / "README.md").is_file()))
    else:
        typer.echo(folder)


app.command(epilog=TRAIN_EXAMPLE)(train)
app.add_typer(arc)


@app.command(
    name="eval",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
    epilog=EVAL_EXAMPLE,
)
def evaluate(ctx: typer.Context) -> None:
    """lm-eval with `--model seal` and our tasks; every argument but --json goes to lm_eval as it is."""
    from seal_agent.integrations.lm_eval import lm_eval_results, run_lm_eval

    arguments = [argument for argument in ctx.args if argument != "--json"]
    if not arguments or "--help" in arguments or "-h" in arguments:
        typer.echo(f"{evaluate.__doc__}\n--json prints the results as one JSON object.\n{EVAL_EXAMPLE}\n")
        arguments = arguments or ["--help"]
    if len(arguments) == len(ctx.args):
        raise typer.Exit(run_lm_eval(arguments))
    code, results = lm_eval_results(arguments)
    if results:
        print_json(**results)
    raise typer.Exit(code)


# ---------------------------------------------------------------- shared parts


def _load(
    model: str,
    home: Path | None,
    device: str,
    dtype: str,
    seed: int,
    trust_remote_code: bool,
    policy: str | None = None,
) -> SelfAdaptingModel:
    from seal_agent.model import SelfAdaptingModel

    with console.waiting("loading the model"):
        return SelfAdaptingModel.from_pretrained(
            model,
            home=home,
            device=device,
            dtype=dtype,
            policy=policy,
            seed=seed,
            trust_remote_code=trust_remote_code,
        )


def _ledger(home: Path | None) -> Ledger:
    """The ledger alone: looking at it needs no model."""
    from seal_agent.store.ledger import Ledger, default_home

    return Ledger(home.expanduser() if home else default_home())


def _confirm_forgetting(plan: Forgetting) -> None:
    """Ends the command unless a person agrees."""
    if not sys.stdin.isatty():
        raise InputError("forgetting cannot be undone; add --yes to do it without being asked")
    context = plan.target.context
    what = f"{plan.target.id} ({context.title or ' '.join(context.text.split())[:40]})"
    more = [one for one in plan.erased if one != plan.target.id]
    with_it = f", and {', '.join(more)} with it, since they learnt it too," if more else ""
    again = f"; training {len(plan.again)} of them again without it comes first" if plan.again else ""
    typer.confirm(f"Erase {what}{with_it} from the store for good{again}?", abort=True, err=True)


def _read_context(file: Path, title: str, questions: Path | None) -> Context:
    from seal_agent.knowledge.data import read_questions, read_text
    from seal_agent.types import Context

    text = sys.stdin.read() if str(file) == "-" else read_text(file)
    return Context(text, " ".join(title.split()), read_questions(questions) if questions else ())


def _lines_of_user() -> Iterator[str]:
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            console.err.print("› ", end="", style="bold")
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _revision_json(revision: Revision) -> dict[str, Any]:
    from seal_agent.store.ledger import to_json

    return {**json.loads(to_json(revision)), "seconds": round(revision.seconds, 2)}


def _answers_json(*columns: tuple[Answer, ...]) -> list[dict[str, Any]]:
    names = ("before", "after", "in_context")[: len(columns)]
    return [
        {
            "question": row[0].question.text,
            "golds": list(row[0].question.golds),
            **{n: {"answer": a.text, "verdict": a.verdict.value} for n, a in zip(names, row, strict=True)},
        }
        for row in zip(*columns, strict=True)
    ]
