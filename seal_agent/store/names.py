"""What an adapter may be called: a name that is safe as a file name everywhere."""

from __future__ import annotations

import re

from seal_agent.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_name(name: str) -> str:
    """The name itself, or InputError."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot name an adapter; use 1 to 64 letters, digits, dots, dashes and underscores, "
            "beginning with a letter or digit"
        )
    return name
