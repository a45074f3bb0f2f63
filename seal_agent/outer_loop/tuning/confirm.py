"""The end of a run: the winner, the default and the paper's recipe on passages that selected nothing, paired.

Where the search found the default itself surest to be good, the best other recipe stands for the winner.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seal_agent.outer_loop.report.interval import Estimate
from seal_agent.outer_loop.tuning.archive import Archive, Candidate
from seal_agent.outer_loop.tuning.evidence import LEAST, is_sure, shown
from seal_agent.outer_loop.tuning.search import Laboratory
from seal_agent.outer_loop.tuning.stages import Probe
from seal_agent.types import Context

CONFIRMING = -1  # the step under which the ledger keeps this work: no step of the search counts it
REFERENCES = ("default", "paper")
"""What the winner is compared with, as far as the run has it; the first stays where the winner is not better."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The winner's accuracy less another recipe's on the same passages, with Student's 95 % interval over them."""

    over: Candidate
    difference: Estimate

    @property
    def is_better(self) -> bool:
        return is_sure(self.difference) and self.difference.low > 0

    @property
    def is_worse(self) -> bool:
        return is_sure(self.difference) and self.difference.high < 0


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the winner, the default and other references reach on the confirming passages, which `archive` holds.

    `leads` says whether the winner was the best on the selecting passages; else the default was, and the winner is the
    best other recipe. Where no other is viable the winner is the default, and nothing is confirmed.
    """

    winner: Candidate
    default: Candidate
    archive: Archive
    comparisons: tuple[Comparison, ...]
    leads: bool = True

    @property
    def kept(self) -> Candidate:
        """The winner if it is better than the default by the whole interval and viable, else the default."""
        against = self._against_default()
        return self.winner if against and against.is_better and self.is_viable else self.default

    @property
    def is_viable(self) -> bool:
        """Whether the winner does no more harm on the confirming passages than is allowed."""
        return self.archive.is_viable(self.winner.id)

    def verdict(self) -> str:
        """The result in a sentence or two."""
        label, default = self.winner.label, self.default.label
        if self.winner.id == self.default.id:
            return f"Of all that was tried, nothing but {default} can be used. It stays, and nothing was confirmed."
        if self.leads:
            return self._finding()
        return f"Of all that was tried, nothing is surer to be good than {default}; next is {label}. {self._finding()}"

    def _finding(self) -> str:
        """What the confirming passages say of the winner."""
        label, default, against = self.winner.label, self.default.label, self._against_default()
        if against is None:
            return f"{label} could not be compared with {default} on any confirming passage. {default} stays."
        count = against.difference.count
        passages = f"on {count} confirming passages: {shown(against.difference)}"
        if not is_sure(against.difference):
            return f"{label} against {default} {passages}. {LEAST} are the least for an interval, so {default} stays."
        if against.is_better and self.is_viable:
            return f"{label} answers more questions than {default} {passages}."
        finding = "answers fewer questions than" if against.is_worse else "is not surely better than"
        finding = "answers more questions than" if against.is_better else finding
        return f"{label} {finding} {default} {passages}.{self._harm()} {default} stays."

    def _harm(self) -> str:
        """A sentence about harm that is not allowed; "" where there is none."""
        harm, most = self.archive.harm(self.winner.id), self.archive.max_harm
        if self.is_viable or harm is None or harm <= most:
            return ""
        return f" Texts about other things become {harm:+.0%} more perplexing, which is more than {most:+.0%}."

    def _against_default(self) -> Comparison | None:
        return next((c for c in self.comparisons if c.over.id == self.default.id), None)


def confirm(
    winner: Candidate,
    archive: Archive,
    passages: Sequence[Context],
    laboratory: Laboratory,
    references: Collection[str] = REFERENCES,
    leads: bool = True,
) -> Confirmation:
    """Measure the winner and its references, the default among them, on the confirming passages.

    Nothing where the winner is the default.

    Args:
        leads: Whether the winner was the best on the selecting passages, as `Confirmation` has it.
    """
    named = [c for name in REFERENCES if name in references for c in archive if c.name == name]
    others = [candidate for candidate in named if candidate.id != winner.id]
    confirming = Archive(archive.max_harm)
    if winner.id == named[0].id:
        return Confirmation(winner, winner, confirming, ())
    probes = [Probe(candidate, tuple(passages)) for candidate in (winner, *others)]
    for probe, scores in zip(probes, laboratory.measure(CONFIRMING, probes), strict=True):
        confirming.add(probe.candidate)
        confirming.record(probe.candidate.id, scores)
    pairs = ((other, confirming.compared(winner.id, other.id)) for other in others)
    comparisons = tuple(Comparison(other, gain) for other, gain in pairs if gain)
    return Confirmation(winner, named[0], confirming, comparisons, leads)
