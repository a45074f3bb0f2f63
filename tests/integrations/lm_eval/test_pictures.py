"""The invented pictures: drawn alike each time, legible, and with answers that only the picture gives."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import PIL
import pytest

pytest.importorskip("lm_eval")

from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.tasks import TaskManager
from PIL import Image, ImageColor

from lm_eval_tasks.seal_pictures import sheet
from lm_eval_tasks.seal_pictures.canvas import COLOURS, Box
from lm_eval_tasks.seal_pictures.invent import specification
from lm_eval_tasks.seal_pictures.kinds.plan import area_of
from lm_eval_tasks.seal_pictures.pictures import SPECIFICATION, Picture, picture_named, pictures
from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError, MissingDependency
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.images.pixels import hash_of
from seal_agent.integrations.lm_eval.command import run_lm_eval
from seal_agent.integrations.lm_eval.model import SealLM
from seal_agent.integrations.lm_eval.tasks import tasks_folder
from seal_agent.integrations.lm_eval.visuals import PLACEHOLDER, visuals_of
from seal_agent.types import Verdict

ROOT = Path(__file__).parents[3]
DRAWN_WITH = ("13.0.0", "14d6559d6db80ad5b475cbb59fcf28d6e8acbd3026793664e18b307d64ab0102")
"""A release of Pillow, and the hash of all pictures that it draws: another hash is another version of the task."""
HASHES = """
from lm_eval_tasks.seal_pictures.pictures import pictures
from seal_agent.images.pixels import hash_of
print(*(hash_of(picture.draw()) for picture in pictures()))
"""
by_name = pytest.mark.parametrize("picture", pictures(), ids=lambda picture: picture.name)


def folded(texts: list[str]) -> str:
    return " | ".join(texts).casefold()


# ---------------------------------------------------------------- the specification


def test_there_are_twelve_kinds_of_four_pictures_with_six_questions_each() -> None:
    assert Counter(picture.kind for picture in pictures()) == {picture.kind: 4 for picture in pictures()[:12]}
    assert len({picture.name for picture in pictures()}) == len({picture.title for picture in pictures()}) == 48
    assert all(len({question.text for question in picture.questions}) == 6 for picture in pictures())
    assert Counter(skill for picture in pictures() for skill in picture.skills).keys() == {
        "read",
        "compare",
        "place",
        "colour",
    }


def test_the_committed_specification_is_what_is_invented() -> None:
    assert SPECIFICATION.read_text(encoding="utf-8").splitlines() == list(specification())


@by_name
def test_no_answer_stands_in_the_title_or_in_a_question(picture: Picture) -> None:
    given = [picture.title, *(question.text for question in picture.questions)]
    words = [{*text.casefold().replace("?", " ").replace(",", " ").replace("'s", " ").split()} for text in given]
    for question in picture.questions:
        for gold in question.golds:
            assert all(gold.casefold() not in text.casefold() for text in given if len(gold) > 2), (gold, question)
            assert not any({*gold.casefold().split()[:1]} & text for text in words), (gold, question)


def test_comparisons_hold_of_what_is_drawn() -> None:
    for picture in pictures():
        data, skills = picture.data, picture.skills
        compared = [q.golds[0] for q, skill in zip(picture.questions, skills, strict=True) if skill == "compare"]
        if picture.kind == "bars":
            heights = {name: value for name, value, _ in data["bars"]}
            assert compared == [max(heights, key=heights.__getitem__), min(heights, key=heights.__getitem__)]
        elif picture.kind == "lines":
            years = {str(year): value for year, value in data["points"]}
            assert compared == [max(years, key=years.__getitem__), min(years, key=years.__getitem__)]
        elif picture.kind == "pie":
            shares = {name: share for name, share, _ in data["slices"]}
            assert sum(shares.values()) == 100
            assert compared == [max(shares, key=shares.__getitem__)]
        elif picture.kind == "receipt":
            prices = {item: float(price) for item, price in data["items"]}
            assert compared == [max(prices, key=prices.__getitem__)]
            assert f"{sum(prices.values()):.2f}" == data["total"]
        elif picture.kind == "plan":
            areas = {room[0]: float(area_of(data, room[0])) for room in data["rooms"]}
            assert compared == [max(areas, key=areas.__getitem__)]
        else:
            assert compared == []


def test_answers_differ_so_that_no_constant_answer_scores() -> None:
    golds = [question.golds[0] for picture in pictures() for question in picture.questions]
    assert Counter(golds).most_common(1)[0][1] <= 0.02 * len(golds)
    assert len({*golds}) > 0.9 * len(golds)
    colours = [
        question.golds[0]
        for picture in pictures()
        for question, skill in zip(picture.questions, picture.skills, strict=True)
        if skill == "colour"
    ]
    assert len(colours) <= 0.1 * len(golds)
    assert Counter(colours).most_common(1)[0][1] <= 6


@by_name
def test_the_grader_takes_a_gold_and_no_other_answer_of_the_picture(picture: Picture) -> None:
    grader = LexicalGrader()
    for question in picture.questions:
        for gold in question.golds:
            assert grader.grade(question.text, question.golds, gold) is Verdict.CORRECT, question
            assert grader.direct(question.text, question.golds, f"The answer is {gold}.") is Verdict.CORRECT, question
        for other in picture.questions:
            if other is not question:
                assert grader.grade(question.text, question.golds, other.golds[0]) is Verdict.WRONG, (question, other)
        assert grader.grade(question.text, question.golds, "I do not know.") is Verdict.WRONG


# ---------------------------------------------------------------- the drawings


@by_name
def test_what_is_asked_is_drawn(picture: Picture) -> None:
    canvas = picture.canvas()
    drawn = folded([text.text for text in canvas.texts])
    shades = {colour for _, colour in canvas.image.getcolors(1 << 24)}
    for question, skill in zip(picture.questions, picture.skills, strict=True):
        shown = any(gold.casefold() in drawn for gold in question.golds)
        coloured = [COLOURS[word] for word in question.golds[0].split() if word in COLOURS]
        assert shown or coloured, question
        assert (skill == "colour") <= bool(coloured)
        assert all(ImageColor.getrgb(colour) in shades for colour in coloured)
    assert picture.title.casefold() in drawn


@by_name
def test_texts_lie_inside_and_apart(picture: Picture) -> None:
    canvas = picture.canvas()
    for text in canvas.texts:
        left, top, right, bottom = text.box
        assert left >= 2, text
        assert top >= 2, text
        assert right <= canvas.width - 2, text
        assert bottom <= canvas.height - 2, text
        assert bottom - top >= 7, text
    for one, other in combinations(canvas.texts, 2):
        assert apart(one.box, other.box), (one, other)


def apart(one: Box, other: Box) -> bool:
    across = max(other[0] - one[2], one[0] - other[2])
    down = max(other[1] - one[3], one[1] - other[3])
    return across >= 4 or down >= 2


@by_name
def test_pictures_have_a_size_that_small_models_take(picture: Picture) -> None:
    image = picture.draw()
    assert image.mode == "RGB"
    assert max(image.size) <= 512
    assert min(image.size) >= 350


def test_other_processes_draw_the_same_pixels() -> None:
    hashes = [hash_of(picture.draw()) for picture in pictures()]
    assert len({*hashes}) == 48
    env = {**os.environ, "PYTHONHASHSEED": "77", "LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", HASHES], capture_output=True, text=True, check=True, env=env)
    assert ran.stdout.split() == hashes
    if DRAWN_WITH[0] == PIL.__version__:
        assert hashlib.sha256(" ".join(hashes).encode()).hexdigest() == DRAWN_WITH[1]


def test_no_image_file_is_committed() -> None:
    folder = SPECIFICATION.parent
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {".py", ".pyc", ".md", ".yaml", ".jsonl"}
    assert SPECIFICATION.stat().st_size < 50_000


def test_without_pillow_the_install_line_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingDependency, match=r"pip install 'seal-agent\[vision\]'"):
        pictures()[0].draw()


def test_the_sheet_shows_every_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    sheet.main([str(out), "--kinds", "bars", "tree", "--columns", "2", "--scale", "0.25"])
    assert capsys.readouterr().out == f"wrote 8 pictures to {out}\n"
    with Image.open(out) as image:
        assert image.size == ((128 + 16) * 2 + 16, (96 + 16) * 4 + 16)
    with pytest.raises(SystemExit) as ended:
        sheet.main([str(tmp_path / "none" / "sheet.png"), "--kinds", "bars"])
    assert ended.value.code == 2
    assert "sheet.png cannot be written" in capsys.readouterr().err


# ---------------------------------------------------------------- lm-eval


class ReadsTheSpecification(LM):
    """A model that takes images and knows every answer by the pixels that it is shown: it must get them to answer."""

    MULTIMODAL = True

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[str] = []
        self._answers = {
            (hash_of(picture.draw()), question.text): question.golds[0]
            for picture in pictures()
            for question in picture.questions
        }

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        self.prompts = [request.args[0] for request in requests]
        return [self._answer(request) for request in requests]

    def _answer(self, request: Instance) -> str:
        (image,) = visuals_of(request)
        placeholder, _, asked = request.args[0].partition("\n")
        assert placeholder == PLACEHOLDER
        return next(
            answer
            for (pixels, question), answer in self._answers.items()
            if pixels == image.sha256 and question in asked
        )

    def loglikelihood(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = False) -> Any:
        raise NotImplementedError


def manager(**metadata: object) -> TaskManager:
    return TaskManager(include_path=str(tasks_folder()), include_defaults=False, metadata=metadata)


def test_lm_eval_shows_each_picture_with_its_questions_and_scores_the_answers() -> None:
    model = ReadsTheSpecification()
    tasks = manager(limit_contexts=2)
    found = simple_evaluate(model, tasks=["seal_pictures"], task_manager=tasks, bootstrap_iters=0)
    scores = found["results"]["seal_pictures"]
    assert (scores["acc,none"], scores["passage_acc,none"], scores["is_answer,none"]) == (1.0, 1.0, 1.0)
    assert scores["ungraded,none"] == 0
    assert len(model.prompts) == 2 * 6
    assert "Topic: Honey stalls of Dundesh" in model.prompts[0]
    samples = found["samples"]["seal_pictures"]
    assert {sample["doc"]["skill"] for sample in samples} == {"read", "compare", "place", "colour"}
    assert samples[0]["doc"]["picture"] == "bars-1"
    assert all(isinstance(sample["arguments"][0][2]["visual"][0], str) for sample in samples)  # hashes, not pixels


def test_without_the_picture_it_is_another_task(tiny_base: BaseModel) -> None:
    task = manager().load(["seal_pictures_blind"])["tasks"]["seal_pictures_blind"]
    assert (len(task.eval_docs), getattr(task, "MULTIMODAL", False)) == (288, False)
    assert PLACEHOLDER not in task.doc_to_text(task.eval_docs[0])
    lm = SealLM(tiny_base, mode="base")
    found = simple_evaluate(lm, tasks=["seal_pictures_blind"], task_manager=manager(limit_contexts=1))
    assert found["results"]["seal_pictures_blind"]["passage_acc,none"] == 0
    with pytest.raises(InputError, match=r"seal_pictures_blind shows nothing to learn from, so mode=self_edit"):
        simple_evaluate(
            SealLM(tiny_base, mode="self_edit"), tasks=["seal_pictures_blind"], task_manager=manager(limit_contexts=1)
        )


def test_a_file_of_passages_is_no_replacement() -> None:
    with pytest.raises(InputError, match="passages_file= holds passages"):
        manager(passages_file="x.jsonl").load(["seal_pictures"])


@pytest.mark.parametrize("mode", ["base", "in_context", "self_edit"])
def test_a_model_that_reads_text_only_refuses_pictures_before_anything_is_trained(
    tiny_base: BaseModel, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SealLM, "_learn", lambda *_: pytest.fail("training began"))
    with pytest.raises(InputError, match=r"^seal_pictures asks about images, and tiny reads text only; give an image-"):
        simple_evaluate(SealLM(tiny_base, mode=mode), tasks=["seal_pictures"], task_manager=manager(limit_contexts=1))


@pytest.mark.slow  # lm-eval's command reads all of its own tasks
def test_the_command_line_loads_the_task_and_refuses_in_one_sentence(
    tiny_base: BaseModel, tmp_path: Path, save_model: Any
) -> None:
    arguments = f"pretrained={save_model(tiny_base, tmp_path / 'tiny')},mode=base"
    command = ["--model", "seal", "--model_args", arguments, "--tasks", "seal_pictures", "--limit", "2"]
    with pytest.raises(InputError, match="seal_pictures asks about images"):
        run_lm_eval(command)


@pytest.mark.real_model
@pytest.mark.slow
def test_the_bundled_model_cannot_guess_the_answers() -> None:
    lm = SealLM(load_model(), mode="base")
    tasks = manager(limit_contexts=24)  # all 48 took five minutes on a busy core: 1 of 288 was right
    found = simple_evaluate(lm, tasks=["seal_pictures_blind"], task_manager=tasks)
    assert found["results"]["seal_pictures_blind"]["acc,none"] <= 0.03


def test_a_picture_that_there_is_not() -> None:
    with pytest.raises(KeyError):
        picture_named("bars-5")
