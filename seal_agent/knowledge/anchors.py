"""Staying who one was: what the base model says where no passage has a say, learnt again beside the notes.

The model continues a few everyday openings that have nothing to do with any passage; its own distribution at every
token is the label, so that a change there costs what a change of the notes gains. This is the Kullback-Leibler penalty
of learning without forgetting (Li and Hoiem, 2016, arXiv 1606.09282) on text that needs no data set.
"""

from __future__ import annotations

from seal_agent.engine.base import Engine
from seal_agent.models import BaseModel
from seal_agent.prompts import load_prompt
from seal_agent.types import IGNORE_LABEL, Sampling, TrainingSequence

TOP = 16  # our choice: the tokens of each distribution that are kept
TOKENS = 64  # our choice: the length of a continuation


def anchors(engine: Engine, base: BaseModel, count: int, weight: float = 1.0, seed: int = 0) -> list[TrainingSequence]:
    """`count` continuations by the base model, with its own expectation at every token of them.

    `weight` multiplies the loss of each. The same engine, count and seed give the same texts.
    """
    lines = load_prompt("anchors").splitlines()
    openings = [lines[i % len(lines)] for i in range(count)]
    written = engine.generate(openings, Sampling(TOKENS, temperature=1.0, top_p=0.95, seed=seed))
    said = [list(base.tokenizer(completion.text, add_special_tokens=False)["input_ids"]) for completion in written]
    expected = engine.soft_labels(openings, said, TOP)
    return [
        TrainingSequence(
            (*(before := base.tokens(opening)), *ids),
            (*[IGNORE_LABEL] * len(before), *ids),
            (*[None] * len(before), *labels),
            weight,
        )
        for opening, ids, labels in zip(openings, said, expected, strict=True)
        if ids
    ]
