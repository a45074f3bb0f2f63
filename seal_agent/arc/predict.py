"""Predict test outputs: several views of a task, a search for likely grids in each, and a vote over all views."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seal_agent.arc.augment import (
    IDENTITY,
    Augmentation,
    augment_task,
    colour_permutation,
    invertible_views,
    permute_examples,
)
from seal_agent.arc.grids import MAX_SIDE, ArcTask, Grid, Unparsed, parse_grid
from seal_agent.arc.search import likely_texts
from seal_agent.arc.text import BLANK_LINE, answer_of, prompt_of
from seal_agent.base_model.model import BaseModel
from seal_agent.config import ArcConfig
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.types import Sampling

MAX_SCORED = 8  # not tuned: candidates compared by likelihood, those with most votes first


@dataclass(frozen=True, slots=True)
class Candidate:
    """A predicted grid, the number of views that predicted it, and its score.

    `log_likelihood` is summed over all views, in nats; nan where it was not computed.
    """

    grid: Grid
    votes: int
    log_likelihood: float = math.nan


@dataclass(frozen=True, slots=True)
class View:
    """A task under an augmentation, as the prompt for one of its test inputs."""

    augmentation: Augmentation
    prompt: str
    tokens: int
    """Tokens of the prompt."""


@dataclass(frozen=True, slots=True)
class Query:
    """One test input of a task, and the model that predicts its output: an adapter, or (None) the base model."""

    task: ArcTask
    test: int
    adapter: LoraAdapter | None


def predict(
    engine: Engine,
    base: BaseModel,
    queries: Sequence[Query],
    config: ArcConfig,
    *,
    views: int | None = None,
    progress: Progress | None = None,
) -> list[tuple[Candidate, ...]]:
    """Candidates for every query, best first; none where no view fits the window or gives a grid.

    All views of all queries form one batch.

    Args:
        queries: Test inputs and the adapters that answer them.
        config: How to search, vote and rank.
        views: Overrides `config.views`; 1 is the plain task.
        progress: Called with the prompts completed.
    """
    views_by_query = [_views(base, query, config, views or config.views) for query in queries]
    rows = [(index, view) for index, query_views in enumerate(views_by_query) for view in query_views]
    if not rows:
        return [() for _ in queries]
    completions = _complete(engine, base, queries, rows, config, progress)
    votes: list[dict[Grid, int]] = [{} for _ in queries]
    for (index, view), texts in zip(rows, completions, strict=True):
        for grid in dict.fromkeys(filter(None, (_read_prediction(view, text, config) for text in texts))):
            votes[index][grid] = votes[index].get(grid, 0) + 1
    return [
        _ranked(engine, query, query_views, query_votes, config)
        for query, query_views, query_votes in zip(queries, views_by_query, votes, strict=True)
    ]


def _complete(
    engine: Engine,
    base: BaseModel,
    queries: Sequence[Query],
    rows: Sequence[tuple[int, View]],
    config: ArcConfig,
    progress: Progress | None,
) -> list[list[str]]:
    """The texts that each row's view is completed with: the greedy one, or several likely ones."""
    prompts, adapters = [view.prompt for _, view in rows], [queries[index].adapter for index, _ in rows]
    tasks = {id(queries[index].task): queries[index].task for index, _ in rows}
    longest = max(_longest_answer(base, task, config) for task in tasks.values())
    room = base.window - max(view.tokens for _, view in rows)
    sampling = Sampling(max(1, min(longest, room)), stop=(BLANK_LINE,))
    if config.search == "greedy":
        return [[completion.text] for completion in engine.generate(prompts, sampling, adapters, progress)]
    return likely_texts(engine, base, prompts, adapters, sampling, config.cutoff, progress)


def _views(base: BaseModel, query: Query, config: ArcConfig, count: int) -> list[View]:
    """The views that fit the window: the plain task first, each other one with its examples in another order."""
    views = []
    task = ArcTask(query.task.id, query.task.train, (query.task.test[query.test],))
    for number, augmentation in enumerate(_augmentations(config, count)):
        augmented = augment_task(augmentation, task)
        if augmented is None:
            continue
        shown = permute_examples(augmented, number) if number else augmented
        prompt = prompt_of(shown.train, shown.test[0].input, config.style)
        if (tokens := len(base.encode(prompt))) < base.window:
            views.append(View(augmentation, prompt, tokens))
    return views


def _augmentations(config: ArcConfig, count: int) -> tuple[Augmentation, ...]:
    if config.symmetries:
        return invertible_views(config.view_seed, count)
    return (
        IDENTITY,
        *(colour_permutation(derived_seed(config.view_seed, "view", number)) for number in range(1, count)),
    )


def _read_prediction(view: View, text: str, config: ArcConfig) -> Grid | None:
    """The predicted grid with the view's augmentation undone; None where the text holds no grid."""
    grid = parse_grid(text, config.style)
    return None if isinstance(grid, Unparsed) else view.augmentation.inverse.apply(grid)


def _longest_answer(base: BaseModel, task: ArcTask, config: ArcConfig) -> int:
    """Tokens of an output twice as long as the longest grid shown, but no more than those of a 30 × 30 grid."""
    shown = [grid for example in task.train for grid in (example.input, example.output)]
    shown += [example.input for example in task.test]
    longest = max(len(base.tokens(answer_of(grid, config.style))) for grid in shown)
    bound = len(base.tokens(answer_of(Grid.of([[0] * MAX_SIDE] * MAX_SIDE), config.style)))
    return min(2 * longest + 4, bound)


def _ranked(
    engine: Engine, query: Query, views: Sequence[View], votes: Mapping[Grid, int], config: ArcConfig
) -> tuple[Candidate, ...]:
    """Ranked by votes, ties by likelihood, or by likelihood alone. Likelihoods are computed only where they matter."""
    counted = sorted(votes.items(), key=lambda item: -item[1])
    top_counts = [count for _, count in counted[: config.attempts + 1]]
    if config.choice == "vote" and len(set(top_counts)) == len(top_counts):
        return tuple(Candidate(grid, count) for grid, count in counted)
    scored, unscored = counted[:MAX_SCORED], counted[MAX_SCORED:]
    log_likelihoods = _log_likelihoods(engine, query, views, [grid for grid, _ in scored], config)
    candidates = [Candidate(grid, count, nats) for (grid, count), nats in zip(scored, log_likelihoods, strict=True)]
    by_votes = config.choice == "vote"
    candidates.sort(key=lambda candidate: (-candidate.votes if by_votes else 0, -candidate.log_likelihood))
    return (*candidates, *(Candidate(grid, count) for grid, count in unscored))


def _log_likelihoods(
    engine: Engine, query: Query, views: Sequence[View], grids: Sequence[Grid], config: ArcConfig
) -> list[float]:
    """The log-likelihood of each grid summed over the views, in nats; -inf where a view cannot show the grid."""
    augmented = [(view, view.augmentation.apply(grid)) for grid in grids for view in views]
    scorable = [(view.prompt, answer_of(grid, config.style)) for view, grid in augmented if grid]
    prompts, answers = [prompt for prompt, _ in scorable], [answer for _, answer in scorable]
    sums = iter([sum(tokens) for tokens in engine.score(prompts, answers, [query.adapter] * len(prompts))])
    per_view = [next(sums) if grid else -math.inf for _, grid in augmented]
    return [sum(per_view[start : start + len(views)]) for start in range(0, len(per_view), len(views))]
