"""Staying who one was: what the base model says where no passage has a say, learnt again beside the notes.

The model goes on from a few everyday openings that have nothing to do with any passage; its own distribution at every
token is the label, so that a change there costs what a change of the notes gains. This is the Kullback-Leibler penalty
of learning without forgetting (Li and Hoiem, 2016, arXiv 1606.09282) on text that needs no data set.
"""

from __future__ import annotations

from dataclasses import replace

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.training.retention.reference_text import reference_prompts
from seal_agent.types import IGNORE_LABEL, Sampling, TrainingSequence

TOP = 16  # our choice: the tokens of each distribution that are kept
TOKENS = 64  # our choice: the length of a continuation
STRIDE = 35  # our choice: odd, so that plain text and chat take turns, and so large that few prompts spread widely


def anchors(engine: Engine, base: BaseModel, count: int, weight: float = 1.0, seed: int = 0) -> list[TrainingSequence]:
    """`count` texts by the base model, plain and in a chat, with its own expectation at every token of them.

    `weight` multiplies the loss of each. The same engine, count and seed give the same texts; a model writes them once.
    """
    known: dict[tuple[int, int], list[TrainingSequence]] = base.memo.setdefault("anchors", {})
    if (count, seed) not in known:
        known[count, seed] = _written(engine, base, count, seed)
    return [replace(sequence, weight=weight) for sequence in known[count, seed]]


def _written(engine: Engine, base: BaseModel, count: int, seed: int) -> list[TrainingSequence]:
    every = reference_prompts()
    prompts = [every[(i * STRIDE + i // len(every)) % len(every)] for i in range(count)]
    written = engine.generate(prompts, Sampling(TOKENS, temperature=1.0, top_p=0.95, seed=seed))
    said = [list(base.tokenizer(completion.text, add_special_tokens=False)["input_ids"]) for completion in written]
    expected = engine.soft_labels(prompts, said, TOP)
    return [
        TrainingSequence(
            (*(before := base.encode(prompt)), *ids),
            (*[IGNORE_LABEL] * len(before), *ids),
            (*[None] * len(before), *labels),
        )
        for prompt, ids, labels in zip(prompts, said, expected, strict=True)
        if ids
    ]
