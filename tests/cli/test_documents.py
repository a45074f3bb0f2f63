"""`seal adapt` on documents of every kind, and on what it cannot read."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from command_line import Call, caller
from document_files import docx, epub, pdf

LINES = [(72, 740, 20, "Remote work"), (72, 700, 11, "Staff may work from home on two days.")]
MARKUP = "<h1>Remote work</h1><p>Staff may work from home on two days.</p>"
FILES = {
    "handbook.pdf": pdf(LINES, title="Handbook"),
    "handbook.docx": docx("Handbook"),
    "handbook.epub": epub("Handbook", MARKUP),
    "handbook.html": f"<html><head><title>Handbook</title></head><body>{MARKUP}</body></html>".encode(),
    "handbook.md": b"# Handbook\n## Remote work\nStaff may work from home on two days.\n",
    "handbook.rst": b"Handbook\n========\n\nRemote work\n-----------\n\nStaff may work from home on two days.\n",
    "handbook.txt": b"# Handbook\n\n## Remote work\n\nStaff may work from home on two days.\n",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs `seal …` in this process, with a store of its own."""
    monkeypatch.setenv("COLUMNS", "120")
    return caller(monkeypatch, capsys, tmp_path / "home")


def adapt(model: Path, *more: object) -> tuple[object, ...]:
    return (
        "adapt",
        "--model",
        model,
        "--recipe",
        "paper",
        "--format",
        "passage",
        "--epochs",
        1,
        "--no-gate",
        "--json",
        *more,
    )


@pytest.mark.parametrize("name", FILES)
def test_a_document_is_learnt_section_by_section(run: Call, model: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    revision = run(*adapt(model, "--self-test", 0, path)).json
    assert revision["context"]["title"] == "Handbook"
    assert revision["sources"][0]["title"] == "Handbook: Remote work"
    assert revision["sources"][0]["place"] == ("page 1" if name.endswith("pdf") else revision["sources"][0]["place"])
    assert revision["passages"][0].startswith("Staff may work from home on two days")


def test_a_title_of_ones_own_stands_before_the_headings(run: Call, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.md"
    path.write_text("# Remote work policy\n\nStaff may work from home.\n", encoding="utf-8")
    revision = run(*adapt(model, "--self-test", 0, "--title", "Handbook", path)).json
    assert [source["title"] for source in revision["sources"]] == ["Handbook: Remote work policy"]
    assert revision["passages"] == ["Staff may work from home."]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_other_unicode_encodings_are_read(run: Call, model: Path, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "mill.txt"
    path.write_text("The mill of Orrin – it turns.", encoding=encoding)
    revision = run(*adapt(model, "--self-test", 0, path)).json
    assert revision["context"]["text"] == "The mill of Orrin – it turns."
    assert revision["sources"] == []


def test_bytes_on_standard_input_are_read_and_refused_like_a_file(
    run: Call, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from seal_agent.cli import app

    for raw, code, says in (("Grüße".encode("latin-1"), 2, "is not UTF-8"), ("Grüße".encode("utf-16"), 0, "Grüße")):
        arguments = adapt(model, "--self-test", 0, "-")
        monkeypatch.setattr(sys, "argv", ["seal", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))
        with pytest.raises(SystemExit) as exit_:
            app.main()
        assert (exit_.value.code or 0) == code
        assert says in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pdf", b"%PDF-1.4 nonsense", "no readable PDF file"),
        ("a.docx", b"PK\x03\x04\0\0", "no readable Word file"),
        ("a.odt", b"PK\x03\x04\0\0", "save it as .docx"),
        ("a.txt", b"[" * 100_000, "holds no words"),
        ("a.txt", "mill".encode("utf-16")[:-1], "is not UTF-16"),
        ("a.txt", "mill".encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_before_a_model_is_loaded(
    run: Call, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    ran = run("adapt", path, "--model", "/nowhere/model")
    assert ran.code == 2
    assert says in " ".join(ran.err.split())
    assert len(ran.err.strip().splitlines()) == 1
