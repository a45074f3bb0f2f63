"""Care of the store: `seal import | promote | revoke | delete | diff | verify | backup | restore | budget`."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seal_agent.cli import console
from seal_agent.cli.options import Adapter, Home, Json, ModelOptions, open_ledger, print_json
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.store.ledger import Ledger

RevisionId = Annotated[str, typer.Argument(help="Its id, from `seal history`.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; it cannot be undone.")]


def import_(
    folder: Annotated[Path, typer.Argument(help="A PEFT folder with safetensors, of plain LoRA.")],
    model_options: ModelOptions,
    adapter: Adapter = "default",
    title: Annotated[str, typer.Option(help="What it is about.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take somebody else's adapter into quarantine: it answers only as ADAPTER@REVISION until it is promoted."""
    from seal_agent.store.importing import read_foreign

    read_foreign(folder.expanduser())  # refuse it before a model is loaded
    revision = model_options.load(home).import_adapter(folder, adapter=adapter, title=title)
    if as_json:
        print_json(**console.revision_json(revision))
        return
    if revision.status != "quarantined":
        console.out.print(f"{revision.id} was imported before, and is {revision.status}", markup=False)
        return
    console.out.print(f"{revision.id} is in quarantine; nothing of it was checked", markup=False)
    console.out.print(f'ask it by: seal ask "…" --adapter {adapter}@{revision.id}', markup=False)


def promote(revision: RevisionId, home: Home = None, as_json: Json = False) -> None:
    """Make a quarantined revision the active one: you trust it."""
    from seal_agent.adaptation.reviews import promote as promote_revision

    ledger = open_ledger(home)
    promoted = promote_revision(ledger, ledger.get(revision))
    _tell(promoted.adapter, promoted.id, as_json)


def revoke(revision: RevisionId, home: Home = None, as_json: Json = False) -> None:
    """Never use a revision again, nor what was learned on top of it. Nothing is deleted."""
    from seal_agent.adaptation.reviews import revoke as revoke_revision

    ledger = open_ledger(home)
    known = ledger.get(revision)
    active = revoke_revision(ledger, known)
    _tell(known.adapter, active.id if active else None, as_json)


def delete(
    adapter: Annotated[str, typer.Argument(help="Name of the adapter.")],
    yes: Yes = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Delete an adapter for good: all its revisions, texts and weights."""
    from seal_agent.adaptation.forget import delete_adapter

    ledger = open_ledger(home)
    ledger.check_known(adapter)
    count = len(ledger.with_damaged(adapter))
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("deleting cannot be undone; add --yes to do it without being asked")
        typer.confirm(f"Delete adapter {adapter} with {count} revisions for good?", abort=True, err=True)
    delete_adapter(ledger, adapter)
    if as_json:
        print_json(adapter=adapter, deleted=count)
    else:
        console.out.print(f"adapter {adapter!r} and its {count} revisions are deleted", markup=False)


def diff(
    left: Annotated[str, typer.Argument(help='A revision, or "base".')],
    right: Annotated[str, typer.Argument(help='A revision, or "base".')],
    model_options: ModelOptions,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """The questions that two revisions answer differently: their own, and general ones."""
    seal = model_options.load(home)
    with console.waiting("asking both", quiet=as_json):
        changes = seal.diff(left, right)
    if as_json:
        rows = [{**dataclasses.asdict(change), "kind": change.kind} for change in changes]
        print_json(left=left, right=right, asked=changes.asked, changes=rows)
    elif changes:
        counts = Counter(change.kind for change in changes)
        said = ", ".join(f"{counts[kind]} {kind}" for kind in ("lost", "gained", "other words"))
        console.out.print(
            f"from {left} to {right}, {len(changes)} of {changes.asked} answers changed: {said}",
            markup=False,
        )
        console.out.print(console.changes_table(changes, (left, right)))
    elif changes.asked:
        console.out.print(f"both answer all {changes.asked} questions alike")
    else:
        console.out.print("nothing could be asked: there is no question about either")


def verify(home: Home = None, as_json: Json = False) -> None:
    """Check the whole store: database, chain of changes, revisions, weights. Exit code 1 if something is wrong."""
    from seal_agent.store.verify import verify as verify_store

    with console.waiting("checking the store", quiet=as_json):
        report = verify_store(_existing_ledger(home))
    if as_json:
        print_json(**dataclasses.asdict(report))
    else:
        for problem in report.problems:
            console.out.print(f"✗ {problem.what}; {problem.fix}", markup=False, soft_wrap=True)
        console.out.print(
            f"{report.revisions} revisions, {report.links} changes, {len(report.problems)} problems; the chain ends in "
            f"{report.head}",
            markup=False,
            soft_wrap=True,
        )
    if report.problems:
        raise typer.Exit(1)


def backup(file: Annotated[Path, typer.Argument(help="A new file.")], home: Home = None, as_json: Json = False) -> None:
    """Write the whole store into one file, to keep or to move to another machine."""
    from seal_agent.store.backup import backup as write_backup

    with console.waiting("writing the backup", quiet=as_json):
        size = write_backup(_existing_ledger(home), file.expanduser())
    if as_json:
        print_json(file=str(file), bytes=size)
    else:
        console.out.print(f"wrote {file} ({size / 1e6:.1f} MB)", markup=False)


def restore(
    file: Annotated[Path, typer.Argument(help="A file of `seal backup`.")], home: Home = None, as_json: Json = False
) -> None:
    """Unpack a backup into a new store, after all of it was checked."""
    from seal_agent.paths import default_home
    from seal_agent.store.backup import restore as unpack

    place = home.expanduser() if home else default_home()
    with console.waiting("restoring", quiet=as_json):
        adapters = unpack(file.expanduser(), place).with_unused()
    if as_json:
        print_json(home=str(place), adapters=adapters)
    else:
        many = "adapter" if len(adapters) == 1 else "adapters"
        console.out.print(f"restored {len(adapters)} {many} into {place}", markup=False)


def budget(
    adapter: Annotated[
        str | None, typer.Option("--adapter", "-a", help="Limits of one adapter. \\[default: of each adapter]")
    ] = None,
    whole_store: Annotated[bool, typer.Option("--store", help="Limits of all adapters together.")] = False,
    adaptations: Annotated[int | None, typer.Option(help="Adaptations an hour.", min=0)] = None,
    seconds: Annotated[float | None, typer.Option(help="Seconds of training an hour.", min=0)] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens trained on an hour.", min=0)] = None,
    megabytes: Annotated[float | None, typer.Option(help="Megabytes of adapters on disk.", min=0)] = None,
    clear: Annotated[bool, typer.Option(help="Remove these limits.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show or set how much adapters may take. All processes that use the store keep to it."""
    from seal_agent.config import Limits
    from seal_agent.store.budget import EACH, STORE, limits_of, set_limits

    if adapter and whole_store:
        raise InputError("--adapter and --store exclude each other; give one of them")
    ledger, scope = open_ledger(home), STORE if whole_store else adapter or EACH
    given: dict[str, Any] = {"adaptations": adaptations, "seconds": seconds, "tokens": tokens, "megabytes": megabytes}
    wanted = {name: value for name, value in given.items() if value is not None}
    if wanted or clear:
        kept = Limits() if clear else limits_of(ledger, scope)
        set_limits(ledger, scope, dataclasses.replace(kept, **wanted))
    limits = dataclasses.asdict(limits_of(ledger, scope))
    if as_json:
        print_json(scope=scope, limits=limits)
        return
    for name, value in limits.items():
        console.out.print(f"{scope}\t{name}\t{'no limit' if value is None else f'{value:g}'}", markup=False)


def _tell(adapter: str, active: str | None, as_json: bool) -> None:
    if as_json:
        print_json(adapter=adapter, active=active)
    else:
        console.out.print(f"adapter {adapter!r} is now at {active or 'the base model'}", markup=False)


def _existing_ledger(home: Path | None) -> Ledger:
    """As `open_ledger`, without making a store. Raises InputError where there is none."""
    from seal_agent.paths import default_home

    place = home.expanduser() if home else default_home()
    if not (place / "ledger.sqlite").exists():
        raise InputError(f"there is no adapter store in {place}; name its folder by --home or SEAL_HOME")
    return open_ledger(home)
