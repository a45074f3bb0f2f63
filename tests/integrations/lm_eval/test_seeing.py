"""lm-eval's requests with images, on tiny models that see: as transformers answers the same prompt."""

from __future__ import annotations

from typing import Any

import pytest
import torch

pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance
from seeing_models import picture, seeing, shown

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.hf import HFEngine
from seal_agent.images.pictures import image_of
from seal_agent.integrations.lm_eval.model import SealLM
from seal_agent.prompts import question_prompt
from seal_agent.types import Picture, Sampling

OPTIONS = {"max_gen_toks": 6, "until": ["never said"], "do_sample": False}
SMALL, WIDE = picture(1), picture(2, 90, 33)


def request(prompt: str, *pictures: Picture, doc: dict[str, Any] | None = None) -> Instance:
    visual = {"visual": [image_of(one) for one in pictures]}
    arguments = (prompt, OPTIONS, visual) if pictures else (prompt, OPTIONS)
    return Instance("generate_until", doc or {"text": prompt}, arguments, 0, ("quiz", 0, 1))


def by_transformers(base: BaseModel, text: str, *pictures: Picture) -> str:
    inputs = base.sight.processor(text=[text], images=[[image_of(one) for one in pictures]], return_tensors="pt")
    with torch.no_grad():
        ids = base.module.generate(**inputs, max_new_tokens=6, do_sample=False)
    written: str = base.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return written


@pytest.mark.parametrize("name", ["llava", "qwen2-vl"])
def test_images_stand_where_the_task_says_and_text_is_answered_beside(name: str) -> None:
    base = seeing(name)
    model, mark = SealLM(base), base.sight.placeholder
    requests = [request("Look: <image> What?", WIDE), request("Once"), request("<image> and <image> Two", SMALL, WIDE)]
    answers = model.generate_until(requests, disable_tqdm=True)
    assert answers[0] == by_transformers(base, f"Look: {mark} What?", WIDE)
    assert answers[2] == by_transformers(base, f"{mark} and {mark} Two", SMALL, WIDE)
    assert answers[1] == model.generate_until([request("Once")], disable_tqdm=True)[0]


def test_a_chat_template_places_the_images_of_a_turn_before_its_text() -> None:
    base = seeing("qwen2-vl")
    model = SealLM(base)
    text = model.apply_chat_template([{"role": "user", "content": "What is <image> this?"}])
    assert text == "<turn>user\n<|vision_start|><|image_pad|><|vision_end|>What is  this?</turn>\n<turn>assistant\n"
    (answer,) = model.generate_until([request(text, WIDE)], disable_tqdm=True)
    assert answer == by_transformers(base, text, WIDE)


def test_a_picture_to_learn_is_in_view_in_context_and_not_without() -> None:
    base = seeing("llava")
    doc = {"seal": "knowledge", "context": "", "title": "Harbour", "question": "What is it?"}
    prompt = question_prompt("Harbour", "What is it?")
    asked = request(f"<image>\n{prompt}", WIDE, doc=doc)
    (seen,) = HFEngine(base).generate([shown(prompt, WIDE)], Sampling(6, stop=("never said",)))
    (blind,) = HFEngine(base).generate([shown(prompt)], Sampling(6, stop=("never said",)))
    assert SealLM(base, mode="in_context").generate_until([asked], disable_tqdm=True) == [seen.text.strip()]
    assert SealLM(base, mode="base").generate_until([asked], disable_tqdm=True) == [blind.text.strip()]
