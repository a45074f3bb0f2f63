"""Anchors: reference texts trained beside the notes, with the base model's own distribution as soft labels.

The model continues a few everyday openings that have nothing to do with any passage. Its own distribution at every
token is the label, so that a change there costs what a change of the notes gains. This is the Kullback-Leibler penalty
of learning without forgetting (Li and Hoiem, 2016, arXiv 1606.09282), on text that needs no data set.
"""

from __future__ import annotations

from dataclasses import replace

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine
from seal_agent.training.retention.reference_text import reference_prompts
from seal_agent.types import IGNORE_LABEL, Sampling, TrainingSequence

TOP = 16  # tokens kept of each distribution; not tuned
TOKENS = 64  # length of a continuation; not tuned
STRIDE = 35  # not tuned: odd, so that plain text and chat alternate, and large, so that few prompts spread widely


def anchors(engine: Engine, base: BaseModel, count: int, weight: float = 1.0, seed: int = 0) -> list[TrainingSequence]:
    """`count` texts written by the base model, as plain text and in a chat, with its own distribution as labels.

    The same engine, count and seed give the same texts; they are written once per model.

    Args:
        engine: Writes the texts.
        base: The model whose distribution is kept.
        count: Number of texts.
        weight: Factor on the loss of each.
        seed: Of the sampling.
    """
    cached: dict[tuple[int, int], list[TrainingSequence]] = base.memo.setdefault("anchors", {})
    if (count, seed) not in cached:
        cached[count, seed] = _write_anchors(engine, base, count, seed)
    return [replace(sequence, weight=weight) for sequence in cached[count, seed]]


def _write_anchors(engine: Engine, base: BaseModel, count: int, seed: int) -> list[TrainingSequence]:
    candidates = reference_prompts()
    prompts = [candidates[(i * STRIDE + i // len(candidates)) % len(candidates)] for i in range(count)]
    completions = engine.generate(prompts, Sampling(TOKENS, temperature=1.0, top_p=0.95, seed=seed))
    completion_ids = [list(base.tokenizer(c.text, add_special_tokens=False)["input_ids"]) for c in completions]
    soft_labels = engine.soft_labels(prompts, completion_ids, TOP)
    return [
        TrainingSequence(
            (*(prompt_ids := base.encode(prompt)), *ids),
            (*[IGNORE_LABEL] * len(prompt_ids), *ids),
            (*[None] * len(prompt_ids), *labels),
        )
        for prompt, ids, labels in zip(prompts, completion_ids, soft_labels, strict=True)
        if ids
    ]
