"""Measurement in stages: which passages a candidate learns next, and when it leaves early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from seal_agent.config import TuneConfig
from seal_agent.outer_loop.report.interval import student_estimate
from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.outer_loop.tuning.costs import MAX_COST, cost_of, is_too_dear
from seal_agent.outer_loop.tuning.evidence import is_sure
from seal_agent.types import Context, content_hash

_ID_DIGITS = 16
_MOST = f"more than {MAX_COST:g}"


@dataclass(frozen=True, slots=True)
class Probe:
    """A candidate to be measured on some passages."""

    candidate: Candidate
    passages: tuple[Context, ...]


def passage_id(context: Context) -> str:
    """The passage's name in an archive: a hash of its title and text."""
    return content_hash([context.title, context.text])[:_ID_DIGITS]


def next_probe(archive: Archive, candidate: Candidate, passages: Sequence[Context], config: TuneConfig) -> Probe | None:
    """The passages of a candidate's next stage; None where it has been through all, or has left.

    All candidates learn the passages in the same order, so that any two share those of the shorter one.
    """
    done = len(archive.scores(candidate.id))
    end = next((stage for stage in config.stages if stage > done), None)
    if end is None or archive.left(candidate.id) or done >= len(passages):
        return None
    return Probe(candidate, tuple(passages[done:end]))


def leave_early(archive: Archive, candidate: Candidate, reference: str) -> None:
    """Let a candidate leave that is not viable, too dear, or less accurate than its parent by the whole interval.

    Args:
        reference: Whom candidates without a parent are compared with, and whose cost is the measure of every other's.
    """
    if not archive.is_viable(candidate.id):
        archive.leave(candidate.id, _why_not_viable(archive, candidate.id))
        return
    if is_too_dear(archive, candidate, reference):
        cost = cost_of(archive, candidate, reference)
        archive.leave(candidate.id, f"trains on {cost:.1f} times the tokens of {archive[reference].label}, {_MOST}")
        return
    other = candidate.parent or reference
    gains = archive.gain(candidate.id, other) if other != candidate.id and other in archive else []
    gain = student_estimate(gains) if gains and fmean(gains) < 0 else None
    if gain and is_sure(gain) and gain.high < 0:
        archive.leave(candidate.id, f"below {archive[other].label} by {gain} on {gain.count} passages")


def _why_not_viable(archive: Archive, name: str) -> str:
    failures = [score.failure for score in archive.scores(name) if score.failure]
    if archive.harm(name) is None:
        return f"nothing could be measured: {failures[0]}" if failures else "nothing could be measured"
    if not any(archive.accuracies(name).values()):
        return "answers no question"
    return f"harm of {archive.harm(name):+.0%}, more than {archive.max_harm:+.0%}"
