"""The command line, with a tiny model: what it prints, and what it exits with."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import Call, Ran, caller

import seal_agent.demo
from seal_agent.cli import app as cli
from seal_agent.cli import options
from seal_agent.config import RECIPES, SelfEditConfig
from seal_agent.grading.model_judge import ModelJudge
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Message, Verdict

TEXT = "The mill of Orrin turns by night. Its miller is called Tamsin Vole."


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs `seal …` in this process, with a store of its own."""
    monkeypatch.setenv("COLUMNS", "120")
    return caller(monkeypatch, capsys, tmp_path / "home")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "mill.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def adapt(run: Call, model: Path, text: Path, *more: object) -> Ran:
    gate = () if "--minimum-gain" in more else ("--no-gate",)
    return run("adapt", text, "--model", model, "--recipe", "paper", "--format", "passage", "--epochs", 2, *gate, *more)


def test_adapt_is_graded_by_the_grader_that_is_named(run: Call, model: Path, text: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Who is the miller?", "answer": "Tamsin Vole"}\n')
    asked = ("--questions", questions)
    assert adapt(run, model, text, *asked, "--grader", "model", "--json").json["after"]
    for options_, said in (
        (("--grader", "nobody"), "no grader 'nobody'"),
        (("--grader", "judge"), "--judge-model"),
        (("--judge-model", "gpt"), "leave them out"),
    ):
        refused = adapt(run, model, text, *asked, *options_)
        assert refused.code == 2
        assert said in refused.err


def test_the_demo_is_graded_by_the_grader_that_is_named(
    run: Call, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = replace(
        RECIPES["paper"],
        self_edit=SelfEditConfig(("passage",), self_test=0),
        inner_loop=replace(RECIPES["paper"].inner_loop, rank=2, epochs=1),
    )
    monkeypatch.setattr(seal_agent.demo, "RECIPE", quick)
    monkeypatch.setattr(ModelJudge, "margins", lambda _, items: [1.0] * len(items))
    assert run("demo", "--model", model, "--grader", "model", "--json").json["accuracy_before"] == 1.0


def test_the_demo_says_what_could_not_be_graded(run: Call, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = replace(
        RECIPES["paper"],
        self_edit=SelfEditConfig(("passage",), self_test=0),
        inner_loop=replace(RECIPES["paper"].inner_loop, rank=2, epochs=1),
    )
    monkeypatch.setattr(seal_agent.demo, "RECIPE", quick)
    monkeypatch.setattr(ModelJudge, "_verdict", lambda *_: Verdict.UNGRADED)
    shown = run("demo", "--model", model, "--grader", "model")
    assert shown.code == 0, shown.err
    assert shown.out.count("0 of 6 right") == 3
    assert shown.out.count("(6 could not be graded)") == 3
    assert run("demo", "--model", model, "--grader", "model", "--json").json["accuracy_after"] is None


def test_the_same_text_is_learnt_once_and_with_other_notes_again(run: Call, model: Path, text: Path) -> None:
    first = adapt(run, model, text, "--json").json
    again = adapt(run, model, text)
    assert "had learnt this text with these settings before" in " ".join(again.err.split())
    assert len(run("history", "--json").json["revisions"]) == 1
    other = adapt(run, model, text, "--format", "sentences", "--json").json
    assert other["parent"] == first["id"], "notes that are written otherwise are learnt"


def test_adapt_ask_history_rollback_as_a_user_types_them(run: Call, model: Path, text: Path) -> None:
    first = adapt(run, model, text, "--title", "Orrin", "--json").json
    assert first["accepted"]
    assert first["parent"] is None
    assert first["context"] == {"text": TEXT, "title": "Orrin", "questions": [], "trust": "trusted", "images": []}

    second = adapt(run, model, text, "--json").json
    assert second["parent"] == first["id"]

    answer = run("ask", "Who is the miller?", "--model", model, "--json").json
    assert 0 <= answer["confidence"] <= 1
    assert answer["from_adapter"] is bool(answer["recalled"])
    sure = run(
        "ask", "Who is the miller?", "--model", model, "--least-confidence", "0", "--style", "sentence", "--json"
    )
    assert sure.json["answer"] == sure.json["recalled"] != ""
    assert answer["revision"] == second["id"]

    history = run("history", "--json").json
    assert [r["id"] for r in history["revisions"]] == [first["id"], second["id"]]
    assert history["active"] == second["id"]
    assert run("rollback", "--json").json == {"adapter": "default", "active": first["id"]}
    assert run("rollback").out.strip().endswith("the base model")
    assert run("adapters", "--json").json == {"adapters": {"default": None}}


def test_people_see_words_not_json(run: Call, model: Path, text: Path) -> None:
    assert "kept: there were no questions" in adapt(run, model, text).out
    assert "●" in run("history").out
    assert "default" in run("adapters").out


def test_questions_are_asked_before_and_after_and_gate_the_change(
    run: Call, model: Path, text: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "Who is the miller?", "answer": ["Tamsin Vole"]}\n', encoding="utf-8")
    revision = adapt(run, model, text, "--questions", questions, "--minimum-gain", 0.5, "--json").json
    assert [a["question"]["golds"] for a in revision["before"]] == [["Tamsin Vole"]]
    assert not revision["accepted"]
    assert run("history", "--json").json["active"] is None


def test_text_comes_from_standard_input_too(run: Call, model: Path) -> None:
    ran = run("adapt", "-", "--model", model, "--format", "passage", "--epochs", 1, "--no-gate", "--json", stdin=TEXT)
    assert ran.json["context"]["text"] == TEXT


def test_chat_reads_lines_and_answers_each(run: Call, model: Path) -> None:
    ran = run("chat", "--model", model, "--max-tokens", 5, "--json", stdin="hello\n\nand again\n")
    assert [json.loads(line)["user"] for line in ran.out.splitlines()] == ["hello", "and again"]
    assert run("chat", "--model", model, "--max-tokens", 5, stdin="hello\n").code == 0


def test_a_line_that_is_no_text_ends_no_conversation(run: Call, model: Path) -> None:
    stdin = io.TextIOWrapper(io.BytesIO("über\n".encode() + b"caf\xe9\n" + b"and again"), encoding="utf-8")
    ran = run("chat", "--model", model, "--max-tokens", 5, "--json", stdin=stdin)
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["user"] for row in rows] == ["über", "caf\ufffd", "and again"]
    assert ["assistant" in row for row in rows] == [True, False, True]
    assert "not UTF-8" in rows[1]["error"]
    assert ran.code == 1


def test_a_title_is_the_topic_of_each_question(run: Call, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def chat(self: object, messages: list[Message], **_: object) -> Iterator[str]:
        asked.append(messages[-1].content)
        return iter(["Six."])

    monkeypatch.setattr(SelfAdaptingModel, "chat", chat)
    ran = run("chat", "--model", model, "--title", "Handbook", "--json", stdin="hello\nWhen does it close?\n")
    assert asked == ["hello", "Topic: Handbook\nWhen does it close?"]
    assert [json.loads(line)["user"] for line in ran.out.splitlines()] == ["hello", "When does it close?"]


def test_a_conversation_goes_on_where_a_turn_or_all_turns_are_too_long(run: Call, model: Path) -> None:
    lines = ["hello", "x" * 2100, "y" * 900, "z" * 900, "w" * 900]
    ran = run("chat", "--model", model, "--max-tokens", 5, "--json", stdin="\n".join(lines))
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert [row["user"] for row in rows] == lines
    assert ["assistant" in row for row in rows] == [True, False, True, True, True]
    assert "window is 2048" in rows[1]["error"]
    assert ran.err.count("its oldest turn is left out") >= 2
    assert ran.code == 1, "a turn failed"


def test_export_writes_a_peft_folder(run: Call, model: Path, text: Path, tmp_path: Path) -> None:
    adapt(run, model, text)
    written = Path(run("export", tmp_path / "out", "--model", model, "--json").json["folder"])
    assert {p.name for p in written.iterdir()} >= {"adapter_config.json", "adapter_model.safetensors"}
    assert run("export", tmp_path / "out", "--model", model).code == 2, "an existing folder is not overwritten"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\t ", "is empty"),
        (b"PK\x03\x04\0\0", "is a binary file"),
        ("Grüße".encode("latin-1"), "is not UTF-8"),
        (b"word " * 300_000, "split it"),
    ],
)
def test_an_unusable_text_is_one_sentence_and_exit_2(
    run: Call, model: Path, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    ran = run("adapt", path, "--model", model)
    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert len(ran.err.strip().splitlines()) == 1
    assert ran.out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("adapt", "no-such-file.txt"), 2, "there is no file"),
        (("adapt", "a" * 300), 2, "a" * 20),
        (("adapt", ""), 2, "the name of a file is empty"),
        (("adapt", "-", "--no-gate", "--minimum-gain", "0.2"), 2, "leave one of them out"),
        (("adapt", "-", "--adapter", "alice", "--into", "work"), 2, "give one of them"),
        (("trajectories", "--adapter", "shpo"), 1, "there is no adapter 'shpo'"),
        (("trajectories", "--export", "-", "--json"), 2, "both write to standard output"),
        (("trajectories", "--export", "/proc/none/runs.jsonl"), 1, "/proc/none/runs.jsonl"),
        (("restore", "store.tar", "--home", "/dev/null/home"), 1, "/dev/null/home"),
        (("history", "--home", "/dev/null/home"), 1, "set SEAL_HOME to a writable folder"),
        (("history", "--adapter", "nobody"), 1, "there is no adapter 'nobody'"),
        (("history", "--adapter", "../x"), 2, "cannot name an adapter"),
        (("rollback",), 1, "there is no adapter 'default'"),
        (("ask", "hm?", "--model", "/nowhere/model"), 1, "there is no model folder"),
        (("demo", "--model", "/nowhere/model", "--grader", "nobody"), 2, "no grader 'nobody'"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_misuse_and_failure_have_their_exit_codes(run: Call, arguments: tuple[str, ...], code: int, says: str) -> None:
    ran = run(*arguments)
    assert ran.code == code
    assert says in " ".join(ran.err.split())
    assert "Traceback" not in ran.err


def test_bad_settings_are_refused_before_the_model_is_loaded(run: Call, text: Path) -> None:
    ran = run("adapt", text, "--model", "/nowhere/model", "--epochs", 0)
    assert ran.code == 2
    assert "epochs must be at least 1" in ran.err
    ran = run("adapt", text, "--model", "/nowhere/model", "--format", "sonnet")
    assert ran.code == 2
    assert "implications-long" in ran.err


def test_debug_shows_the_traceback(run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["seal", "adapt", "no-such-file.txt", "--debug"])
    with pytest.raises(cli.InputError):
        cli.main()


def test_ctrl_c_exits_130(run: Call, text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(options.ModelOptions, "load", interrupted)
    for command in (("adapt", text), ("ask", "Who?"), ("diff", "base", "0")):
        ran = run(*command)
        assert (ran.code, ran.out) == (130, "")
        assert ran.err.strip().endswith("seal: interrupted")


def test_where_the_output_lacks_a_character_the_command_still_ends_well(
    model: Path, text: Path, tmp_path: Path
) -> None:
    """As behind a pipe on Windows: signs become question marks, and JSON has escapes."""
    environment = os.environ | {"PYTHONIOENCODING": "cp1252", "SEAL_HOME": str(tmp_path / "home"), "PYTHONUTF8": "0"}

    def seal(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "seal_agent", *map(str, arguments)]
        return subprocess.run(command, env=environment, capture_output=True, check=False)

    quick = ("--model", model, "--recipe", "paper", "--no-gate", "--format", "passage", "--epochs", 1)
    learnt = seal("adapt", text, "--title", "Мельница", *quick, "--json")
    assert learnt.returncode == 0, learnt.stderr.decode("cp1252")
    assert json.loads(learnt.stdout)["context"]["title"] == "Мельница"
    assert json.loads(seal("history", "--json").stdout)["revisions"][0]["context"]["title"] == "Мельница"
    listed = seal("history")
    assert (listed.returncode, b"Traceback" in listed.stderr) == (0, False)


@pytest.mark.parametrize(
    "command",
    [
        *("demo", "adapt", "ask", "chat", "history", "rollback", "forget", "adapters", "export", "tasks", "eval"),
        *("serve", "mcp", "doctor"),
    ],
)
def test_every_help_shows_an_example(run: Call, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert "Example:" in ran.out
    assert "--json" in ran.out


def test_mcp_prints_a_clients_configuration(run: Call) -> None:
    ran = run("mcp", "--adapter", "work", "--allow-writes", "--json")
    arguments = ["mcp", "--adapter", "work", "--allow-writes"]
    assert ran.json == {"mcpServers": {"seal": {"command": "seal", "args": arguments}}}


def test_a_table_of_answers_shows_the_gold_that_a_long_answer_ends_with() -> None:
    from seal_agent.cli import console
    from seal_agent.types import Answer, Question, Verdict

    question = Question("Who built it?", ("Odile Brannock",))
    long = "The lighthouse on the island is old and tall and was built, as everybody here knows, by "
    for text, shown in ((long + "Odile Brannock.", "Odile Brannock"), (long, "The lighthouse on the island")):
        assert shown in console._excerpt(text, question.golds, 72)
    table = console.answers_table(
        [Answer(question, long, Verdict.WRONG)], [Answer(question, long + "odile brannock", Verdict.CORRECT)]
    )
    assert len(table.rows) == 1


def test_version_and_bare_call(run: Call) -> None:
    assert run("--version").out.strip() == "0.1.0"
    assert run().code == 2
    ran = subprocess.run([sys.executable, "-m", "seal_agent", "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "0.1.0"


@pytest.mark.real_model
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_the_demo_teaches_at_least_three_more_answers() -> None:
    seal = Path(sys.executable).with_name("seal")
    ran = subprocess.run([seal, "demo", "--json"], capture_output=True, text=True, check=True)
    result = json.loads(ran.stdout)
    gained = (result["accuracy_after"] - result["accuracy_before"]) * len(result["questions"])
    assert round(gained) >= 3, result
    assert len(result["questions"]) == 6
    assert 0 < result["seconds"] < 800, "nearly three times what it takes on two idle cores, the first time"
    assert 0 <= result["accuracy_in_context"] <= 1
    assert result["self_test"], "it found no question that it could answer itself"
    assert {"question", "golds", "before", "after"} == set(result["self_test"][0])
