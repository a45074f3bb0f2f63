"""The last check: somebody agrees. An error, silence or a closed terminal is a no."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Callable
from typing import Literal

from seal_agent.adaptation.gate.checks import APPROVAL
from seal_agent.errors import InputError, first_line
from seal_agent.types import Check, Revision, describe_revision

Approve = Callable[[Revision], bool] | Literal["ask"]
"""Whether a candidate may become active: a callable, or "ask" for the terminal."""

TIMEOUT = 300.0  # seconds that an answer may take; not tuned


def check_approve(approve: object) -> None:
    """Raises InputError for what can approve nothing."""
    if approve is not None and approve != "ask" and not callable(approve):
        raise InputError(f'approve is a callable that takes a Revision, or "ask", but it is {approve!r}')


def approval(approve: Approve, candidate: Revision, timeout: float = TIMEOUT) -> Check:
    """Ask whether a candidate may become active. Only True is a yes."""
    answer: list[object] = []

    def run() -> None:
        try:
            answer.append(ask_on_terminal(candidate, timeout) if approve == "ask" else approve(candidate))
        except BaseException as err:
            answer.append(err)

    thread = threading.Thread(target=run, name="seal-approval", daemon=True)
    thread.start()
    thread.join(timeout)
    if not answer:
        return Check(APPROVAL, False, f"nobody answered within {timeout:g} seconds")
    if isinstance(answer[0], BaseException):
        return Check(APPROVAL, False, f"asking for approval failed: {first_line(Exception(answer[0]))}")
    return Check(APPROVAL, answer[0] is True, "approved" if answer[0] is True else "denied")


def ask_on_terminal(candidate: Revision, timeout: float = TIMEOUT) -> bool:
    """Whether somebody at the terminal says yes in time. Raises InputError where there is no terminal."""
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask on")
    print(f"{describe_revision(candidate)}\nMake it active? [y/N] ", end="", file=sys.stderr, flush=True)
    ready, _, _ = select.select([sys.stdin], [], [], timeout)
    return bool(ready) and sys.stdin.readline().strip().casefold() in ("y", "yes")
