"""The gate of a policy: one that fails tasks which the last policy did is not promoted."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.outer_loop.agents.rounds import GateReport, TaskResult


def decide(before: Sequence[TaskResult], after: Sequence[TaskResult], max_lost: float) -> GateReport:
    """Compare two policies on the same tasks.

    Of so few tasks that the share allows no loss, one may be lost where more than one is new: the share says nothing
    there. A share of 0 allows no loss at all.

    Args:
        before: The tasks as the last policy does them.
        after: The same tasks, as the new policy does them.
        max_lost: Share of the tasks done before that may be lost, 0..1.
    """
    done = {result.task for result in before if result.success}
    failed = {result.task for result in after if not result.success}
    lost = tuple(sorted(done & failed))
    gained = sum(result.success for result in after) - len(done) + len(lost)
    if not done:
        return GateReport(True, f"the last policy did none of {len(before)} tasks, so none could be lost")
    allowed = int(max_lost * len(done))
    if not allowed and max_lost and gained > 1:
        allowed = 1
    promoted = len(lost) <= allowed
    reason = f"{len(done) - len(lost)} of {len(done)} tasks that the last policy did are still done, {gained} are new"
    return GateReport(
        promoted, reason if promoted else f"{reason}; at most {allowed} may be lost ({max_lost:.0%})", len(done), lost
    )
