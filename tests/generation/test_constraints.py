"""Grammars on models that have no token to end a text with."""

from __future__ import annotations

import json
import re

import pytest
from conftest import llama, tokenizer

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import InputError
from seal_agent.generation.hf import HFEngine
from seal_agent.types import Grammar, Sampling


@pytest.fixture
def endless() -> BaseModel:
    """A model whose tokenizer, template and settings name no end of text."""
    plain = tokenizer(chat=False)
    plain.eos_token = None
    base = BaseModel("endless", llama(), plain, "endless-identity")
    assert not base.stop_ids
    return base


def test_without_an_end_token_a_grammar_still_ends_the_text(endless: BaseModel) -> None:
    engine = HFEngine(endless)
    (chosen,) = engine.generate(["One"], Sampling(20, grammar=Grammar("regex", "(yes|no), [a-z]{3}")))
    assert re.fullmatch("(yes|no), [a-z]{3}", chosen.text)
    assert chosen.finish_reason == "stop"
    schema = {"type": "object", "properties": {"days": {"enum": [1, 2]}}, "required": ["days"]}
    schema["additionalProperties"] = False
    (written,) = engine.generate(["One"], Sampling(40, grammar=Grammar("json_schema", json.dumps(schema))))
    assert json.loads(written.text)["days"] in (1, 2)


def test_without_an_end_token_what_may_go_on_goes_on_to_the_last_token(endless: BaseModel) -> None:
    (written,) = HFEngine(endless).generate(["One"], Sampling(7, grammar=Grammar("regex", "[ab]+")))
    assert re.fullmatch("[ab]{7}", written.text)
    assert written.finish_reason == "length"


def test_without_an_end_token_free_text_is_max_tokens_long(endless: BaseModel) -> None:
    (written,) = HFEngine(endless).generate(["One"], Sampling(9))
    assert (written.tokens, written.finish_reason) == (9, "length")


def test_a_grammar_of_the_empty_text_alone_is_refused_without_an_end_token(endless: BaseModel) -> None:
    with pytest.raises(InputError, match="empty"):
        HFEngine(endless).generate(["One"], Sampling(5, grammar=Grammar("regex", "")))
