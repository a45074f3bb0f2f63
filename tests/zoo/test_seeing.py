"""Families that see: batch, single row and stream say what transformers' own `generate` says of the same pictures."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import random_adapter
from peft_reference import train_with_peft
from seeing_models import FAMILIES, folder_of, picture, seeing, shown
from torch.testing import assert_close

from seal_agent.base_model.loading import load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.base_model.sight import FIRST_ID, RECENT
from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.generation.continuous import ContinuousEngine
from seal_agent.generation.hf import HFEngine
from seal_agent.images.pictures import image_of
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.peft_files import export_peft
from seal_agent.lora.routing import routed
from seal_agent.lora.seeing import let_see, vision_layers
from seal_agent.lora.serving import serving_route
from seal_agent.lora.targets import find_targets
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train
from seal_agent.types import IGNORE_LABEL, Chat, Completion, Message, Sampling, TrainingSequence

SMALL, WIDE, TALL = picture(1), picture(2, 90, 33), picture(3, 28, 60)
PROMPTS = (
    shown("What is this?", SMALL),
    shown(
        "Nothing to see here",
    ),
    shown("And what is in the wide picture, please?", WIDE),
    shown("Two", TALL, SMALL),
    shown("What is that?", SMALL),
)
SAMPLING = Sampling(8)
every_family = pytest.mark.parametrize("name", FAMILIES)


@every_family
def test_a_batch_with_pictures_says_what_transformers_says(name: str) -> None:
    base = seeing(name)
    batch = HFEngine(base).generate(PROMPTS, SAMPLING)
    assert [completion.text for completion in batch] == [by_transformers(base, prompt) for prompt in PROMPTS]


@pytest.mark.parametrize("name", ["llava", "qwen2-vl", "qwen2.5-vl"])
def test_a_picture_may_stand_in_a_prompt_twice(name: str) -> None:
    base = seeing(name)
    prompts = (shown("Twice", WIDE, WIDE), shown("Thrice", SMALL, WIDE, SMALL))
    batch = HFEngine(base).generate(prompts, SAMPLING)
    assert [completion.text for completion in batch] == [by_transformers(base, prompt) for prompt in prompts]


def test_a_prompt_may_show_more_pictures_than_are_kept_for_the_next() -> None:
    base = seeing("llava")
    prompt = shown("Many", *(picture(i) for i in range(RECENT + 3)))
    (said,) = HFEngine(base).generate([prompt], SAMPLING)
    assert said.text == by_transformers(base, prompt)


def test_pictures_of_other_prompts_drive_none_out_of_one_that_is_put_together() -> None:
    base = seeing("llava")
    prompts = (shown("What?", SMALL), Chat(shown("What?", WIDE), begun="A box"))
    encoded = [base.encode(prompt) for prompt in prompts]
    for i in range(RECENT + 1):
        base.sight.see(picture(100 + i))
    assert [held.picture for ids in encoded for held in base.sight.held(ids)] == [SMALL, WIDE]
    del encoded
    assert len(base.sight._by_number) == RECENT


def test_pictures_side_by_side_without_a_template_are_two() -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.api.instance import Instance

    from seal_agent.integrations.lm_eval.model import SealLM

    base = seeing("qwen2-vl")
    base.tokenizer.chat_template = None
    mark, pair = base.sight.placeholder, (SMALL, WIDE)
    prompt = shown("Two", *pair)
    (told,) = HFEngine(base).generate([prompt], Sampling(6))
    assert told.text == by_transformers(base, prompt, f"User: {mark}\n{mark}Two\nAssistant:")
    learnt = base.turns((*prompt, Message("assistant", "Boxes")), answer_next=False)
    assert base.tokenizer.decode([token for token in learnt if token < FIRST_ID]).endswith("Assistant: Boxes")

    options = {"max_gen_toks": 6, "until": ["never said"]}
    visual = {"visual": [image_of(one) for one in pair]}
    requests = [
        Instance("generate_until", {"text": text}, (text, options, visual), 0, ("quiz", 0, 1))
        for text in ("<image><image> Two", "Two")
    ]
    answers = SealLM(base).generate_until(requests, disable_tqdm=True)
    assert answers[0] == by_transformers(base, prompt, f"{mark}\n{mark} Two")
    assert answers[1] == by_transformers(base, prompt, f"{mark}\n{mark}\nTwo")


@every_family
def test_batch_row_stream_and_live_rows_agree_with_an_adapter_in_every_row(name: str) -> None:
    base = seeing(name)
    targets = (("all",), ("all",), ("vision",), ("all+vision",), ("vision",))
    adapters = [None, *(random_adapter(base, i, 2 + i, names) for i, names in enumerate(targets[1:]))]
    engine = HFEngine(base)
    batch = engine.generate(PROMPTS, SAMPLING, adapters)
    for prompt, adapter, completion in zip(PROMPTS, adapters, batch, strict=True):
        assert engine.generate([prompt], SAMPLING, [adapter]) == [completion]
    assert streamed(engine, 3, adapters[3]) == batch[3]
    assert engine.generate(PROMPTS, SAMPLING) != batch

    live_engine = ContinuousEngine(base)
    rows = [live_engine.live_row(p, SAMPLING, a) for p, a in zip(PROMPTS, adapters, strict=True)]
    for row in rows:  # one joins at every token
        live_engine.join([row])
        live_engine.step()
    while live_engine.live:
        live_engine.step()
    assert [live_engine.completion(row) for row in rows] == batch


@every_family
def test_many_questions_about_one_picture_are_those_about_it_alone(name: str) -> None:
    base = seeing(name)
    prompts = [
        shown(f"{question} is to be seen in this picture?", WIDE) for question in ("What", "Who", "Which", "How")
    ]
    engine = HFEngine(base)
    assert engine.generate(prompts, SAMPLING) == [engine.generate([prompt], SAMPLING)[0] for prompt in prompts]
    scores = engine.score(prompts, ["A red box."] * 4)
    assert scores[2] == pytest.approx(engine.score([prompts[2]], ["A red box."])[0], abs=1e-4)
    assert scores[2] != pytest.approx(engine.score([shown(prompts[2][0].content, TALL)], ["A red box."])[0], abs=1e-4)


@every_family
@pytest.mark.parametrize("target", ["all", "vision", "all+vision"])
def test_an_export_is_seen_by_peft_as_by_us(name: str, target: str, tmp_path: Path) -> None:
    from peft import PeftModel

    base = seeing(name)
    adapter = random_adapter(base, 1, targets=(target,))
    export_peft(adapter, base.module, base.name, base.identity, tmp_path)
    plain = load_model(base.source, device="cpu", dtype="float32")
    inputs = by_processor(plain, PROMPTS[3])
    peft_model = PeftModel.from_pretrained(copy.deepcopy(plain.module), str(tmp_path)).eval()
    with torch.no_grad():
        want = peft_model(**inputs, use_cache=False).logits[0].float().log_softmax(-1)
    (scores,) = HFEngine(base).score([PROMPTS[3]], ["ab"], [adapter])
    first = base.content_ids("ab")[0]
    assert scores[0] == pytest.approx(want[-1, first].item(), abs=1e-3)


@every_family
def test_text_is_trained_in_the_bank_as_by_peft(name: str) -> None:
    base = seeing(name)
    HFEngine(base).generate(PROMPTS[:1], SAMPLING)  # it has seen a picture before
    ids = tuple(range(70, 100))
    sequences = (TrainingSequence(ids, ids), TrainingSequence(ids[5:25], (*[IGNORE_LABEL] * 9, *ids[14:25])))
    job = TrainJob(sequences, InnerLoopConfig(rank=4, alpha=8.0, epochs=2, null_space=0.0, shrink=0.0, batch_size=2))
    (want, (got,)) = train_with_peft(load_model(base.source, device="cpu", dtype="float32"), job), train(base, [job])
    assert set(got.adapter.pairs) == set(want.pairs)
    for layer in want.pairs:
        difference = delta(got.adapter, layer) - delta(want, layer)
        assert difference.norm() <= 0.02 * delta(want, layer).norm(), layer


@every_family
def test_the_layers_that_see_are_trained_on_request_and_text_leaves_them_alone(name: str) -> None:
    base = seeing(name)
    seen, read = set(vision_layers(base.module)), set(find_targets(base.module, ("all",)))
    assert seen
    assert not seen & read
    assert set(find_targets(base.module, ("vision",))) <= seen
    assert set(find_targets(base.module, ("all+vision",))) == read | set(find_targets(base.module, ("vision",)))


def test_a_model_that_sees_more_than_its_prompt_says_so() -> None:
    base = seeing("llava")
    kept = base.module.model.get_image_features
    calls: list[int] = []

    @wraps(kept)
    def shifting(*args: Any, **options: Any) -> Any:
        """Sees every picture a little differently, as a model does that is told more than its pixels."""
        out = kept(*args, **options)
        calls.append(1)
        out.pooler_output = [features + len(calls) for features in out.pooler_output]
        return out

    base.module.model.get_image_features = shifting
    with pytest.raises(InputError, match="sees more of a picture than stands in a prompt"):
        HFEngine(base).generate(PROMPTS[:1], SAMPLING)


def test_a_chat_template_that_only_the_processor_has_is_used(tmp_path: Path) -> None:
    usual, folder = seeing("llava"), tmp_path / "model"
    shutil.copytree(folder_of("llava"), folder)
    template = folder / "chat_template.jinja"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template.read_text()}))
    template.unlink()
    base = load_model(folder, device="cpu", dtype="float32")
    assert base.encode(PROMPTS[1]) == usual.encode(PROMPTS[1])
    assert base.settings == usual.settings
    assert base.sees
    (folder / "preprocessor_config.json").unlink()
    blind = load_model(folder, device="cpu", dtype="float32")
    assert (blind.sees, blind.settings) == (False, usual.settings), "text is asked alike where no picture can be"


def test_content_cannot_place_a_picture() -> None:
    base = seeing("llava")
    ids = base.encode((Message("user", "an <image> in words", pictures=(SMALL,)),))
    assert sum(token >= FIRST_ID for token in ids) == base.sight.see(SMALL).prepared.tokens
    assert base.tokenizer.decode([t for t in ids if t < FIRST_ID]).count("<image>") == 1


def test_a_model_that_does_not_see_says_so(tiny_base: BaseModel) -> None:
    with pytest.raises(InputError, match="does not see"):
        HFEngine(tiny_base).generate([PROMPTS[0]], SAMPLING)
    with pytest.raises(InputError, match="does not see"):
        find_targets(tiny_base.module, ("vision",))


def delta(adapter: LoraAdapter, name: str) -> torch.Tensor:
    return adapter.scale * adapter.pairs[name].a_DR @ adapter.pairs[name].b_RO


def by_processor(base: BaseModel, prompt: tuple[Message, ...], text: str = "") -> dict[str, torch.Tensor]:
    """A prompt by transformers' own processor and template; or this text, with the pictures of the prompt."""
    (turn,) = prompt
    blocks = [*({"type": "image"} for _ in turn.pictures), {"type": "text", "text": turn.content}]
    text = text or base.tokenizer.apply_chat_template(
        [{"role": "user", "content": blocks}], tokenize=False, add_generation_prompt=True
    )
    images = {"images": [[image_of(one) for one in turn.pictures]]} if turn.pictures else {}
    return dict(base.sight.processor(text=[text], return_tensors="pt", **images))


def by_transformers(base: BaseModel, prompt: tuple[Message, ...], text: str = "") -> str:
    inputs = by_processor(base, prompt, text)
    with torch.no_grad():
        ids = base.module.generate(**inputs, max_new_tokens=6 if text else SAMPLING.max_tokens, do_sample=False)
    said: str = base.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return said


def streamed(engine: HFEngine, index: int, adapter: LoraAdapter | None) -> Completion:
    returned: list[Completion] = []

    def pieces() -> Iterator[str]:
        returned.append((yield from engine.stream(PROMPTS[index], SAMPLING, adapter)))

    assert "".join(pieces()) == returned[0].text
    return returned[0]


@pytest.mark.parametrize("name", ["llava", "smolvlm", "qwen2-vl"])
def test_seeing_is_trained_in_the_bank(name: str) -> None:
    """Where an adapter changes what is seen, its gradient goes through the picture: the loss falls by that alone."""
    base = seeing(name)
    prompt = base.encode(shown("What?", WIDE))
    let_see(base.module)
    answer = base.content_ids("seven blue boxes")
    held = base.sight.held(prompt)
    sequence = TrainingSequence((*prompt, *answer), (*[IGNORE_LABEL] * len(prompt), *answer))
    config = InnerLoopConfig(
        rank=4, alpha=16.0, epochs=8, learning_rate=1e-2, targets=("vision",), null_space=0.0, shrink=0.0, replay=0
    )
    (trained,) = train(base, [TrainJob((sequence,), config)])
    losses = trained.summary.epoch_losses
    assert losses[-1] < losses[0] - 0.05
    assert held
    route = serving_route(base.module, [trained.adapter], base.device, base.dtype)
    with routed(route), torch.no_grad():
        assert_close(
            base.module(input_ids=torch.tensor([[5, 6]])).logits, base.module(input_ids=torch.tensor([[5, 6]])).logits
        )
