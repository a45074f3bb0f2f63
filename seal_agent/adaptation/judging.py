"""Trained proposals before the gate: several at once, by the gate's checks, by a gate of one's own, or by none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.adapt import TrainedProposal, Trainer
from seal_agent.adaptation.gate.approval import Approve, approval
from seal_agent.adaptation.gate.checks import are_of, is_open
from seal_agent.adaptation.gate.decision import Gate, change
from seal_agent.adaptation.gate.gatekeeper import Gatekeeper, Retrain
from seal_agent.adaptation.gate.judgement import Judgement
from seal_agent.adaptation.gate.measure import Candidate, Meter
from seal_agent.config import GateConfig, InnerLoopConfig
from seal_agent.errors import InputError
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import StageClock
from seal_agent.types import Answer, Check, Revision, Trust, Verdict

DEFAULT_GATE = GateConfig()
"""The gate where none is named; `gate=None` is no gate at all."""

SKIPPED = (
    "no gate: not checked whether it learned, what it forgot of earlier lessons and general knowledge, and how far it "
    "drifted"
)

AnyGate = GateConfig | Gate | None
"""The bounds of the gate's checks, a gate that decides by itself, or none."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A trained proposal that waits to be judged: what it started from, and its parent and ancestors, newest first."""

    trained: TrainedProposal
    start: LoraAdapter | None
    lineage: tuple[Revision, ...]


def check_gate(gate: object) -> None:
    """Raises InputError for what is no gate, before anything is written or trained."""
    if gate is not None and not isinstance(gate, GateConfig) and not callable(getattr(gate, "decide", None)):
        raise InputError(f"gate is a GateConfig, an object with decide(before, after), or None, but it is {gate!r}")


def judge(
    trainer: Trainer, pending: Sequence[Pending], gate: AnyGate, clock: StageClock
) -> list[tuple[TrainedProposal, Judgement]]:
    """What becomes of each trained proposal, all judged in the same batches.

    The proposals come back with the weights that the judgement is about: they may have been scaled back or retrained.
    """
    if not isinstance(gate, GateConfig):
        return [
            (each.trained, _decided(each.trained.before, each.trained.after, each.trained.asked.trust, gate))
            for each in pending
        ]
    keeper = Gatekeeper(Meter(trainer.base, trainer.engine, trainer.grader, gate))
    retrained: dict[int, TrainedProposal] = {}
    again = [_retraining(trainer, each, clock, retrained, i) for i, each in enumerate(pending)]
    results = []
    for i, judged in enumerate(keeper.judge([_candidate(each) for each in pending], clock, again)):
        trained = retrained.get(i, pending[i].trained)
        after = judged.candidate.after
        results.append((replace(trained, adapter=judged.candidate.adapter, replies_after=after), judged.judgement))
    return results


def stands(revision: Revision, gate: AnyGate) -> bool:
    """Whether what became of a revision stands under this gate, so that it need not be trained and judged again.

    What was accepted stands where its checks on record are all that the gate asks for, with its bounds; of an untrusted
    text only until it is rolled back. What was not stands where the gate would say the same: of what could not be
    graded, and where somebody was asked, nobody can tell.
    """
    if revision.accepted:
        trusted = revision.context.trust != "untrusted"
        return trusted and (gate is None or (isinstance(gate, GateConfig) and are_of(revision.checks, gate)))
    if revision.status not in ("quarantined", "rejected"):
        return False
    if isinstance(gate, GateConfig):
        measured = not any(
            is_open(check) or (check.passed is False and check.value is None) for check in revision.checks
        )
        return measured and are_of(revision.checks, gate)
    if any(answer.verdict is Verdict.UNGRADED for answer in (*revision.before, *revision.after)):
        return False
    again = _decided(revision.before, revision.after, revision.context.trust, gate)
    return (again.state, again.reason, again.checks) == (revision.status, revision.reason, revision.checks)


def with_approval(
    judgement: Judgement, approve: Approve | None, candidate: Callable[[Judgement], Revision]
) -> Judgement:
    """The judgement after somebody was asked whether the change may become active; asked only if it would."""
    if approve is None or judgement.state != "active":
        return judgement
    answer = approval(approve, candidate(replace(judgement, state="candidate")))
    checks = (*judgement.checks, answer)
    if answer.passed:
        return replace(judgement, checks=checks)
    return replace(judgement, state="rejected", reason=f"{answer.name}: {answer.detail}", checks=checks)


def candidate_of(trained: TrainedProposal, start: LoraAdapter | None, lineage: tuple[Revision, ...]) -> Candidate:
    """A trained proposal as the gate sees it; `start` and `lineage` as in `Pending`."""
    return Candidate(trained.asked, trained.adapter, start, lineage, trained.replies_before, trained.replies_after)


def _candidate(pending: Pending) -> Candidate:
    return candidate_of(pending.trained, pending.start, pending.lineage)


def _retraining(
    trainer: Trainer, pending: Pending, clock: StageClock, retrained: dict[int, TrainedProposal], number: int
) -> Retrain | None:
    """How to train a proposal again with twice the replay; None where there is nothing to replay."""
    if not pending.lineage:
        return None
    proposal, config = pending.trained.proposal, more_replay(pending.trained.config)

    def run() -> Candidate:
        retrained[number] = trainer.train(proposal, config, pending.start, pending.lineage, clock)
        return _candidate(replace(pending, trained=retrained[number]))

    return run


def more_replay(config: InnerLoopConfig) -> InnerLoopConfig:
    """The settings with which the gate has a change trained again that forgot something."""
    return replace(config, replay=2 * config.replay or 1.0)


def _decided(before: tuple[Answer, ...], after: tuple[Answer, ...], trust: Trust, gate: Gate | None) -> Judgement:
    if gate is None:
        reason = f"{change(before, after)}; {SKIPPED}"
        judgement = Judgement("active", reason, (Check("gate", None, SKIPPED),))
    else:
        decision = gate.decide(before, after)
        judgement = Judgement("active" if decision.accepted else "rejected", decision.reason)
    if judgement.state == "active" and trust == "untrusted":
        why = f"{judgement.reason}; its text is untrusted, so it answers only where it is named"
        return replace(judgement, state="quarantined", reason=why)
    return judgement
