"""On every architecture, answers and scores in a batch are those of each row alone, with a cache and without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from conftest import random_adapter
from zoo.models import ZooModel, zoo_parameters

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.hf import HFEngine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route
from seal_agent.types import Completion, Sampling

PROMPTS = (
    "A",
    "The lighthouse stands",
    "Two and two",
    "Two and three",
    "A rather longer prompt than all of the others, which is about ships and their crews.",
    "Salt",
)
TWICE = "The lighthouse stands on an island far to the north, and its lamp burns oil all night. " * 2
ONCE = "In the year of the great flood all people moved. "
SHARING = (
    *(TWICE + end for end in ("Who is it?", "Where", "When did this happen here")),
    *(ONCE + end for end in ("Who", "So now what is the matter", "A")),
)
"""Two groups of prompts; the prefix that a group shares is longer than any window."""
TOKENS = 10
CONTINUATIONS = (" small boat", " far", "", " are five, said the keeper of the light", " Good.", " and pepper")


@pytest.mark.parametrize("zoo_model", zoo_parameters())
def test_a_batch_a_row_and_a_stream_say_what_reading_everything_again_says(zoo_model: ZooModel) -> None:
    base = zoo_model.base()
    adapters = adapters_for(base)
    unstopped = [plain_tokens(base, prompt, adapter) for prompt, adapter in zip(PROMPTS, adapters, strict=True)]
    base.module.generation_config.eos_token_id = unstopped[1][4]
    stop = (base.tokenizer.decode(unstopped[3][1:3]) or "never said", base.tokenizer.decode(unstopped[4][5:7]) or "-")
    wanted = [stopped(base, tokens, stop) for tokens in unstopped]
    assert len({tokens for _, tokens in wanted}) > 1, "rows are to end at different times"

    engine, sampling = HFEngine(base), Sampling(TOKENS, stop=stop)
    batch = engine.generate(PROMPTS, sampling, adapters)
    assert [(row.text, row.tokens) for row in batch] == wanted
    for prompt, adapter, row in zip(PROMPTS, adapters, batch, strict=True):
        assert engine.generate([prompt], sampling, [adapter]) == [row]
    assert streamed(engine, PROMPTS[4], sampling, adapters[4]) == batch[4]


@pytest.mark.parametrize("zoo_model", zoo_parameters())
def test_prompts_that_share_prefixes_of_different_length_are_answered_as_alone(zoo_model: ZooModel) -> None:
    engine, sampling = HFEngine(zoo_model.base()), Sampling(4)
    for prompt, row in zip(SHARING, engine.generate(SHARING, sampling), strict=True):
        (alone,) = engine.generate([prompt], sampling)
        assert (row.text, row.logprobs) == (alone.text, pytest.approx(alone.logprobs, abs=2e-3))


@pytest.mark.parametrize("zoo_model", zoo_parameters())
def test_scores_and_soft_labels_in_a_batch_are_those_of_a_plain_pass(zoo_model: ZooModel) -> None:
    base = zoo_model.base()
    adapters, engine = adapters_for(base), HFEngine(base)
    ids = [base.content_ids(text) for text in CONTINUATIONS]
    scores = engine.score(PROMPTS, CONTINUATIONS, adapters)
    labels = engine.soft_labels(PROMPTS, ids, 3, adapters)
    for prompt, tokens, adapter, row_scores, row_labels in zip(PROMPTS, ids, adapters, scores, labels, strict=True):
        logits_LV = plain_logits(base, [*base.encode(prompt), *tokens], adapter)[-1 - len(tokens) : -1]
        assert row_scores == pytest.approx(logits_LV.log_softmax(1)[range(len(tokens)), tokens].tolist(), abs=2e-3)
        for logits_V, label in zip(logits_LV, row_labels, strict=True):
            top = logits_V.topk(3)
            assert label.probabilities == pytest.approx(top.values.softmax(0).tolist(), abs=2e-3)
            assert set(label.tokens) == set(top.indices.tolist())


def adapters_for(base: BaseModel) -> list[LoraAdapter | None]:
    """A different adapter, or none, for each prompt."""
    ranks = (None, 4, 2, 4, 3, 1)
    return [random_adapter(base, i, rank, ("all",)) if rank else None for i, rank in enumerate(ranks)]


@torch.no_grad()
def plain_logits(base: BaseModel, ids: list[int], adapter: LoraAdapter | None) -> torch.Tensor:
    with routed(serving_route(base.module, [adapter], base.device, base.dtype)):
        logits: torch.Tensor = base.module(input_ids=torch.tensor([ids])).logits[0].float()
    return logits


def plain_tokens(base: BaseModel, prompt: str, adapter: LoraAdapter | None) -> list[int]:
    """Greedy tokens, all of the sequence read anew for each."""
    ids = base.encode(prompt)
    before = len(ids)
    for _ in range(TOKENS):
        ids.append(int(plain_logits(base, ids, adapter)[-1].argmax()))
    return ids[before:]


def stopped(base: BaseModel, tokens: list[int], stops: tuple[str, ...]) -> tuple[str, int]:
    """The text before the first stop string, and the number of tokens up to it or the first end of text."""
    for count in range(1, len(tokens) + 1):
        text = base.tokenizer.decode(tokens[:count], skip_special_tokens=True)
        found = [text.index(stop) for stop in stops if stop in text]
        if found or tokens[count - 1] in base.stop_ids:
            return text[: min(found)] if found else text, count
    return text, len(tokens)


def streamed(engine: HFEngine, prompt: str, sampling: Sampling, adapter: LoraAdapter | None) -> Completion:
    """What a stream returns; its pieces make up the text."""
    returned: list[Completion] = []

    def pieces() -> Iterator[str]:
        returned.append((yield from engine.stream(prompt, sampling, adapter)))

    assert "".join(pieces()) == returned[0].text
    return returned[0]
