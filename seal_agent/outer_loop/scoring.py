"""From the trials of one context to its result: a mean reward for every self-edit, and for the context alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from seal_agent.outer_loop.domains.domain import Domain
from seal_agent.outer_loop.rewards.reward import RewardInput, RewardModel, reporting_outcome
from seal_agent.outer_loop.rounds import ContextResult
from seal_agent.outer_loop.selection import ScoredEdit
from seal_agent.outer_loop.units import Case, CaseResult
from seal_agent.types import Outcome, SelfEdit, Verdict, accuracy


def result_without_training(
    domain: Domain[Any], case: Case[Any], edits: Sequence[SelfEdit], outcomes: Sequence[Outcome]
) -> ContextResult:
    """The result of a context whose self-edits were judged as text, with one outcome each."""
    scored = [
        ScoredEdit(edit, (outcome,), domain.rejected(case, edit)) for edit, outcome in zip(edits, outcomes, strict=True)
    ]
    return ContextResult(case.title, tuple(scored))


def result_of_trials(
    domain: Domain[Any],
    reward: RewardModel,
    case: Case[Any],
    edits: Sequence[SelfEdit],
    seeds: int,
    trained: CaseResult,
    alone: CaseResult,
) -> ContextResult:
    """The result of a context whose self-edits were trained.

    The base model's answers beside `alone` are the baseline of both: sampled ones would differ by chance between the
    two, and a self-edit be measured against others than its floor.

    Args:
        edits: The context's self-edits, in the order of the trials.
        seeds: Trials per self-edit, which follow one another in `trained`.
        trained: Results of the trials on self-edits.
        alone: Results of the trials on the context alone.
    """
    trained = replace(trained, baseline=alone.baseline)
    rewards, reporting = _rewards(reward, case, trained), _reporting(trained)
    scored = [
        ScoredEdit(
            edit,
            tuple(rewards[i * seeds : (i + 1) * seeds]),
            domain.rejected(case, edit),
            tuple(reporting[i * seeds : (i + 1) * seeds]),
        )
        for i, edit in enumerate(edits)
    ]
    return ContextResult(
        case.title,
        tuple(scored),
        alone=tuple(_rewards(reward, case, alone)),
        alone_reporting=tuple(_reporting(alone)),
        baseline=_baseline_accuracy(alone),
    )


def _rewards(reward: RewardModel, case: Case[Any], result: CaseResult) -> list[Outcome]:
    return reward.score([RewardInput(case, tried.trial, result.baseline, tried) for tried in result.tried])


def _reporting(result: CaseResult) -> list[Outcome]:
    return [reporting_outcome(result, tried) for tried in result.tried]


def _baseline_accuracy(result: CaseResult) -> float | None:
    graded = [answer for answer in result.baseline.selecting if answer.verdict is not Verdict.UNGRADED]
    return accuracy(graded) if graded else None
