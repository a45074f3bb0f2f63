"""Runs lm-eval's own command line with our model and tasks, and reads the results that it saves."""

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
    """Run lm-eval's command line, by default with our model and our tasks. Returns the exit code; raises SealError.

    Works without the start-up hook.
    """
    from lm_eval.__main__ import cli_evaluate

    register()
    command = arguments[0] if arguments and arguments[0] in ("run", "ls", "validate") else None
    options = arguments[1:] if command else arguments
    defaults = [] if _has_option(options, "--include_path") else ["--include_path", str(tasks_folder())]
    if command in (None, "run") and not _has_option(options, "--model", "-M", "--config", "-C"):
        defaults += ["--model", NAME]
    original_argv = sys.argv
    sys.argv = ["lm_eval", command or "run", *options, *defaults]  # cli_evaluate takes no arguments
    try:
        cli_evaluate()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    finally:
        sys.argv = original_argv
    return 0


def lm_eval_results(arguments: list[str]) -> tuple[int, dict[str, Any]]:
    """Run lm-eval's command line with its tables on standard error. Returns the exit code and the saved results.

    The results are a dictionary, empty if lm-eval saved none. Raises InputError for a command without results, such
    as `ls`.
    """
    if arguments and arguments[0] in ("ls", "validate"):
        raise InputError(f"--json shows results, and `{arguments[0]}` has none; leave --json out")
    with tempfile.TemporaryDirectory(prefix="seal-eval-") as temporary_folder:
        output_path = _option_value(arguments, "--output_path", "-o")
        started = time.time()
        with redirect_stdout(sys.stderr):
            code = run_lm_eval(arguments if output_path else [*arguments, "--output_path", temporary_folder])
        path = Path(output_path or temporary_folder)
        # lm-eval adds a time before a file's suffix, and a subfolder named after the model to a folder
        saved = path.parent.glob(f"{path.stem}*.json") if path.suffix == ".json" else path.rglob("results_*.json")
        new_files = [file for file in saved if file.stat().st_mtime >= started - 1]
        if not new_files:
            return code or 1, {}
        return code, json.loads(max(new_files, key=lambda file: file.stat().st_mtime).read_text(encoding="utf-8"))


def _option_value(arguments: Sequence[str], *names: str) -> str | None:
    """An option's value, given as "name value" or "name=value"."""
    for argument, next_argument in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals_sign, value = argument.partition("=")
        if name in names:
            return value if equals_sign else next_argument
    return None


def _has_option(arguments: Sequence[str], *names: str) -> bool:
    return any(argument.split("=")[0] in names for argument in arguments)
