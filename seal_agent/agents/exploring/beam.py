"""Beam exploration: several candidates for every step, of which the best paths of each task are followed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.agents.exploring.actor import Actor
from seal_agent.agents.exploring.attempts import Path, begin, stuck
from seal_agent.agents.exploring.worlds import Worlds
from seal_agent.agents.scoring.scorer import ACCEPTED, Attempt, Scorer
from seal_agent.agents.trajectories.rollout import Rollout, Start
from seal_agent.progress import Progress
from seal_agent.seeds import derived_seed
from seal_agent.types import ToolCall


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A call that a path may go on with; `rank` counts the calls drawn for that path."""

    path: Path
    call: ToolCall
    rank: int
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
    """`config.paths` attempts from each start, which may share their first steps.

    Args:
        scorer: Chooses which candidates are followed. None: those drawn first, from as many paths as there are.
        progress: Called with the attempts that have ended.
    """
    max_steps, width = worlds.any.max_steps, actor.config.paths
    beams = [[begin(worlds, start)] for start in starts]
    ended: list[list[Path]] = [[] for _ in starts]
    turn = 0
    while any(beams):
        candidates = _candidates(actor, beams, derived_seed(seed, "step", turn))
        followed = _scored([each for row in candidates for each in row], scorer)
        for number, beam in enumerate(beams):
            mine = [each for each in followed if any(each.path is path for path in beam)]
            stopped = [path for path in beam if not any(each.path is path for each in mine)]
            ended[number] += [stuck(path) for path in stopped if path.steps]
            chosen = _chosen(mine, width - len(ended[number]), scorer is not None)
            paths = [each.path.taken(worlds, each.call, each.score) for each in chosen]
            ended[number] += [path for path in paths if path.ended(max_steps)]
            beams[number] = [path for path in paths if not path.ended(max_steps)]
        turn += 1
        if progress:
            progress(sum(map(len, ended)), len(starts) * width)
    return [path.rollout() for paths in ended for path in paths]


def _candidates(actor: Actor, beams: Sequence[Sequence[Path]], seed: int) -> list[list[_Candidate]]:
    """The candidates of every path of every beam, drawn in one batch."""
    paths = [path for beam in beams for path in beam]
    views = [path.view for path in paths]
    drawn = actor.act(views, actor.config.temperature, seed, count=actor.config.candidates)
    return [
        [_Candidate(path, call, rank) for rank, call in enumerate(calls)]
        for path, calls in zip(paths, drawn, strict=True)
    ]


def _scored(candidates: Sequence[_Candidate], scorer: Scorer | None) -> list[_Candidate]:
    if scorer is None:
        return list(candidates)
    attempts = [
        Attempt(each.path.start.task.goal, each.path.steps, each.path.seen.text, each.call) for each in candidates
    ]
    scores = scorer.score(attempts)
    return [_Candidate(each.path, each.call, each.rank, score) for each, score in zip(candidates, scores, strict=True)]


def _chosen(candidates: Sequence[_Candidate], count: int, by_score: bool) -> list[_Candidate]:
    """The best candidates by score, else the first drawn of each path, then the second of each, and so on."""
    if by_score:
        return sorted(candidates, key=lambda each: -each.value)[: max(0, count)]
    return sorted(candidates, key=lambda each: each.rank)[: max(0, count)]
