"""What cannot be sampled with is refused in one sentence, by the engine and by chat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.sampling import check_sampling, choose_tokens
from seal_agent.model import SelfAdaptingModel
from seal_agent.types import Message, Sampling

SENSELESS: tuple[dict[str, Any], ...] = (
    {"max_tokens": 0},
    {"max_tokens": -3},
    {"max_tokens": None},
    {"max_tokens": 2.5},
    {"temperature": None},
    {"temperature": -0.1},
    {"temperature": float("nan")},
    {"temperature": float("inf")},
    {"temperature": "warm"},
    {"top_p": 0.0},
    {"top_p": 1.5},
    {"top_p": None},
    {"top_p": float("nan")},
    {"stop": ("",)},
    {"stop": ("a", "")},
    {"stop": "word"},
    {"stop": (None,)},
    {"seed": None},
)


@pytest.mark.parametrize("setting", SENSELESS, ids=str)
def test_senseless_settings_are_refused(setting: dict[str, Any], tiny_base: BaseModel) -> None:
    engine, sampling = HFEngine(tiny_base), Sampling(**setting)
    (name,) = setting
    with pytest.raises(InputError, match=rf"\A[^\n]*{name}[^\n]*\Z"):
        engine.generate(["One"], sampling)
    with pytest.raises(InputError, match=name):
        next(engine.stream("One", sampling))


@pytest.mark.parametrize(
    "setting",
    [
        {"stop": [""]},
        {"stop": ""},
        {"temperature": None},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"max_tokens": 0},
        {"seed": "first"},
    ],
    ids=str,
)
def test_chat_refuses_them_before_anything_is_said(
    setting: dict[str, Any], tiny_base: BaseModel, tmp_path: Path
) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path)
    for stream in (False, True):
        with pytest.raises(InputError, match=next(iter(setting))):
            model.chat([Message("user", "Hi")], stream=stream, **setting)


def test_no_stop_strings_is_sensible(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path)
    said = model.chat([Message("user", "Hi")], stop=[], max_tokens=5)
    assert said == model.chat([Message("user", "Hi")], stop=None, max_tokens=5)
    assert model.chat([Message("user", "Hi")], stop=said[2], max_tokens=5) == said[: said.index(said[2])]


def test_a_chat_draws_anew_unless_it_gets_a_seed(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = SelfAdaptingModel(tiny_base, home=tmp_path)

    def said(seed: int | None = None) -> str:
        return model.chat([Message("user", "Hi")], max_tokens=12, temperature=1.5, seed=seed)

    assert len({said() for _ in range(4)}) > 1
    assert said(7) == said(7) != said(8)


def test_a_temperature_next_to_zero_is_greedy() -> None:
    logits_BV = torch.tensor([[50.0, 90.0, 20.0]])
    for temperature in (1e-7, 1e-40, 0.0):
        assert choose_tokens(logits_BV, Sampling(temperature=temperature), [torch.Generator()]).tolist() == [1]


def test_any_whole_number_is_a_seed(tiny_base: BaseModel) -> None:
    engine = HFEngine(tiny_base)
    for seed in (2**63 - 1, 2**80, -(2**63), -(2**80), -1):
        check_sampling(Sampling(seed=seed))
        assert len(engine.generate(["One", "Two"], Sampling(3, temperature=1.0, seed=seed))) == 2


def test_a_stop_string_of_half_a_character_is_looked_for_in_the_whole_text(tiny_base: BaseModel) -> None:
    """The end of a text may begin inside a character, which then looks broken, though in the text it is whole."""
    wanted = tiny_base.tokenizer("Ü" * 6, add_special_tokens=False)["input_ids"]
    favour = iter([*wanted, tiny_base.tokenizer.eos_token_id])
    engine = HFEngine(tiny_base)

    def forced(*_: Any) -> torch.Tensor:
        logits_BV = torch.zeros(1, tiny_base.module.config.vocab_size)
        logits_BV[0, next(favour)] = 1.0
        return logits_BV

    engine._forward = forced  # type: ignore[method-assign]
    (said,) = engine.generate(["One"], Sampling(20, stop=("�Ü",)))
    assert said.text == "Ü" * 6


def test_every_row_needs_its_adapter_and_its_continuation(tiny_base: BaseModel) -> None:
    engine = HFEngine(tiny_base)
    with pytest.raises(InputError, match="2 prompts but 1 adapters"):
        engine.score(["a", "b"], ["c", "d"], [None])
    with pytest.raises(InputError, match="1 prompts but 2 adapters"):
        engine.soft_labels(["a"], [[5]], 2, [None, None])
    with pytest.raises(InputError, match="2 prompts but 1 continuations"):
        engine.score(["a", "b"], ["c"])
