"""lm-eval's own command line with our model and tasks, and the results that it saves."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from seal_agent.errors import InputError
from seal_agent.integrations.lm_eval.hook import NAME, register
from seal_agent.integrations.lm_eval.tasks import tasks_folder


def run_lm_eval(arguments: list[str]) -> int:
    """lm-eval's own command line, with our model and our tasks where the arguments name no others.

    Needs no start-up hook. Returns the exit code; raises SealError.
    """
    from lm_eval.__main__ import cli_evaluate

    register()
    command = arguments[0] if arguments and arguments[0] in ("run", "ls", "validate") else None
    rest = arguments[1:] if command else arguments
    defaults = [] if _names(rest, "--include_path") else ["--include_path", str(tasks_folder())]
    if command in (None, "run") and not _names(rest, "--model", "-M", "--config", "-C"):
        defaults += ["--model", NAME]
    typed, sys.argv = sys.argv, ["lm_eval", command or "run", *rest, *defaults]  # the only way to hand them over
    try:
        cli_evaluate()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = typed
    return 0


def lm_eval_results(arguments: list[str]) -> tuple[int, dict[str, Any]]:
    """As `run_lm_eval`, with its tables on standard error; also gives the results that lm-eval saves, as a dictionary.

    Raises InputError for a command without results, such as `ls`.
    """
    if arguments and arguments[0] in ("ls", "validate"):
        raise InputError(f"--json shows results, and `{arguments[0]}` has none; leave --json out")
    with tempfile.TemporaryDirectory(prefix="seal-eval-") as own:
        given = _value(arguments, "--output_path", "-o")
        started = time.time()
        with redirect_stdout(sys.stderr):
            code = run_lm_eval(arguments if given else [*arguments, "--output_path", own])
        path = Path(given or own)
        # lm-eval puts a time before the suffix of a file, and a folder named after the model below a folder
        saved = path.parent.glob(f"{path.stem}*.json") if path.suffix == ".json" else path.rglob("results_*.json")
        new = [file for file in saved if file.stat().st_mtime >= started - 1]
        if not new:
            return code or 1, {}
        return code, json.loads(max(new, key=lambda file: file.stat().st_mtime).read_text(encoding="utf-8"))


def _value(arguments: Sequence[str], *options: str) -> str | None:
    """What follows an option, after a blank or an equals sign."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name in options:
            return value if equals else following
    return None


def _names(arguments: Sequence[str], *options: str) -> bool:
    return any(argument.split("=")[0] in options for argument in arguments)
