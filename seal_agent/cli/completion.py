"""What the shell offers after `--adapter`: the names in the store. Reads the ledger alone, without a model."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import typer


def adapter_names(context: typer.Context, incomplete: str) -> list[str]:
    """The store's adapters that begin so; none where there is no store, or it cannot be read."""
    from seal_agent.errors import SealError
    from seal_agent.paths import default_home
    from seal_agent.store.ledger import Ledger

    home = Path(context.params.get("home") or default_home()).expanduser()
    if (home / "ledger.sqlite").exists():
        with suppress(SealError, OSError):
            return sorted(name for name in Ledger(home).adapters() if name.startswith(incomplete))
    return []
