"""Pictures over HTTP: a model that sees answers about them as it does alone, and nothing is fetched or guessed."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from seeing_models import picture, seeing, shown
from served import QUESTION, Served, serving

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.hf import HFEngine
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Picture, Sampling

SIZES = [(40, 30), (24, 60), (64, 64)]


@pytest.fixture(scope="module", params=["llava", "qwen2.5-vl", "gemma3"])
def base(request: pytest.FixtureRequest) -> BaseModel:
    return seeing(request.param)


@pytest.fixture(scope="module")
def served(base: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(SelfAdaptingModel(base, home=tmp_path_factory.mktemp("seeing"))) as address:
        yield address


def turns(*urls: str) -> Any:
    images = [{"type": "image_url", "image_url": {"url": url, "detail": "auto"}} for url in urls]
    return [{"role": "user", "content": [*images, {"type": "text", "text": QUESTION}]}]


def url_of(shown_picture: Picture) -> str:
    return f"data:image/png;base64,{shown_picture.png}"


def test_clients_at_once_are_answered_about_their_own_pictures(served: Served, base: BaseModel) -> None:
    pictures = [(picture(i, *size),) for i, size in enumerate(SIZES)] + [(), (picture(7), picture(8, 60, 20))]
    prompts = [shown(QUESTION, *seen) for seen in pictures]
    alone = [HFEngine(base).generate([prompt], Sampling(max_tokens=12))[0].text for prompt in prompts]
    model = served.openai().models.list().data[0].id

    def ask(i: int) -> str:
        seen = pictures[i % len(pictures)]
        options: Any = {"model": model, "messages": turns(*map(url_of, seen)), "max_tokens": 12}
        if i % 2:
            chunks = served.openai().chat.completions.create(stream=True, **options)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        return served.openai().chat.completions.create(**options).choices[0].message.content or ""

    with ThreadPoolExecutor(10) as pool:
        said = list(pool.map(ask, range(10)))
    assert said == [alone[i % len(pictures)] for i in range(10)]
    assert len(set(alone)) > 2


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://example.org/a.png", "not fetched"),
        ("/etc/passwd", "not fetched"),
        ("data:image/png;base64,AAAA", "image"),
        ("data:image/png;base64,%%%", "base64"),
    ],
)
def test_a_picture_that_cannot_be_read_is_refused(served: Served, url: str, word: str) -> None:
    model = served.openai().models.list().data[0].id
    with pytest.raises(openai.BadRequestError, match=word):
        served.openai().chat.completions.create(model=model, messages=turns(url))


def test_a_request_with_a_picture_may_be_larger(served: Served) -> None:
    model, filler = served.openai().models.list().data[0].id, base64.b64encode(bytes(1_500_000)).decode()
    with pytest.raises(openai.BadRequestError, match="image"):  # read, and found to be none
        served.openai().chat.completions.create(model=model, messages=turns(f"data:image/png;base64,{filler}"))


def test_a_model_that_reads_text_only_says_so(tiny_base: BaseModel, tmp_path: Path) -> None:
    with (
        serving(SelfAdaptingModel(tiny_base, home=tmp_path)) as served,
        pytest.raises(openai.BadRequestError, match="does not see"),
    ):
        served.openai().chat.completions.create(model="tiny", messages=turns(url_of(picture(1))))
