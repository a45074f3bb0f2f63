"""The section of a report about a model that rewards itself: what is watched in each round, and the alarms."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.outer_loop.collapse import Alarm, alarms, diversity
from seal_agent.outer_loop.report.blocks import Paragraph, Section, Table
from seal_agent.outer_loop.rounds import RoundResult

MISSING = "—"


def alarm_section(results: Sequence[RoundResult]) -> Section:
    """The figures of every round, and what they set off."""
    raised = alarms(results)
    table = Table(
        (
            "round",
            "reward",
            "entropy of answers, nats",
            "diversity of answers across questions",
            "diversity of self-edits",
            "divergence from the base model, nats per token",
            "alarms",
        ),
        tuple(_row(result, [alarm for alarm in raised if alarm.round == result.round]) for result in results),
    )
    explanation = (
        "A model that rewards itself may learn to agree with itself and nothing else. Then its reward and its "
        "divergence from the base model jump together, and one answer wins everywhere."
    )
    return Section("Signs of collapse", (Paragraph(explanation), table))


def _row(result: RoundResult, raised: Sequence[Alarm]) -> tuple[str, ...]:
    figures = (
        result.mean,
        result.vote_entropy,
        result.answer_diversity,
        diversity(result),
        result.policy_kl,
    )
    signs = "; ".join(f"{'stop: ' if alarm.stops else ''}{alarm.sign}" for alarm in raised)
    return str(result.round + 1), *(MISSING if f is None else f"{f:.3f}" for f in figures), signs or MISSING
