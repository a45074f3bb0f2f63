"""Outputs for a test input: several views of the task, a search for likely grids in each, a vote over all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seal_agent.arc.augment import (
    IDENTITY,
    Augmentation,
    colour_permutation,
    invertible_views,
    on_task,
    permuted,
)
from seal_agent.arc.grids import MAX_SIDE, ArcTask, Grid, Unparsed, parse_grid
from seal_agent.arc.search import likely_texts
from seal_agent.arc.text import BETWEEN, answer_of, prompt_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.types import Sampling

MOST_SCORED = 8  # our choice: candidates compared by likelihood, those with most votes first


@dataclass(frozen=True, slots=True)
class Candidate:
    """A grid that was predicted, in how many views, and its log-likelihood summed over all views (nan: not asked)."""

    grid: Grid
    votes: int
    likelihood: float = math.nan


@dataclass(frozen=True, slots=True)
class View:
    """A task seen another way, with the prompt for one of its test inputs."""

    seen_by: Augmentation
    prompt: str
    tokens: int
    """Of the prompt."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One test input of a task, and the model that is to answer: an adapter or (None) the base."""

    task: ArcTask
    test: int
    adapter: LoraAdapter | None


def predict(
    engine: Engine,
    base: BaseModel,
    asked: Sequence[Asked],
    config: ArcConfig,
    *,
    views: int | None = None,
    progress: Progress | None = None,
) -> list[tuple[Candidate, ...]]:
    """Candidates for every test input, the best first; none where no view held a grid or none fits the window.

    All views of all of them are one batch. `views` overrides the config's: 1 is the plain task, answered greedily.
    """
    seen = [_views(base, one, config, views or config.views) for one in asked]
    rows = [(at, view) for at, of_one in enumerate(seen) for view in of_one]
    prompts, adapters = [view.prompt for _, view in rows], [asked[at].adapter for at, _ in rows]
    if not rows:
        return [() for _ in asked]
    tasks = {id(asked[at].task): asked[at].task for at, _ in rows}
    longest = max(_longest_answer(base, task, config) for task in tasks.values())
    room = base.window - max(view.tokens for _, view in rows)
    sampling = Sampling(max(1, min(longest, room)), stop=(BETWEEN,))
    if config.search == "greedy":
        texts = [[one.text] for one in engine.generate(prompts, sampling, adapters, progress)]
    else:
        texts = likely_texts(engine, base, prompts, adapters, sampling, config.cutoff, progress)
    votes: list[dict[Grid, int]] = [{} for _ in asked]
    for (at, view), written in zip(rows, texts, strict=True):
        for grid in dict.fromkeys(filter(None, (_seen_back(view, text, config) for text in written))):
            votes[at][grid] = votes[at].get(grid, 0) + 1
    return [
        _ranked(engine, one, of_one, counted, config) for one, of_one, counted in zip(asked, seen, votes, strict=True)
    ]


def _views(base: BaseModel, asked: Asked, config: ArcConfig, count: int) -> list[View]:
    """Those that fit the window: the plain task first, every other one with its examples in another order."""
    found = []
    task = ArcTask(asked.task.id, asked.task.train, (asked.task.test[asked.test],))
    for number, way in enumerate(_ways(config, count)):
        changed = on_task(way, task)
        if changed is None:
            continue
        shown = permuted(changed, number) if number else changed
        prompt = prompt_of(shown.train, shown.test[0].input, config.style)
        if (tokens := len(base.encode(prompt))) < base.window:
            found.append(View(way, prompt, tokens))
    return found


def _ways(config: ArcConfig, count: int) -> tuple[Augmentation, ...]:
    if config.symmetries:
        return invertible_views(config.view_seed, count)
    return (IDENTITY, *(colour_permutation(config.view_seed * 1000 + at) for at in range(1, count)))


def _seen_back(view: View, text: str, config: ArcConfig) -> Grid | None:
    grid = parse_grid(text, config.style)
    return None if isinstance(grid, Unparsed) else view.seen_by.inverse.apply(grid)


def _longest_answer(base: BaseModel, task: ArcTask, config: ArcConfig) -> int:
    """Tokens of an output twice as large as the largest grid shown, or of the largest there can be."""
    shown = [grid for example in task.train for grid in (example.input, example.output)]
    shown += [example.input for example in task.test]
    largest = max(len(base.tokens(answer_of(grid, config.style))) for grid in shown)
    bound = len(base.tokens(answer_of(Grid.of([[0] * MAX_SIDE] * MAX_SIDE), config.style)))
    return min(2 * largest + 4, bound)


def _ranked(
    engine: Engine, asked: Asked, views: Sequence[View], votes: Mapping[Grid, int], config: ArcConfig
) -> tuple[Candidate, ...]:
    """By votes and then likelihood, or by likelihood alone, which is asked for only where it decides something."""
    counted = sorted(votes.items(), key=lambda item: -item[1])
    tops = [count for _, count in counted[: config.attempts + 1]]
    if config.choice == "vote" and len(set(tops)) == len(tops):
        return tuple(Candidate(grid, count) for grid, count in counted)
    compared, rest = counted[:MOST_SCORED], counted[MOST_SCORED:]
    likelihoods = _likelihoods(engine, asked, views, [grid for grid, _ in compared], config)
    scored = [Candidate(grid, count, sum_) for (grid, count), sum_ in zip(compared, likelihoods, strict=True)]
    by_votes = config.choice == "vote"
    scored.sort(key=lambda one: (-one.votes if by_votes else 0, -one.likelihood))
    return (*scored, *(Candidate(grid, count) for grid, count in rest))


def _likelihoods(
    engine: Engine, asked: Asked, views: Sequence[View], grids: Sequence[Grid], config: ArcConfig
) -> list[float]:
    """Of each grid the log of the product of its likelihoods over the views, in nats."""
    seen = [(view, view.seen_by.apply(grid)) for grid in grids for view in views]
    possible = [(view.prompt, answer_of(grid, config.style)) for view, grid in seen if grid]
    prompts, answers = [prompt for prompt, _ in possible], [answer for _, answer in possible]
    sums = iter([sum(tokens) for tokens in engine.score(prompts, answers, [asked.adapter] * len(prompts))])
    of_each = [next(sums) if grid else -math.inf for _, grid in seen]
    return [sum(of_each[at : at + len(views)]) for at in range(0, len(of_each), len(views))]
