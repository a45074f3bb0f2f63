"""Every command line of the pages is one that its program takes; those that cost little are run."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import Call, caller
from doc_blocks import ROOT, SHELLS, Block, Command, all_blocks, commands_of

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.app import app

BLOCKS = all_blocks(*SHELLS)
COMMANDS = [command for block in BLOCKS for command in commands_of(block)]
QUICK = ("--recipe", "paper", "--format", "passage", "--epochs", "2", "--no-gate")
RUN = {("adapters",), ("bench",), ("doctor",), ("recipes",), ("recipes", "paper"), ("tasks",), ("verify",)}
UsageError = typer.BadParameter.__bases__[0]
FOREIGN = {"curl", "export", "openssl", "ray", "vllm"}


def of(*programs: str) -> Any:
    chosen = [command for command in COMMANDS if command.program in programs]
    return pytest.mark.parametrize("command", chosen, ids=str)


def test_the_pages_have_no_block_of_another_kind() -> None:
    known = {*SHELLS, "python", "json", "toml", "ini", "text"}
    assert [str(block) for block in all_blocks("", "console", "shell", "py", "yaml")] == []
    assert {block.kind for block in all_blocks(*known)} <= known


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_of_other_programs_says_why_it_is_not_run(block: Block) -> None:
    programs = {command.program for command in commands_of(block)}
    assert programs <= FOREIGN | CHECKED.keys(), f"{block}: mark it <!-- not run: why -->, or test it here"
    assert block.why_not or not programs & (FOREIGN - {"export", "openssl"}), f"{block} needs <!-- not run: why -->"


def parse_seal(arguments: list[str]) -> Any:
    """The context of a `seal` line, as typer makes it before it calls the command. Raises UsageError."""
    command: Any = typer.main.get_command(app)
    context = command.context_class(command, info_name="seal")
    while hasattr(command, "get_command"):
        if arguments[0].startswith("-"):
            assert arguments[0] in {option for parameter in command.params for option in parameter.opts}
            return context
        name, *arguments = arguments
        parent, command = command, command.get_command(context, name)
        assert command is not None, f"{parent.name} has no command {name}"
    return command.make_context(command.name, list(arguments), parent=context)


def check_seal(command: Command) -> None:
    context = parse_seal(command.arguments)
    if command.arguments[0] == "eval":
        check_lm_eval(["--include_path", "SUBSTITUTED", *context.args])


def check_lm_eval(arguments: list[str]) -> None:
    """Options, the arguments of our model, and our tasks are there."""
    from lm_eval._cli import HarnessCLI

    from seal_agent.integrations.lm_eval.arguments import read_arguments

    parsed = HarnessCLI()._parser.parse_args(["run", *arguments])
    given = parsed.model_args or {}
    if parsed.model in (None, "seal"):
        read_arguments({name: value for name, value in given.items() if name != "pretrained"})
    names = parsed.tasks.split(",") if isinstance(parsed.tasks, str) else parsed.tasks
    ours = {path.stem for path in (ROOT / "lm_eval_tasks").glob("*/seal_*.yaml")}
    assert all(name in ours for name in names if name.startswith("seal_")), names


def check_python(command: Command) -> None:
    """A script of this repository, which knows every option."""
    script, *arguments = command.arguments
    assert (ROOT / script).is_file(), script
    sources = [ROOT / script, *(ROOT / "benchmarks" / "parts").glob("*.py")]
    texts = {node.value for source in sources for node in ast.walk(ast.parse(source.read_text())) if is_text(node)}  # type: ignore[attr-defined]
    options = {argument for argument in arguments if argument.startswith("--")}
    assert {option for option in options if option.replace("--no-", "--", 1) not in texts} <= texts


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def check_make(command: Command) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in command.arguments if "=" not in word} <= targets


def check_pip(command: Command) -> None:
    """Extras are those of the package."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for named in re.findall(r"seal-agent\[([\w,-]+)\]", " ".join(command.arguments)):
        assert {*named.split(",")} <= extras.keys()


CHECKED: dict[str, Callable[[Command], None]] = {
    "seal": check_seal,
    "lm_eval": lambda command: check_lm_eval(command.arguments),
    "python": check_python,
    ".venv-vllm/bin/python": check_python,
    "make": check_make,
    "pip": check_pip,
}


@of(*CHECKED)
def test_a_command_line_is_one_that_the_program_takes(command: Command) -> None:
    CHECKED[command.program](command)


@pytest.mark.parametrize("line", [["adapt", "x.txt", "--no-such"], ["askk"], ["arc", "solv"], ["adapt"]])
def test_a_wrong_line_is_found(line: list[str]) -> None:
    with pytest.raises((AssertionError, UsageError)):
        parse_seal(line)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    monkeypatch.setenv("SEAL_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return caller(monkeypatch, capsys)


@cache
def cheap() -> list[tuple[str, ...]]:
    written = {tuple(command.arguments) for command in COMMANDS if command.program == "seal"}
    return sorted(RUN & written)


def test_lines_that_cost_little_run(call: Call) -> None:
    assert len(cheap()) > 4
    for line in cheap():
        ran = call(*line)
        assert ran.code == 0, (line, ran.err)
        assert ran.out.strip(), line


def test_the_page_about_learning_runs_from_top_to_bottom(
    call: Call, tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path
) -> None:
    """The lines of "Command line" in docs/learn.md, on a tiny model and with the id of the revision that there is."""
    model = save_model(tiny_base, tmp_path / "model")
    (tmp_path / "handbook.txt").write_text("The Hollin Street office closes at 16:10.")
    (block,) = [block for block in BLOCKS if block.page.name == "learn.md" and "seal history" in block.text]
    revision = ""
    for command in commands_of(block):
        name, *words = command.arguments
        line = [name, *(revision if word == "6ea30f4932f3" else word for word in words)]
        line += ["--model", str(model)] if name in ("adapt", "ask", "chat", "export", "forget") else []
        line += {"adapt": QUICK, "forget": ("--yes",)}.get(name, ())
        ran = call(*line)
        assert ran.code == 0, (line, ran.err)
        if name == "adapt":
            (learnt,) = call("history", "--adapter", "alice", "--json").json["revisions"]
            revision = learnt["id"]
    assert (tmp_path / "alice" / "adapter_model.safetensors").is_file()
    assert call("history", "--adapter", "alice", "--json").json["revisions"] == []
