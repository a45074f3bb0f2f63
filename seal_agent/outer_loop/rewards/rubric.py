"""A reward that trains nothing: a judge reads the self-edit beside its passage and scores it by a rubric.

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
from seal_agent.outer_loop.rewards.reward import Judged
from seal_agent.prompts import fill, load_prompt
from seal_agent.types import Message, Outcome, Reward

CRITERIA = ("length", "diversity", "quality", "correctness")
LOWEST, HIGHEST = 1, 5
_NUMBER = re.compile(
    rf"\b({'|'.join(CRITERIA)})\b[\"'*_`\s]*[:=|][\"'*_`\s{{]*(?:(?:score|rating)[\"'*_`\s]*[:=][\"'*_`\s]*)?"
    rf"(\d+(?:\.\d+)?)(?:\s*/\s*(\d+))?",
    re.IGNORECASE,
)


class HasText(Protocol):
    """What a context must have to be judged by this reward."""

    @property
    def text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Rating:
    """The four numbers, 1 to 5, in the order of CRITERIA; or none, and why."""

    numbers: tuple[float, ...]
    failure: str = ""


class Rater(Protocol):
    """Reads prompts made of the rubric, a passage and notes, and gives each a rating."""

    def rate(self, prompts: Sequence[str]) -> list[Rating]: ...


@dataclass(frozen=True)
class RubricReward:
    """Mean of four numbers that a judge gives a self-edit, scaled to 0..1. Implements RewardModel.

    There is no baseline: the reward is the value itself above 0. Selection is then best-of-n of each context, and a
    context goes without a winner only where no self-edit could be judged, or all were given the lowest number four
    times over. Whether an adapter would answer better is not looked at. A judgement that fails is a failed outcome.
    """

    rater: Rater
    name: str = "rubric"
    trains: bool = False
    samples: int = 0

    @classmethod
    def of_model(cls, engine: Engine) -> RubricReward:
        """The engine's base model as judge."""
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
        """A model behind an OpenAI-compatible endpoint as judge; JudgeEndpoint says the rest."""
        endpoint = JudgeEndpoint(
            model, base_url, api_key_env=api_key_env, cache=cache, concurrency=concurrency, prices=prices
        )
        return cls(EndpointRater(endpoint))

    def score(self, judged: Sequence[Judged]) -> list[Outcome]:
        """One outcome for each, in order."""
        readable = [i for i, one in enumerate(judged) if one.trial.edit and one.trial.edit.completion.strip()]
        ratings = dict(zip(readable, self.rater.rate([_prompt(judged[i]) for i in readable]), strict=True))
        return [_outcome(ratings.get(i, Rating((), "there is nothing to judge"))) for i in range(len(judged))]


@dataclass(frozen=True)
class ModelRater:
    """A local model. Each number is what it expects: the mean of 1 to 5 by the likelihood of each.

    A small model may lean towards one number whatever it reads: see first whether it prefers notes on the passage to
    notes on another one. It reads the prompt twenty times for each self-edit, once for every number.
    """

    engine: Engine

    def rate(self, prompts: Sequence[str]) -> list[Rating]:
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt: str) -> Rating:
        digits = range(LOWEST, HIGHEST + 1)
        lines = [f"{criterion}: {digit}" for criterion in CRITERIA for digit in digits]
        try:
            scores = self.engine.score([(Message("user", prompt),)] * len(lines), lines)
        except InputError as err:  # longer than the model's window
            return Rating((), str(err))
        totals = [sum(of_line) for of_line in scores]
        return Rating(tuple(_expected(totals[i : i + len(digits)]) for i in range(0, len(totals), len(digits))))


@dataclass(frozen=True)
class EndpointRater:
    """A model behind an endpoint, which is asked for all four numbers at once."""

    endpoint: JudgeEndpoint

    def rate(self, prompts: Sequence[str]) -> list[Rating]:
        found = self.endpoint.ask_all(prompts, _understand)
        return [
            Rating((), one.failure) if one.said is None else Rating(tuple(map(float, one.said.split())))
            for one in found
        ]


def _prompt(one: Judged) -> str:
    assert one.trial.edit is not None
    item: HasText = one.case.item
    notes = one.trial.edit.completion.strip()
    return fill(load_prompt("rubric"), title=one.case.title or "this", passage=item.text, notes=notes)


def _outcome(rating: Rating) -> Outcome:
    if not rating.numbers:
        return Outcome.failed("judging", rating.failure)
    value = (fmean(rating.numbers) - LOWEST) / (HIGHEST - LOWEST)
    return Outcome(Reward(adapted=value, baseline=0.0))


def _expected(log_likelihoods: Sequence[float]) -> float:
    """The mean number by the likelihood of each, from the lowest up."""
    top = max(log_likelihoods)
    weights = [math.exp(one - top) for one in log_likelihoods]
    return sum(number * weight for number, weight in enumerate(weights, LOWEST)) / sum(weights)


def _understand(reply: str) -> str | None:
    """The four numbers of a reply in lines or JSON, as "4 3 5 2"; None where one is missing or out of range.

    Of a criterion that is named twice, as where a model thinks aloud first, the last number counts.
    """
    numbers = {name.casefold(): (float(number), scale) for name, number, scale in _NUMBER.findall(reply)}
    if set(numbers) != set(CRITERIA):
        return None
    if any(not LOWEST <= number <= HIGHEST or scale not in ("", str(HIGHEST)) for number, scale in numbers.values()):
        return None
    return " ".join(f"{numbers[criterion][0]:g}" for criterion in CRITERIA)
