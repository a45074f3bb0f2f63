"""Several files for `seal adapt`: which there are, and which adapter learns each."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.adapt_files import adapter_names, documents_in, joined
from seal_agent.cli.app import app
from seal_agent.data.documents.read import read_document
from seal_agent.errors import InputError


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "opening hours.md").write_text("# Hours\n\nThe office opens at nine.")
    (folder / "leave.txt").write_text("Staff have thirty days of leave.")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    return folder


def test_a_folder_stands_for_the_documents_in_it(notes: Path) -> None:
    assert [path.name for path in documents_in([notes])] == ["leave.txt", "opening hours.md"]
    with pytest.raises(InputError, match=r"holds no document; it may hold \.txt"):
        documents_in([notes.parent])


def test_each_file_names_its_adapter(notes: Path) -> None:
    assert adapter_names(documents_in([notes])) == ["leave", "opening-hours"]
    with pytest.raises(InputError, match=r"would both be learnt by adapter 'leave'; rename"):
        adapter_names([notes / "leave.txt", notes / "leave.md"])


def test_joined_each_stands_under_its_title_or_its_files_name(notes: Path) -> None:
    paths = documents_in([notes])
    document = joined([read_document(path) for path in paths], paths, "Staff")
    assert [document.title_of(section) for section in document.sections] == ["Staff: leave", "Staff: Hours"]
    assert document.text == "leave\n\nStaff have thirty days of leave.\n\nHours\n\nThe office opens at nine."


@pytest.mark.parametrize("option", [["--adapter", "a"], ["--title", "T"], ["--questions", "q.jsonl"]])
def test_what_is_said_of_one_text_cannot_be_said_of_several(notes: Path, option: list[str]) -> None:
    with pytest.raises(InputError, match="use --into NAME"):
        CliRunner().invoke(app, ["adapt", str(notes), *option], catch_exceptions=False)


def test_standard_input_is_learnt_alone(notes: Path) -> None:
    with pytest.raises(InputError, match="learnt alone"):
        CliRunner().invoke(app, ["adapt", "-", str(notes)], catch_exceptions=False)


@pytest.mark.parametrize("into", [[], ["--into", "staff"]])
def test_a_folder_is_learnt_file_by_file_or_as_one(
    notes: Path, tmp_path: Path, into: list[str], tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path]
) -> None:
    model = str(save_model(tiny_base, tmp_path / "model"))
    quick = [
        "--recipe",
        "paper",
        "--format",
        "passage",
        "--epochs",
        "1",
        "--self-test",
        "0",
        "--no-gate",
        "--model",
        model,
    ]
    arguments = ["adapt", str(notes), *into, *quick, "--model", model, "--home", str(tmp_path / "home"), "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    found = json.loads(result.stdout)
    if into:
        assert (found["adapter"], len(found["passages"])) == ("staff", 2)
    else:
        assert [revision["adapter"] for revision in found["revisions"]] == ["leave", "opening-hours"]
