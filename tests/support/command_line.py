"""Running `seal …` in the test's own process."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pytest

from seal_agent.cli import app as cli


class Ran(NamedTuple):
    """What a command exited with and printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


Call = Callable[..., Ran]


def caller(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path | None = None) -> Call:
    """What calls `seal` with arguments as they are typed, on the store in this folder if one is given."""
    if home:
        monkeypatch.setenv("SEAL_HOME", str(home))

    def call(*arguments: object, stdin: str | TextIO = "") -> Ran:
        monkeypatch.setattr(sys, "argv", ["seal", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        code = exit_.value.code
        return Ran(code if isinstance(code, int) else 0, *capsys.readouterr())

    return call
