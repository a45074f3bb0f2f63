"""From candidates to judgements: check what was learned, then what was lost, and scale harmful updates back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from seal_agent.adaptation.gate import checks as rules
from seal_agent.adaptation.gate.judgement import Judgement
from seal_agent.adaptation.gate.measure import Candidate, Measured, Meter
from seal_agent.adaptation.gate.scaling import scaled
from seal_agent.errors import TrainingError
from seal_agent.progress import StageClock
from seal_agent.types import Check, RevisionState

NOT_RESCUED = frozenset((rules.FACTS,))
"""Checks that no smaller update can pass and still have learned its text."""

Retrain = Callable[[], Candidate]
"""Trains a candidate again, with more replay."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A judged candidate: the adapter that the judgement is about may be a scaled or retrained one."""

    candidate: Candidate
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Gatekeeper:
    """Judges candidates by the checks of a GateConfig."""

    meter: Meter

    def judge(
        self, candidates: Sequence[Candidate], clock: StageClock, retrain: Sequence[Retrain | None] | None = None
    ) -> list[Judged]:
        """One for each candidate, in order; all are measured in the same batches.

        Args:
            retrain: For each candidate, how to train it again with more replay; None where that is not wanted.
        """
        retrain = retrain or [None] * len(candidates)
        judged: dict[int, Judged] = {}
        own = [rules.learned(candidate, self.meter.config) for candidate in candidates]
        learned = [i for i, check in enumerate(own) if check.passed is not False]
        for i in set(range(len(candidates))) - set(learned):
            judged[i] = self._rejected(candidates[i], [own[i]], Measured())
        if learned:
            measured = self.meter.measure([candidates[i] for i in learned], clock)
            for i, of_candidate in zip(learned, measured, strict=True):
                judged[i] = self._judge_one(candidates[i], own[i], of_candidate, clock, retrain[i])
        return [judged[i] for i in range(len(candidates))]

    def _judge_one(
        self, candidate: Candidate, own: Check, measured: Measured, clock: StageClock, retrain: Retrain | None
    ) -> Judged:
        found = [own, *rules.harmless(measured, self.meter.config)]
        failed = {check.name for check in found if check.passed is False}
        if not failed:
            return self._passed(candidate, found, measured)
        if failed & NOT_RESCUED:
            return self._rejected(candidate, found, measured)
        again = None
        if rules.EARLIER in failed and retrain is not None and self.meter.config.retrain:
            again = self._trained_again(retrain, clock)
        return again or self.scaled_back(candidate, clock) or self._rejected(candidate, found, measured)

    def _trained_again(self, retrain: Retrain, clock: StageClock) -> Judged | None:
        """What becomes of a candidate that is trained again with more replay; None where that training fails."""
        try:
            candidate = retrain()
        except TrainingError:
            return None
        (again,) = self.judge([candidate], clock)
        return replace(
            again,
            judgement=replace(again.judgement, reason=f"trained again with more replay: {again.judgement.reason}"),
        )

    def scaled_back(self, candidate: Candidate, clock: StageClock) -> Judged | None:
        """The first of a bisection's updates that has learned and does no harm; None where there is none."""
        low, high = 0.0, 1.0
        for _ in range(self.meter.config.scalings):
            share = (low + high) / 2
            smaller = replace(candidate, adapter=scaled(candidate.start, candidate.adapter, share))
            if candidate.asked.questions:
                (smaller,) = self.meter.ask_own([smaller], clock)
            own = rules.learned(smaller, self.meter.config)
            if own.passed is False:
                low = share
                continue
            (measured,) = self.meter.measure([smaller], clock)
            found = [own, *rules.harmless(measured, self.meter.config)]
            if all(check.passed is not False for check in found):
                return self._passed(smaller, found, measured, share)
            high = share
        return None

    def _passed(self, candidate: Candidate, found: Sequence[Check], measured: Measured, share: float = 1.0) -> Judged:
        reason = found[0].detail
        if share < 1:
            reason += f"; scaled back to {share:.0%} of the update"
        untrusted = candidate.asked.trust == "untrusted"
        unchecked = [f"{check.name}: {check.detail}" for check in found[1:] if rules.is_open(check)]
        if untrusted:
            unchecked.append("its text is untrusted")
        if not untrusted and not any(map(rules.is_open, found)):
            return self._judged(candidate, "active", reason, found, measured, share)
        reason = "; ".join([reason, *unchecked]) + ", so it answers only where it is named"
        return self._judged(candidate, "quarantined", reason, found, measured, share)

    def _rejected(self, candidate: Candidate, found: Sequence[Check], measured: Measured) -> Judged:
        failed = [f"{check.name}: {check.detail}" for check in found if check.passed is False]
        return self._judged(candidate, "rejected", "; ".join(failed), found, measured)

    def _judged(
        self,
        candidate: Candidate,
        state: RevisionState,
        reason: str,
        found: Sequence[Check],
        measured: Measured,
        share: float = 1.0,
    ) -> Judged:
        checks = (*found, rules.bounds_of(self.meter.config))
        earlier = tuple(reply.answer for _, reply in measured.earlier)
        titles = tuple(question.title for question, _ in measured.earlier)
        judgement = Judgement(state, reason, checks, share, earlier, titles, measured.guard or ())
        return Judged(candidate, judgement)
