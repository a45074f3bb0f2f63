"""A reward that trains nothing: a judge scores the self-edit beside its passage by a rubric.

SEAL's proxy for its inner loop (arXiv 2506.10943 v2): a model scores length, diversity, quality and correctness.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.grading.endpoint import JudgeEndpoint
from seal_agent.outer_loop.rewards.reward import RewardInput
from seal_agent.prompts import fill, load_prompt
from seal_agent.text.reasoning import without_reasoning
from seal_agent.types import Message, Outcome, Reward

CRITERIA = ("length", "diversity", "quality", "correctness")
LOWEST, HIGHEST = 1, 5
_NUMBER = re.compile(
    rf"\b({'|'.join(CRITERIA)})\b[\"'*_`\s]*[:=|][\"'*_`\s{{]*(?:(?:score|rating)[\"'*_`\s]*[:=][\"'*_`\s]*)?"
    rf"(\d+(?:\.\d+)?)(?:\s*/\s*(\d+))?",
    re.IGNORECASE,
)


class HasText(Protocol):
    """A context with a text, which this reward needs."""

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rating:
    """Four numbers, 1 to 5, in the order of CRITERIA; or none, and the reason."""

    numbers: tuple[float, ...]
    failure: str = ""


class Rater(Protocol):
    """Rates prompts that are made of the rubric, a passage and its notes."""

    def rate(self, prompts: Sequence[str]) -> list[Rating]: ...


@dataclass(frozen=True)
class RubricReward:
    """Mean of four numbers that a judge gives a self-edit, scaled to 0..1. Implements RewardModel.

    The baseline is 0, so selection is plain best-of-n of each context. A context has no winner only where no self-edit
    could be judged, or where all got the lowest number on all four criteria. No adapter is trained, so the reward does
    not show whether one would answer better. A judgement that fails is a failed outcome.
    """

    rater: Rater
    name: str = "rubric"
    trains: bool = False
    samples: int = 0

    @classmethod
    def of_model(cls, engine: Engine) -> RubricReward:
        """With the engine's base model as judge."""
        return cls(ModelRater(engine))

    @classmethod
    def of_endpoint(
        cls,
        model: str,
        base_url: str = "https://api.openai.com/v1",
        *,
        api_key_env: str = "OPENAI_API_KEY",
        cache: str | os.PathLike[str] | None = None,
        concurrency: int = 8,
        prices: tuple[float, float] = (0.0, 0.0),
    ) -> RubricReward:
        """With a model behind an OpenAI-compatible endpoint as judge; for the arguments see JudgeEndpoint."""
        endpoint = JudgeEndpoint(
            model, base_url, api_key_env=api_key_env, cache=cache, concurrency=concurrency, prices=prices
        )
        return cls(EndpointRater(endpoint))

    def score(self, inputs: Sequence[RewardInput]) -> list[Outcome]:
        """One outcome for each input, in order."""
        positions = [i for i, entry in enumerate(inputs) if entry.trial.edit and entry.trial.edit.completion.strip()]
        ratings = dict(zip(positions, self.rater.rate([_prompt(inputs[i]) for i in positions]), strict=True))
        return [_outcome(ratings.get(i, Rating((), "there is nothing to judge"))) for i in range(len(inputs))]


@dataclass(frozen=True)
class ModelRater:
    """A local model as rater. Each number is the mean of 1 to 5, weighted by the likelihood of each.

    A small model may prefer one number whatever it reads: check first that it rates notes on the passage above notes on
    another passage. It reads the prompt twenty times per self-edit, once for every number of every criterion.
    """

    engine: Engine

    def rate(self, prompts: Sequence[str]) -> list[Rating]:
        return [self._rating(prompt) for prompt in prompts]

    def _rating(self, prompt: str) -> Rating:
        digits = range(LOWEST, HIGHEST + 1)
        lines = [f"{criterion}: {digit}" for criterion in CRITERIA for digit in digits]
        try:
            scores = self.engine.score([(Message("user", prompt),)] * len(lines), lines)
        except InputError as err:  # longer than the model's window
            return Rating((), str(err))
        totals = [sum(line_scores) for line_scores in scores]
        return Rating(tuple(_expected(totals[i : i + len(digits)]) for i in range(0, len(totals), len(digits))))


@dataclass(frozen=True)
class EndpointRater:
    """A model behind an endpoint as rater; one reply gives all four numbers."""

    endpoint: JudgeEndpoint

    def rate(self, prompts: Sequence[str]) -> list[Rating]:
        return [
            Rating((), judgement.failure)
            if judgement.said is None
            else Rating(tuple(map(float, judgement.said.split())))
            for judgement in self.endpoint.ask_all(prompts, _parse_reply)
        ]


def _prompt(entry: RewardInput) -> str:
    assert entry.trial.edit is not None
    item: HasText = entry.case.item
    notes = without_reasoning(entry.trial.edit.completion).strip()
    return fill(load_prompt("rubric"), title=entry.case.title or "this", passage=item.text, notes=notes)


def _outcome(rating: Rating) -> Outcome:
    if not rating.numbers:
        return Outcome.failed("judging", rating.failure)
    value = (fmean(rating.numbers) - LOWEST) / (HIGHEST - LOWEST)
    return Outcome(Reward(adapted=value, baseline=0.0))


def _expected(log_likelihoods: Sequence[float]) -> float:
    """The mean number, weighted by likelihood; `log_likelihoods` run from the lowest number to the highest."""
    highest = max(log_likelihoods)
    weights = [math.exp(log_likelihood - highest) for log_likelihood in log_likelihoods]
    return sum(number * weight for number, weight in enumerate(weights, LOWEST)) / sum(weights)


def _parse_reply(reply: str) -> str | None:
    """The four numbers of a reply in lines or JSON, as "4 3 5 2"; None where one is missing or out of range.

    Where a criterion is named twice, as by a model that thinks aloud first, the last number counts.
    """
    numbers = {
        name.casefold(): (float(number), scale) for name, number, scale in _NUMBER.findall(without_reasoning(reply))
    }
    if set(numbers) != set(CRITERIA):
        return None
    if any(not LOWEST <= number <= HIGHEST or scale not in ("", str(HIGHEST)) for number, scale in numbers.values()):
        return None
    return " ".join(f"{numbers[criterion][0]:g}" for criterion in CRITERIA)
