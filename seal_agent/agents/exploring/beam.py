"""Beam exploration: several candidates for every step, of which the best paths of each task are followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from seal_agent.agents.exploring.actor import Actor
from seal_agent.agents.exploring.attempts import Path, begin, stuck
from seal_agent.agents.exploring.roll_out import roll_out
from seal_agent.agents.exploring.waves import in_waves
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.scoring.scorer import ACCEPTED, Attempt, Scorer
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.agents.trajectories.trajectory import calls_of
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.types import ToolCall


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A call that a path may go on with."""

    path: Path
    call: ToolCall
    score: float | None = None

    @property
    def value(self) -> float:
        """The mean score of the path with this call; a step without a score counts as undecided."""
        return fmean((*self.path.scores, ACCEPTED if self.score is None else self.score))


def explore(
    actor: Actor,
    worlds: Worlds,
    starts: Sequence[Start],
    scorer: Scorer | None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Rollout]:
    """Attempts from each start, those with the same calls once.

    Args:
        scorer: Chooses which of `config.candidates` calls of each step are followed, on `config.paths` paths. None: as
            many attempts are drawn side by side as there would be candidates.
        progress: Called with the attempts that have ended.
    """
    config = actor.config
    if scorer is None:
        every = [start for start in starts for _ in range(config.paths * config.candidates)]
        rollouts = roll_out(actor, worlds, every, temperature=config.temperature, seed=seed, progress=progress)
    else:
        follow = partial(_search, actor, worlds, scorer)
        rollouts = in_waves(follow, worlds, starts, paths=config.paths, seed=seed, progress=progress)
    return list({(rollout.task, calls_of(rollout.steps)): rollout for rollout in rollouts if rollout.steps}.values())


def _search(
    actor: Actor, worlds: Worlds, scorer: Scorer, starts: Sequence[Start], seed: int, progress: Progress
) -> list[Rollout]:
    """The ended paths of a beam from each start, which may share their first steps."""
    bounds, width = (worlds.any.max_steps, actor.config.repeats), actor.config.paths
    beams = [[begin(worlds, start)] for start in starts]
    ended: list[list[Path]] = [[] for _ in starts]
    turn = 0
    while any(beams):
        worlds.keep(path.here for beam in beams for path in beam)
        candidates = _scored(_candidates(actor, beams, derived_seed(seed, "step", turn)), scorer)
        for number, beam in enumerate(beams):
            mine = [each for each in candidates if any(each.path is path for path in beam)]
            ended[number] += [stuck(path) for path in beam if not any(each.path is path for each in mine)]
            best = sorted(mine, key=lambda each: -each.value)[: max(0, width - len(ended[number]))]
            paths = [each.path.taken(worlds, each.call, each.score) for each in best]
            ended[number] += [path for path in paths if path.ended(*bounds)]
            beams[number] = [path for path in paths if not path.ended(*bounds)]
        turn += 1
        progress(sum(map(len, ended)), len(starts) * width)
    return [path.rollout() for paths in ended for path in paths]


def _candidates(actor: Actor, beams: Sequence[Sequence[Path]], seed: int) -> list[_Candidate]:
    """The candidates of every path of every beam, drawn in one batch."""
    paths = [path for beam in beams for path in beam]
    views = [path.view for path in paths]
    drawn = actor.act(views, actor.config.temperature, seed, count=actor.config.candidates)
    return [_Candidate(path, call) for path, calls in zip(paths, drawn, strict=True) for call in calls]


def _scored(candidates: Sequence[_Candidate], scorer: Scorer) -> list[_Candidate]:
    attempts = [
        Attempt(each.path.start.task.goal, each.path.steps, each.path.seen.text, each.call) for each in candidates
    ]
    scores = scorer.score(attempts)
    return [_Candidate(each.path, each.call, score) for each, score in zip(candidates, scores, strict=True)]
