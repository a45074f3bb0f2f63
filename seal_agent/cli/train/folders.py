"""The folders beside a run's own: where a merged model goes, and the adapter store that is told of the run."""

from __future__ import annotations

from pathlib import Path

from seal_agent.cli import console
from seal_agent.cli.options import open_ledger
from seal_agent.errors import InputError, StoreError


def check_merge(folder: Path | None) -> None:
    """Refuse a folder for the merged model that holds something, before anything is trained. Raises InputError."""
    if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; choose another --merge")


def tell_store(home: Path | None, run: Path) -> None:
    """Let the adapter store know of a run, so that `seal forget` can flag its policies; a store is not needed."""
    from seal_agent.store.policies import register_policies

    try:
        register_policies(open_ledger(home), run)
    except StoreError as err:
        message = f"seal: the policies of this run will not be flagged when a text of theirs is forgotten, since {err}"
        console.err.print(message, style="yellow", markup=False, soft_wrap=True)
