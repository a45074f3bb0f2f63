"""The archive of a run's policies: which of them writes the next round's self-edits.

Without it every round starts from the last policy. With it, a round may start from the base model or any policy so far,
drawn by the outcomes of its clade as in `tuning/clades.py`: a policy that led into a blind alley is left behind.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from seal_agent.outer_loop.policy import mark_last
from seal_agent.outer_loop.report.blocks import Listing, Paragraph, Section
from seal_agent.outer_loop.rounds import ContextResult, RoundResult
from seal_agent.outer_loop.selection import mean_gain
from seal_agent.outer_loop.stages import PolicyVersion
from seal_agent.outer_loop.tuning.clades import Node, clade_outcomes, draw_parent, least_belief
from seal_agent.seeds import derived_seed
from seal_agent.store.policies import LAST

BASE = ""  # the base model's name among policies
PERCENTILE = 0.05  # of the belief in a policy's share of wins, by which a run's policy is chosen; not tuned


class PolicyArchive:
    """The base model and the policies of a run.

    Args:
        chooses: Whether rounds start from a policy that is drawn, instead of from the last.
    """

    def __init__(self, chooses: bool, seed: int) -> None:
        self._chooses, self._seed = chooses, seed
        self._versions = {BASE: PolicyVersion()}
        self._last = self._versions[BASE]
        self._results: list[RoundResult] = []

    def start(self, round_: int, learns: bool) -> PolicyVersion:
        """The policy that writes a round's self-edits; a round that only measures has the last one."""
        if not self._chooses or not learns:
            return self._last
        draw = random.Random(derived_seed(self._seed, "parent", round_))
        return self._versions[draw_parent(policy_nodes(self._results), "clade", draw)]

    def add(self, result: RoundResult, child: PolicyVersion | None) -> None:
        """Note a round, and the policy that came of it."""
        self._results.append(result)
        if child:
            self._versions.setdefault(child.name, child)
            self._last = child


def policy_nodes(results: Sequence[RoundResult]) -> list[Node]:
    """The base model and every policy, a parent before its children.

    A context of a round is a trial of the policy that wrote its self-edits: the share of them that beat both the base
    model and the context alone is won; where nothing is trained, their mean reward.
    """
    parents: dict[str, str | None] = {BASE: None}
    wins, trials = {BASE: 0.0}, {BASE: 0}
    for result in results:
        shares = [share for context in result.contexts if (share := _share_won(context)) is not None]
        wins[result.policy] = wins.get(result.policy, 0.0) + sum(shares)
        trials[result.policy] = trials.get(result.policy, 0) + len(shares)
        if result.next_policy is not None:
            parents.setdefault(result.next_policy, result.policy)
    return [
        Node(name, parent, wins.get(name, 0.0), trials.get(name, 0) - wins.get(name, 0.0))
        for name, parent in parents.items()
    ]


def best_policy(results: Sequence[RoundResult]) -> str:
    """The measured policy whose share of wins is surest to be high; where none was measured, the last; "" for none."""
    measured = [node for node in policy_nodes(results) if node.name != BASE and node.wins + node.losses]
    if measured:
        return max(measured, key=lambda node: least_belief(node.wins, node.losses, PERCENTILE)).name
    last = results[-1]
    return last.policy if last.next_policy is None else last.next_policy


def stand_for(policy: str, folder: Path) -> None:
    """Let a run's folder stand for a policy in its folder of policies; for none where it is ""."""
    if policy:
        mark_last(folder, policy)
    else:
        (folder / LAST).unlink(missing_ok=True)


def policy_section(results: Sequence[RoundResult]) -> Section:
    """A report's section with the lineage of the policies."""
    nodes = policy_nodes(results)
    outcomes = clade_outcomes(nodes)
    lines: list[str] = []

    def branch(node: Node, depth: int) -> None:
        own, clade = f"{node.wins:.1f} : {node.losses:.1f}", outcomes[node.name]
        name = node.name[:12] or "the base model"
        lines.append(f"{'   ' * depth}{name}  own {own}, clade {clade[0]:.1f} : {clade[1]:.1f}")
        for child in nodes:
            if child.parent == node.name and child.name != node.name:
                branch(child, depth + 1)

    branch(nodes[0], 0)
    explanation = (
        "Each policy below the one that it was finetuned from, with the contexts that it won and lost: the share of "
        "its self-edits that beat the base model and the context alone is won, or their mean reward where nothing is "
        "trained. Rounds start from a policy drawn by what its clade, it and all its descendants, came to."
    )
    return Section("Archive of policies", (Paragraph(explanation), Listing("\n".join(lines))))


def _share_won(context: ContextResult) -> float | None:
    """The share of a context's self-edits that could be kept; None where none has a reward.

    Where nothing is trained there is no baseline to beat. The mean reward, 0..1, is then the share, and what is
    rejected adds nothing to it.
    """
    means = [(scored.mean, bool(scored.rejected)) for scored in context.scored if scored.mean is not None]
    if not means:
        return None
    if not context.alone:
        return fmean(0.0 if rejected else min(1.0, max(0.0, mean)) for mean, rejected in means)
    floor = max(0.0, mean_gain(context.alone) or 0.0)
    return sum(mean > floor and not rejected for mean, rejected in means) / len(means)
