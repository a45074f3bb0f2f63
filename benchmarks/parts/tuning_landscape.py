"""The simulated landscape of tuning.py: how good a recipe is for an imagined model, and noisy measurements of it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from seal_agent.config import Recipe
from seal_agent.outer_loop.tuning.archive import Archive, PassageScore
from seal_agent.outer_loop.tuning.mutations import Propose
from seal_agent.outer_loop.tuning.stages import Probe, passage_id
from seal_agent.self_edits.formats.registry import SPA_FORMATS
from seal_agent.types import Context, Question

FORMATS = ("evidence", "implications", "implications-long", "rewrite", "self-qa", "sentence-qa", "sentences", "passage")
QUESTIONS = 5  # per passage
DIFFICULTY = 0.8  # spread of the passages' difficulty, in logits


class Landscape:
    """An imagined model, drawn by a seed. Implements Laboratory.

    What teaches is a dose: learning rate, epochs and alpha make up for one another, and each model has a dose of its
    own that suits it. Formats suit it more or less; more notes teach more, at falling returns; unchecked notes at a
    high temperature mislead. A high dose harms other knowledge, which protected directions and the ridge refit mend, at
    the price of learning less. Everything is smooth but the choice of formats.
    """

    def __init__(self, seed: int) -> None:
        draw = random.Random(f"landscape {seed}")
        self._seed = seed
        self._dose = draw.gauss(2.0, 0.7)
        self._liked = {name: draw.gauss(0.0, 0.6) for name in FORMATS}
        self._liked["passage"] -= 1.0
        later = random.Random(f"later formats {seed}")
        self._liked |= {name: later.gauss(0.0, 0.6) for name in SPA_FORMATS if name not in FORMATS}
        self._fragility = draw.uniform(0.5, 1.5)
        self._temperature = draw.uniform(0.2, 0.8)
        self._capacity = draw.uniform(2.0, 3.5)

    def quality(self, recipe: Recipe) -> float:
        """The true accuracy, 0..1, over passages of all difficulties."""
        logit = self._logit(recipe)
        steps = [i / 10 for i in range(-30, 31)]
        weights = [math.exp(-(step**2) / 2) for step in steps]
        values = [_sigmoid(logit + DIFFICULTY * step) for step in steps]
        return sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights)

    def harm(self, recipe: Recipe) -> float:
        """The rise of other texts' perplexity, as a share."""
        inner = recipe.inner_loop
        protection = 2.0 * inner.null_space + 0.6 * math.log1p(inner.shrink) + 0.05 * inner.anchors
        return 0.1 * self._fragility * math.exp(0.7 * (_dose_of(recipe) - 2.0) - protection + 1.2)

    def measure(self, step: int, probes: Sequence[Probe]) -> list[tuple[PassageScore, ...]]:
        return [self._scores(probe) for probe in probes]

    def proposer(self, archive: Archive, step: int, place: int) -> Propose | None:
        """None: nobody imagines what a model would propose."""
        return None

    def _scores(self, probe: Probe) -> tuple[PassageScore, ...]:
        recipe = probe.candidate.recipe
        logit, harm = self._logit(recipe), self.harm(recipe)
        tokens = round(200 * recipe.inner_loop.epochs * _notes_of(recipe))
        scores = []
        for name in map(passage_id, probe.passages):
            probability = _sigmoid(logit - random.Random(f"passage {name}").gauss(0.0, DIFFICULTY))
            luck = random.Random(f"{self._seed} {name} {probe.candidate.id}")
            right = sum(luck.random() < probability for _ in range(QUESTIONS))
            scores.append(PassageScore(name, right / QUESTIONS, harm, tokens))
        return tuple(scores)

    def _logit(self, recipe: Recipe) -> float:
        notes, inner = recipe.self_edit, recipe.inner_loop
        liked = max(self._liked[name] for name in notes.formats) + 0.1 * (len(notes.formats) - 1)
        dose = -0.5 * (_dose_of(recipe) - self._dose) ** 2
        amount = 0.6 * math.log(_notes_of(recipe))
        warmth = -2.0 * (notes.temperature - self._temperature) ** 2
        unchecked = -1.2 * notes.temperature * {"strict": 0.0, "lenient": 0.3, "off": 1.0}[notes.verify]
        capacity = -0.3 * (math.log2(inner.rank) / 2 - self._capacity) ** 2
        held_back = -0.5 * inner.null_space**2 - 0.15 * inner.shrink
        narrow = 0.0 if "all" in inner.targets else -0.5
        taught = {"sft": 0.0, "distill": -0.2, "both": 0.1}[inner.objective]
        return liked + dose + amount + warmth + unchecked + capacity + held_back + narrow + taught


def passages(number: int) -> list[Context]:
    """Passages that nobody reads: only their names count."""
    return [Context(f"Passage {i}.", f"Title {i}", (Question("?", ("",)),)) for i in range(number)]


def _dose_of(recipe: Recipe) -> float:
    inner = recipe.inner_loop
    steps = 0.7 * math.log(inner.epochs / inner.batch_size**0.5)
    return math.log(inner.learning_rate / 1e-3) + steps + 0.5 * math.log(inner.alpha / 64)


def _notes_of(recipe: Recipe) -> float:
    """How much is learnt about a passage, where 1 is the passage alone."""
    notes = recipe.self_edit
    amounts = {"passage": 0.0, "evidence": notes.per_sentence + 0.5 * notes.cues + 0.2 * recipe.inner_loop.openings}
    amounts |= {"sentence-qa": float(notes.per_sentence)}
    return 1.0 + sum(amounts.get(name, 2.0) * notes.per_format**0.5 for name in notes.formats)


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))
