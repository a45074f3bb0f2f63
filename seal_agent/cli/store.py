"""What adapters have learnt: `seal history | rollback | forget | adapters | export`."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.options import Adapter, Home, Json, Model, ModelOptions, Seed, open_ledger, print_json
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.adaptation.forget import ForgetPlan


def history(adapter: Adapter = "default", home: Home = None, as_json: Json = False) -> None:
    """What an adapter has learnt, oldest first: ● in use, ✗ rejected, ? quarantined, – revoked."""
    from seal_agent.adaptation.stored_adapters import DEFAULT_ADAPTER

    ledger = open_ledger(home)
    if adapter != DEFAULT_ADAPTER:
        ledger.check_known(adapter)
    revisions, active, forgotten = ledger.with_damaged(adapter), ledger.active(adapter), ledger.forgotten(adapter)
    if as_json:
        print_json(
            adapter=adapter,
            active=active,
            revisions=[console.revision_json(revision) for revision in revisions],
            forgotten=[dataclasses.asdict(revision) for revision in forgotten],
        )
        return
    if revisions:
        console.out.print(console.history_table(revisions, active))
    for revision in forgotten:
        since = f"; {revision.became} was learnt in its place" if revision.became else ""
        if revision.id in {known.id for known in revisions}:
            since = ", and came again since"
        line = f"{revision.id} was forgotten on {revision.forgotten[:10]}{since}"
        console.out.print(line, style="dim", soft_wrap=True)
    if not revisions and not forgotten:
        console.out.print(f"adapter {adapter!r} has learnt nothing yet; begin with: seal adapt FILE.txt", markup=False)


def rollback(
    adapter: Adapter = "default",
    to: Annotated[str | None, typer.Option(help='A revision, or "base". \\[default: the parent]')] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make an earlier revision active again. Nothing is deleted."""
    active = open_ledger(home).rollback(adapter, to)
    if as_json:
        print_json(adapter=adapter, active=active.id if active else None)
    else:
        console.out.print(f"adapter {adapter!r} is now at {active.id if active else 'the base model'}", markup=False)


def forget(
    revision: Annotated[str, typer.Argument(help="Its id, from `seal history`.")],
    model_options: ModelOptions,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; it cannot be undone.")] = False,
    home: Home = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Erase what a revision learnt, for good; what was learnt after it is trained again without it."""
    from seal_agent.adaptation.forget import erase, finish, plan_forget

    ledger = open_ledger(home)
    if finish(ledger, revision):
        if as_json:
            print_json(forgotten={revision: None}, before=True)
        else:
            console.out.print(f"{revision} was forgotten before, and nothing is left of it")
        return
    plan = plan_forget(ledger, revision)
    if not yes:
        _confirm_forgetting(plan)
    if plan.again:
        seal = model_options.load(home, seed)
        with console.interruptible(ledger, [plan.target.adapter]), console.stage_bars(quiet=as_json) as bars:
            latest = seal.forget(revision, progress=bars)
    else:
        latest = erase(ledger, revision)
    adapter, active = plan.target.adapter, latest.id if latest else None
    replacements = {old.id: old.became for old in ledger.forgotten(adapter) if old.id in plan.erased}
    if as_json:
        print_json(adapter=adapter, active=active, forgotten=replacements)
        return
    for old, replacement in replacements.items():
        console.out.print(f"{old} is forgotten" + (f"; {replacement} was learnt in its place" if replacement else ""))
    console.out.print(f"adapter {adapter!r} is now at {active or 'the base model'}", markup=False)


def adapters(home: Home = None, as_json: Json = False) -> None:
    """All adapters, and the revision that each one uses."""
    active = open_ledger(home).with_unused()
    if as_json:
        print_json(adapters=active)
    elif active:
        for name, revision in active.items():
            console.out.print(f"{name}\t{revision or 'base'}", markup=False)
    else:
        console.out.print("no adapters yet; begin with: seal adapt FILE.txt")


def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.")],
    adapter: Adapter = "default",
    model: Model = "default",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write an adapter as a plain PEFT folder that PEFT and vLLM load."""
    from seal_agent.generation.vllm.requests import smallest_rank

    seal = ModelOptions(model).load(home)
    exported, lora = seal.export(adapter, folder), seal.adapter(adapter)
    rank = smallest_rank(lora.rank) if lora else None
    if as_json:
        print_json(adapter=adapter, folder=str(exported), max_lora_rank=rank)
        return
    console.out.print(f"wrote {exported}", markup=False)
    if rank:
        console.out.print(f"vLLM serves it with --enable-lora --max-lora-rank {rank}", markup=False)
    else:
        console.out.print("vLLM does not serve it: its rank is above 512", markup=False)


def _confirm_forgetting(plan: ForgetPlan) -> None:
    """Ask for confirmation; end the command without it. Raises InputError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise InputError("forgetting cannot be undone; add --yes to do it without being asked")
    context = plan.target.context
    target = f"{plan.target.id} ({context.title or ' '.join(context.text.split())[:40]})"
    others = [revision for revision in plan.erased if revision != plan.target.id]
    with_it = f", and {', '.join(others)} with it, since they learnt it too," if others else ""
    retraining = f"; training {len(plan.again)} of them again without it comes first" if plan.again else ""
    typer.confirm(f"Erase {target}{with_it} from the store for good{retraining}?", abort=True, err=True)
