"""Which settings mattered: what came of the children that changed each of them, against their parents."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean

from seal_agent.outer_loop.report.interval import Estimate, student_estimate
from seal_agent.outer_loop.tuning.archive import Archive
from seal_agent.outer_loop.tuning.settings import SETTINGS


@dataclass(frozen=True, slots=True)
class Attribution:
    """The mean gain of children that changed a setting, over children; `alone` of them changed nothing else."""

    setting: str
    gain: Estimate
    alone: int


def attributions(archive: Archive) -> list[Attribution]:
    """One for each setting that a measured child changed, those that gained most first.

    A child's gain is its mean difference from its parent on the passages that both learnt. A child that changed several
    settings counts for each of them: with few children this says where to look, not what caused what.
    """
    found = []
    for setting in SETTINGS:
        children = [c for c in archive if any(change.setting == setting.name for change in c.changes)]
        gains = [(child, archive.gain(child.id, child.parent)) for child in children if child.parent]
        measured = [(child, fmean(gain)) for child, gain in gains if gain]
        mean = student_estimate([gain for _, gain in measured])
        if mean:
            alone = sum(len(child.changes) == 1 for child, _ in measured)
            found.append(Attribution(setting.name, mean, alone))
    return sorted(found, key=lambda attribution: -attribution.gain.mean)
