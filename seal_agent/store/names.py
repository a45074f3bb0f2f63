"""What an adapter may be called: a name that is safe as a file name everywhere."""

from __future__ import annotations

import re

from seal_agent.errors import InputError
from seal_agent.types import Revision

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """The name itself, or InputError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name an adapter; use 1 to 64 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit"
        )
    return name


def revision_id(revision: str | Revision) -> str:
    """The id of a revision, which may be given itself."""
    return revision.id if isinstance(revision, Revision) else revision
