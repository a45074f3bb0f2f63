"""The Pareto front: candidates that no other beats in accuracy, seconds and harm at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seal_agent.outer_loop.tuning.archive import Archive


@dataclass(frozen=True, slots=True)
class Point:
    """What a candidate reaches and costs: a share, seconds per passage, and the rise of perplexity as a share."""

    name: str
    accuracy: float
    seconds: float
    harm: float
    passages: int

    def beats(self, other: Point) -> bool:
        """At least as good in all three, and better in one."""
        own, others = (-self.accuracy, self.seconds, self.harm), (-other.accuracy, other.seconds, other.harm)
        return own != others and all(mine <= theirs for mine, theirs in zip(own, others, strict=True))


def points_of(archive: Archive, seconds: Callable[[str], float | None]) -> list[Point]:
    """The viable candidates."""
    points = []
    for name in archive.viable():
        accuracy, harm, spent = archive.accuracy(name), archive.harm(name), seconds(name)
        if accuracy and harm is not None and spent is not None:
            points.append(Point(name, accuracy.mean, spent, harm, accuracy.count))
    return points


def front_of(points: Sequence[Point], least: int = 0) -> list[Point]:
    """The points that no other beats, the most accurate first, among those with at least `least` passages.

    Among all where none has so many: what was measured on few is good by luck more often.
    """
    points = [point for point in points if point.passages >= least] or points
    kept = [point for point in points if not any(other.beats(point) for other in points)]
    return sorted(kept, key=lambda point: -point.accuracy)
