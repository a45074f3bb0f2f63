"""Pictures on the command line, with a tiny model that sees and one that does not."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Call
from seeing_models import folder_of, picture, seeing, shown

from seal_agent.base_model.model import BaseModel
from seal_agent.cli.adapt_files import documents_in, joined
from seal_agent.config import AnswerConfig
from seal_agent.data.documents.document import Block, Document, Section
from seal_agent.generation.hf import HFEngine
from seal_agent.types import Context


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "album" / "page.png"
    path.parent.mkdir()
    path.write_bytes(b64decode(picture(1).png))
    return path


SEEING = ("--device", "cpu", "--dtype", "float32")


def test_a_question_may_show_a_picture(seal: Call, page: Path) -> None:
    ran = seal("ask", "What is this?", "--image", page, "--model", folder_of("llava"), *SEEING, "--json")
    engine = HFEngine(seeing("llava"))
    (said,) = engine.generate([shown("What is this?", picture(1))], AnswerConfig().sampling())
    assert (ran.code, ran.json["answer"]) == (0, said.text.strip())


def test_a_picture_that_the_model_says_nothing_certain_of_is_refused(seal: Call, page: Path) -> None:
    ran = seal("adapt", page, "--title", "Plan", "--model", folder_of("llava"), *SEEING)
    assert ran.code == 2
    assert "does not agree with itself on anything in the picture" in " ".join(ran.err.split())


def test_a_model_that_does_not_see_says_so(
    seal: Call, page: Path, tiny_base: BaseModel, save_model: Callable[[BaseModel, Path], Path], tmp_path: Path
) -> None:
    blind = save_model(tiny_base, tmp_path / "model")
    for ran in (
        seal("ask", "What is this?", "--image", page, "--model", blind),
        seal("adapt", page, "--model", blind),
        seal("train", "--pictures", page.parent, "--reward", "votes", "--run", tmp_path / "run", "--model", blind),
    ):
        assert ran.code == 2
        assert "does not see" in " ".join(ran.err.split())


def test_pictures_without_labels_are_trained_on_by_votes(seal: Call, page: Path, tmp_path: Path) -> None:
    options = ("--reward", "votes", "--run", tmp_path / "run", "--rounds", "1", "--model", folder_of("llava"), *SEEING)
    ran = seal("train", "--pictures", page.parent, *options, "--json")
    assert ran.code == 0
    assert ran.json["rounds"][0]["round"] == 1
    refused = seal("train", "--pictures", page.parent, "--run", tmp_path / "run", "--model", folder_of("llava"))
    assert refused.code == 2
    assert "--reward votes" in refused.err
    assert seal("train", "--pictures", tmp_path, *options).code == 2


def test_a_folder_of_pictures_alone_stands_for_them(page: Path) -> None:
    assert documents_in([page.parent]) == [page]
    (page.parent / "notes.txt").write_text("Something.")
    assert [path.name for path in documents_in([page.parent])] == ["notes.txt"]


def test_texts_and_pictures_of_one_adapter_are_one_context(page: Path) -> None:
    text = Document("", (Section((Block("Old Tom built the pier."),)),))
    context = joined([text, Context("", images=(picture(1),))], [Path("pier.txt"), page], "Harbour")
    assert context == Context("pier\n\nOld Tom built the pier.", "Harbour", images=(picture(1),))
