"""Arguments of the wrong type are named in one sentence, and nothing is done."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from killed_store import NOTES, TEXTS, opened

from seal_agent import SelfAdaptingModel
from seal_agent.adaptation.arguments import KINDS
from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError

METHODS = [name for name, _ in inspect.getmembers(SelfAdaptingModel, inspect.isfunction) if not name.startswith("_")]
WRONG: tuple[Any, ...] = (3, b"x", {}, float("nan"), object())
CASES = [
    pytest.param(method, parameter, value, id=f"{method}-{parameter}-{type(value).__name__}")
    for method in METHODS
    for parameter in inspect.signature(getattr(SelfAdaptingModel, method)).parameters
    if parameter in KINDS
    for value in WRONG
    if not isinstance(value, KINDS[parameter][1])  # bytes are a sequence
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> SelfAdaptingModel:
    from conftest import llama, tokenizer

    return opened(BaseModel("tiny", llama(), tokenizer(chat=True), "tiny"), tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize(("method", "parameter", "value"), CASES)
def test_a_value_of_the_wrong_type_is_named(model: SelfAdaptingModel, method: str, parameter: str, value: Any) -> None:
    call = getattr(model, method)
    parameters = inspect.signature(call).parameters.values()
    required: dict[str, Any] = {each.name: "x" for each in parameters if each.default is inspect.Parameter.empty}
    if method == "commit" and parameter != "proposal":
        required["proposal"] = model.propose(TEXTS[0], self_edit=NOTES)
    with pytest.raises(InputError, match=rf"^{parameter} must be "):
        call(**{**required, parameter: value})
    assert model.adapters() == {}


def test_none_is_right_only_where_it_is_the_default(model: SelfAdaptingModel) -> None:
    with pytest.raises(InputError, match="question must be a text, but it is None"):
        model.ask(None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="adapter must be a text, but it is None"):
        model.ask("What?", adapter=None)  # type: ignore[arg-type]
    assert isinstance(model.chat([{"role": "user", "content": "hello"}], adapter=None, max_tokens=2), str)


def test_half_a_character_is_no_text(model: SelfAdaptingModel) -> None:
    with pytest.raises(InputError, match="revision holds half a character"):
        model.promote("\ud800")
