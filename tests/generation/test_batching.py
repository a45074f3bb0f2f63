"""Which rows are read together is found by trying, and follows from what padding does to a model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from conftest import random_adapter
from zoo.models import ABSENT, ZOO, ZooModel

from seal_agent.base_model.model import BaseModel
from seal_agent.errors import ModelError
from seal_agent.generation.batching import (
    Decoding,
    Together,
    batches_of,
    bridges_gaps,
    decoding_of,
    groups_of,
    reading_of,
)
from seal_agent.generation.decoding_state import CacheKind
from seal_agent.generation.hf import HFEngine
from seal_agent.types import Sampling

PROMPTS = ("A", "The ship", "Salted", "The lighthouse stands on an island", "of the sea", "A ship")


BART = ZooModel(
    "bart",
    "dense",
    "bart",
    {
        "decoder_layers": 2,
        "encoder_layers": 1,
        "d_model": 64,
        "decoder_attention_heads": 4,
        "decoder_ffn_dim": 96,
        "encoder_ffn_dim": 96,
        "hidden_size": ABSENT,
    },
)
"""A decoder with a learned position for each place of its cache."""


def zoo_base(name: str) -> BaseModel:
    return next(model for model in ZOO if model.name == name).base()


def base_that_reads_padding(dtype: torch.dtype = torch.float32, scale: float = 1.0) -> BaseModel:
    """A RecurrentGemma whose convolution runs over padding, as a trained one's does: its biases are not zero."""
    base = next(model for model in ZOO if model.name == "recurrent-gemma").base(dtype=dtype)
    torch.manual_seed(1)
    for name, parameter in base.module.named_parameters():
        if name.endswith("bias"):
            parameter.normal_().mul_(scale)
    base.module.get_input_embeddings().weight[base.pad_id].normal_()
    return base


def test_attention_takes_padding_and_drops_rows(tiny_base: BaseModel, tiny_gpt2_base: BaseModel) -> None:
    for base in (tiny_base, tiny_gpt2_base):
        assert decoding_of(base) == Decoding(CacheKind.GROWING, Together.PADDED)
        assert reading_of(base) is Together.PADDED


def test_a_model_that_reads_padding_gets_rows_of_equal_length() -> None:
    base = base_that_reads_padding()
    assert reading_of(base) is Together.EQUAL
    assert decoding_of(base).together is Together.EQUAL
    engine = HFEngine(base)
    together = engine.generate(PROMPTS, Sampling(6))
    assert together == [engine.generate([prompt], Sampling(6))[0] for prompt in PROMPTS]
    scores = engine.score(PROMPTS, [" on"] * len(PROMPTS))
    for prompt, row in zip(PROMPTS, scores, strict=True):
        assert engine.score([prompt], [" on"])[0] == pytest.approx(row, abs=1e-4)


def test_a_cache_inside_the_model_is_not_used_since_calls_would_share_it() -> None:
    base = zoo_base("recurrent-gemma")
    assert decoding_of(base).cache is CacheKind.NONE
    engine, sampling = HFEngine(base), Sampling(8)
    wanted = [engine.generate([prompt], sampling)[0].text for prompt in PROMPTS[:2]]
    streams = [engine.stream(prompt, sampling) for prompt in PROMPTS[:2]]
    said = ["", ""]
    for _ in range(20):  # two streams, a token of each in turn
        for i, stream in enumerate(streams):
            said[i] += next(stream, "")
    assert said == wanted


def test_a_model_without_a_cache_and_one_with_a_cache_of_its_own() -> None:
    assert decoding_of(zoo_base("gpt1")) == Decoding(CacheKind.NONE, Together.PADDED)
    assert decoding_of(zoo_base("rwkv")) == Decoding(CacheKind.OWN, Together.ALONE)


def test_a_model_is_tried_once(tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    forward = tiny_base.module.forward

    def counting(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return forward(*args, **kwargs)

    first = decoding_of(tiny_base)
    monkeypatch.setattr(tiny_base.module, "forward", counting)
    assert decoding_of(tiny_base) is first
    assert not calls


def test_rows_are_batched_by_length() -> None:
    lengths = [5, 2, 5, 9, 2, 5]
    assert batches_of(lengths, Together.PADDED, 4) == [[1, 4, 0, 2], [5, 3]]
    assert batches_of(lengths, Together.EQUAL, 2) == [[1, 4], [0, 2], [5], [3]]
    assert batches_of(lengths, Together.ALONE, 4) == [[1], [4], [0], [2], [5], [3]]
    assert batches_of(lengths, Together.PADDED, 4, max_tokens=10) == [[1, 4], [0, 2], [5], [3]]
    assert batches_of(lengths, Together.PADDED, 4, max_tokens=1) == [[1], [4], [0], [2], [5], [3]]


def test_adapters_share_a_batch_unless_they_change_a_layer_that_mixes_the_rows(
    tiny_base: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = random_adapter(tiny_base, 1), random_adapter(tiny_base, 2)
    rows = [first, None, second, first]
    assert groups_of(tiny_base, rows) == [[0, 1, 2, 3]]
    experts = tiny_base.module
    layers = experts._seal_text_layers
    mixing = type(layers)(layers.names, layers.by_token - {next(iter(first.pairs))})
    monkeypatch.setattr(experts, "_seal_text_layers", mixing)
    assert groups_of(tiny_base, rows) == [[0, 3], [1], [2]]
    assert groups_of(tiny_base, [first, first]) == [[0, 1]]
    prompts = ["One", "Two", "Three and", "Four"]
    engine = HFEngine(tiny_base)
    alone = [engine.generate([p], Sampling(5), [a])[0] for p, a in zip(prompts, rows, strict=True)]
    assert engine.generate(prompts, Sampling(5), rows) == alone


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.02])
def test_padding_that_weighs_less_than_rounding_is_found_too(scale: float) -> None:
    base = base_that_reads_padding(torch.bfloat16, scale)
    assert reading_of(base) is Together.EQUAL
    assert decoding_of(base).together is Together.EQUAL


def test_rounding_in_bfloat16_is_not_taken_for_padding() -> None:
    for name in ("mamba", "jamba", "zamba2", "mixtral", "falcon-h1"):
        base = next(model for model in ZOO if model.name == name).base(dtype=torch.bfloat16)
        assert decoding_of(base) == Decoding(CacheKind.GROWING, Together.PADDED)
        assert reading_of(base) is Together.PADDED


def test_padding_in_the_middle_of_a_row_is_tried_and_a_hidden_window_is_known(tiny_base: BaseModel) -> None:
    assert bridges_gaps(tiny_base)
    assert bridges_gaps(zoo_base("falcon-alibi"))
    assert not bridges_gaps(zoo_base("mpt"))  # its biases count the places of the cache
    assert not bridges_gaps(zoo_base("gpt-neo"))
    assert not bridges_gaps(BART.base())


@pytest.mark.parametrize("name", ["mpt", "gpt-neo", "bart"])
def test_prefixes_are_shared_where_no_padding_comes_to_stand_in_a_row(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = BART.base() if name == "bart" else zoo_base(name)
    engine, read = HFEngine(base), list[tuple[int, ...]]()
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda ids, *rest: read.append(tuple(ids.shape)) or forward(ids, *rest))
    beginning = "Salt lies thick on the deck of the ship; "

    def passes(prompts: list[str]) -> list[tuple[int, ...]]:
        read.clear()
        together = engine.generate(prompts, Sampling(1))
        done = list(read)
        for prompt, row in zip(prompts, together, strict=True):
            (alone,) = engine.generate([prompt], Sampling(1))
            assert (row.text, row.logprobs) == (alone.text, pytest.approx(alone.logprobs, abs=1e-4))
        return done

    length = len(beginning)
    assert passes([beginning + end for end in ("aa", "bb", "cc")]) == [(1, length), (3, 2)]
    assert all(rows != 1 or width > length for rows, width in passes([beginning + end for end in ("a", "bb", "ccc")]))
    other = "Rust eats the chain"
    fill = length - len(other)
    equal = [*(beginning + 9 * end for end in "xyz"), *(other + (fill + 9) * end for end in "xyz")]
    passes(equal)


def test_a_model_with_numbers_of_its_own_for_positions_is_refused() -> None:
    base = ZooModel("roberta", "dense", "roberta", {"is_decoder": True, "pad_token_id": 1}).base()
    for ask in (lambda: HFEngine(base).generate(["A"], Sampling(2)), lambda: HFEngine(base).score(["A"], [" b"])):
        with pytest.raises(ModelError, match="positions numbers of its own"):
            ask()
