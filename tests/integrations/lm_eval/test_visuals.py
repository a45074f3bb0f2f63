"""Images in lm-eval's requests: found in whatever form a task gives them, and refused where nothing can be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval")

from image_files import quarters, saved
from lm_eval.api.instance import Instance
from PIL import Image

from seal_agent.base_model.model import BaseModel
from seal_agent.config import ImageLimits
from seal_agent.errors import InputError
from seal_agent.images.loading import load_image
from seal_agent.integrations.lm_eval.model import SealLM
from seal_agent.integrations.lm_eval.visuals import (
    check_no_visuals,
    check_visuals,
    has_visuals,
    visuals_of,
    without_placeholders,
)

GREEDY = {"until": [], "max_gen_toks": 4, "do_sample": False}


def request(prompt: str, *others: Any, kind: str = "generate_until") -> Instance:
    second = GREEDY if kind == "generate_until" else " yes"
    return Instance(kind, {"text": prompt}, (prompt, second, *others), 0, ("quiz", 0, 1))


def test_images_come_in_every_form_that_tasks_give(tmp_path: Path) -> None:
    data = saved(quarters(), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    forms = [
        quarters(),
        data,
        str(tmp_path / "a.png"),
        {"bytes": data, "path": None},
        {"bytes": None, "path": str(tmp_path / "a.png")},
    ]
    wanted = load_image(quarters())
    for form in forms:
        assert visuals_of(request("<image> What?", {"visual": [form]})) == (wanted,)
        assert visuals_of(request("<image> What?", {"visual": form})) == (wanted,)
    other = Image.new("RGB", (3, 3))
    two = visuals_of(request("<image> and <image>?", {"visual": [quarters(), None, other]}))
    assert two == (wanted, load_image(other))


@pytest.mark.parametrize("others", [(), ({},), ({"visual": None},), ({"visual": []},), ({"visual": [None]},)])
def test_a_request_without_images(others: tuple[Any, ...]) -> None:
    asked = request("What?", *others)
    assert not has_visuals(asked)
    assert visuals_of(asked) == ()
    check_no_visuals([asked])
    check_visuals([asked], sees=False, model="default")


def test_limits_hold_for_images_of_tasks() -> None:
    with pytest.raises(InputError, match="above the limit of 10"):
        visuals_of(request("<image>", {"visual": [quarters()]}), ImageLimits(max_pixels=10))


def test_each_placeholder_has_its_image() -> None:
    assert len(visuals_of(request("No place for it", {"visual": [quarters()]}))) == 1
    with pytest.raises(InputError, match=r"a prompt of quiz has 2 × <image> for 1 images; correct"):
        visuals_of(request("<image> <image>", {"visual": [quarters()]}))


def test_placeholders_are_taken_out_with_their_line() -> None:
    assert without_placeholders("<image>\nTopic: A\nWhat is <image>?") == "Topic: A\nWhat is ?"


def test_sound_is_refused() -> None:
    with pytest.raises(InputError, match="quiz asks about sound"):
        has_visuals(request("What?", {"audio": [b"x"]}))


def test_a_model_that_does_not_see_refuses_images_of_any_task(tiny_base: BaseModel) -> None:
    lm = SealLM(tiny_base, mode="base")
    shown = request("<image> What?", {"visual": [quarters()]})
    with pytest.raises(InputError, match="quiz asks about images, and tiny reads text only"):
        lm.generate_until([request("What?"), shown], disable_tqdm=True)
    assert len(lm.generate_until([request("What?")], disable_tqdm=True)) == 1
    check_visuals([shown], sees=True, model="seeing")


def test_answers_about_images_are_not_scored(tiny_base: BaseModel) -> None:
    lm = SealLM(tiny_base, mode="base")
    with pytest.raises(InputError, match="quiz scores given answers about images"):
        lm.loglikelihood([request("<image> Is it?", {"visual": [quarters()]}, kind="loglikelihood")], disable_tqdm=True)
    ((score, _),) = lm.loglikelihood([request("Is it?", kind="loglikelihood")], disable_tqdm=True)
    assert score < 0
