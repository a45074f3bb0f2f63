"""Depth-first search over likely answers: every text whose probability is above a cutoff, not only the greedy one.

A greedy text is written first; wherever another token would still keep the whole above the cutoff, the search turns
off there and goes on greedily. All branches of one depth, of all prompts, are one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine, before_stop
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.types import Sampling, SoftLabel

BRANCHES = 4  # our choice: tokens looked at in each place
DEPTH = 3  # our choice: turns off the greedy path
MOST_TEXTS = 16  # our choice: per prompt


@dataclass(frozen=True, slots=True)
class _Branch:
    """A beginning whose probability is known; it is gone on from greedily."""

    row: int
    begun: tuple[int, ...]
    probability: float


def likely_texts(
    engine: Engine,
    base: BaseModel,
    prompts: Sequence[str],
    adapters: Sequence[LoraAdapter | None],
    sampling: Sampling,
    cutoff: float,
    progress: Progress | None = None,
) -> list[list[str]]:
    """For each prompt the texts found, the greedy one first, at most MOST_TEXTS. Probabilities are of the BRANCHES
    likeliest tokens, scaled to 1."""
    found: list[list[str]] = [[] for _ in prompts]
    waiting = [_Branch(row, (), 1.0) for row in range(len(prompts))]
    for depth in range(DEPTH + 1):
        waiting = [one for one in waiting if len(found[one.row]) < MOST_TEXTS]
        if not waiting:
            break
        texts = _completed(engine, base, prompts, adapters, sampling, waiting, progress if depth == 0 else None)
        for branch, text in zip(waiting, texts, strict=True):
            if text not in found[branch.row] and len(found[branch.row]) < MOST_TEXTS:
                found[branch.row].append(text)
        waiting = _turns(engine, base, prompts, adapters, sampling, waiting, texts, cutoff)
    return found


def _completed(
    engine: Engine,
    base: BaseModel,
    prompts: Sequence[str],
    adapters: Sequence[LoraAdapter | None],
    sampling: Sampling,
    branches: Sequence[_Branch],
    progress: Progress | None,
) -> list[str]:
    """Each beginning and what greedily follows it."""
    begun = [base.tokenizer.decode(list(branch.begun)) for branch in branches]
    rows = [prompts[branch.row] + text for branch, text in zip(branches, begun, strict=True)]
    room = base.window - max(len(base.encode(row)) for row in rows)
    if room < 1:
        return begun
    shorter = replace(sampling, max_tokens=min(sampling.max_tokens, room))
    said = engine.generate(rows, shorter, [adapters[branch.row] for branch in branches], progress)
    texts = [text + one.text for text, one in zip(begun, said, strict=True)]
    return [before_stop(text, sampling.stop) for text in texts]


def _turns(
    engine: Engine,
    base: BaseModel,
    prompts: Sequence[str],
    adapters: Sequence[LoraAdapter | None],
    sampling: Sampling,
    branches: Sequence[_Branch],
    texts: Sequence[str],
    cutoff: float,
) -> list[_Branch]:
    """Where another token than the one written is likely enough; the likeliest first."""
    ended = [text + (sampling.stop[0] if sampling.stop else "") for text in texts]
    ids = [tuple(base.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in ended]
    labels = engine.soft_labels(
        [prompts[branch.row] for branch in branches], ids, BRANCHES, [adapters[branch.row] for branch in branches]
    )
    turns = [
        turn
        for branch, written, expected in zip(branches, ids, labels, strict=True)
        for turn in _turns_of(branch, written, expected, cutoff)
    ]
    return sorted(turns, key=lambda turn: (turn.row, -turn.probability))


def _turns_of(branch: _Branch, written: Sequence[int], expected: Sequence[SoftLabel], cutoff: float) -> list[_Branch]:
    turns, probability = [], 1.0
    for at, (token, label) in enumerate(zip(written, expected, strict=True)):
        likely = dict(zip(label.tokens, label.probabilities, strict=True))
        if at >= len(branch.begun):  # what stands before was looked at when this branch was made
            turns += [
                _Branch(branch.row, (*written[:at], other), probability * share)
                for other, share in likely.items()
                if other != token and probability * share >= cutoff
            ]
        probability *= likely.get(token, 0.0)
        if probability < cutoff:
            break
    return turns
