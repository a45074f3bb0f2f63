"""When an interval says something: one over a few values rests on too few differences, and is not shown."""

from __future__ import annotations

from seal_agent.outer_loop.report.interval import Estimate

LEAST = 5  # values; the interval of a few that are alike has no width at all


def is_sure(estimate: Estimate) -> bool:
    """Whether the interval stands on enough values to decide by."""
    return estimate.count >= LEAST


def shown(estimate: Estimate, form: str = "+.3f") -> str:
    """The mean with its interval; the mean alone where there are too few values for one."""
    if not is_sure(estimate):
        return f"{estimate.mean:{form}}"
    return f"{estimate.mean:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"
