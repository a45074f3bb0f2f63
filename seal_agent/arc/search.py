"""Depth-first search over likely completions: every text whose probability reaches a cutoff, not only the greedy one.

Each prompt is first completed greedily. Wherever another token would keep the whole prefix above the cutoff, the search
branches off there and continues greedily. All branches of one depth, of all prompts, form one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seal_agent.base_model.model import BaseModel
from seal_agent.generation.engine import Engine, before_stop
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.types import Sampling, SoftLabel

BRANCHES = 4  # not tuned: tokens considered at each position
DEPTH = 3  # not tuned: branchings off the greedy path
MAX_TEXTS = 16  # not tuned: per prompt


@dataclass(frozen=True, slots=True)
class _Branch:
    """A prefix of a completion of prompt number `row`, to be continued greedily, and its probability."""

    row: int
    prefix: tuple[int, ...]
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
    """The texts found for each prompt, the greedy one first, at most MAX_TEXTS.

    Args:
        prompts: Prompts to complete.
        adapters: The adapter that completes each prompt; None for the base model.
        sampling: Token limit and stop strings.
        cutoff: Lowest probability of a text, 0..1, over the BRANCHES likeliest tokens renormalised to 1.
        progress: Reports the greedy completions only.
    """
    search = _Search(engine, base, prompts, adapters, sampling, cutoff)
    texts: list[list[str]] = [[] for _ in prompts]
    branches = [_Branch(row, (), 1.0) for row in range(len(prompts))]
    for depth in range(DEPTH + 1):
        branches = [branch for branch in branches if len(texts[branch.row]) < MAX_TEXTS]
        if not branches:
            break
        completed = search.complete(branches, progress if depth == 0 else None)
        for branch, text in zip(branches, completed, strict=True):
            if text not in texts[branch.row] and len(texts[branch.row]) < MAX_TEXTS:
                texts[branch.row].append(text)
        branches = search.expand(branches, completed)
    return texts


@dataclass(frozen=True, slots=True)
class _Search:
    """What stays the same at every depth of a search."""

    engine: Engine
    base: BaseModel
    prompts: Sequence[str]
    adapters: Sequence[LoraAdapter | None]
    sampling: Sampling
    cutoff: float

    def complete(self, branches: Sequence[_Branch], progress: Progress | None) -> list[str]:
        """Each branch's prefix with its greedy continuation."""
        prefixes = [self.base.tokenizer.decode(list(branch.prefix)) for branch in branches]
        prompts = [self.prompts[branch.row] + prefix for branch, prefix in zip(branches, prefixes, strict=True)]
        room = self.base.window - max(len(self.base.encode(prompt)) for prompt in prompts)
        if room < 1:
            return prefixes
        sampling = replace(self.sampling, max_tokens=min(self.sampling.max_tokens, room))
        completions = self.engine.generate(prompts, sampling, self._adapters(branches), progress)
        texts = [prefix + completion.text for prefix, completion in zip(prefixes, completions, strict=True)]
        return [before_stop(text, sampling.stop) for text in texts]

    def expand(self, branches: Sequence[_Branch], texts: Sequence[str]) -> list[_Branch]:
        """New branches at every token of the texts with a likely enough alternative, likeliest first per prompt."""
        stop = self.sampling.stop[0] if self.sampling.stop else ""
        ids = [tuple(self.base.tokenizer(text + stop, add_special_tokens=False)["input_ids"]) for text in texts]
        prompts = [self.prompts[branch.row] for branch in branches]
        labels = self.engine.soft_labels(prompts, ids, BRANCHES, self._adapters(branches))
        expanded = [
            new
            for branch, tokens, expected in zip(branches, ids, labels, strict=True)
            for new in _branches_off(branch, tokens, expected, self.cutoff)
        ]
        return sorted(expanded, key=lambda branch: (branch.row, -branch.probability))

    def _adapters(self, branches: Sequence[_Branch]) -> list[LoraAdapter | None]:
        return [self.adapters[branch.row] for branch in branches]


def _branches_off(
    branch: _Branch, tokens: Sequence[int], expected: Sequence[SoftLabel], cutoff: float
) -> list[_Branch]:
    """Branches off one completion, up to where its own probability falls below the cutoff."""
    branches, probability = [], 1.0
    for position, (token, label) in enumerate(zip(tokens, expected, strict=True)):
        likely = dict(zip(label.tokens, label.probabilities, strict=True))
        if position >= len(branch.prefix):  # alternatives within the prefix were found when this branch was made
            branches += [
                _Branch(branch.row, (*tokens[:position], alternative), probability * share)
                for alternative, share in likely.items()
                if alternative != token and probability * share >= cutoff
            ]
        probability *= likely.get(token, 0.0)
        if probability < cutoff:
            break
    return branches
