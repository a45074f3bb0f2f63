"""Which member of an archive the next child comes from: by its clade, or by the rule of the Darwin-Gödel Machine.

A clade is a member with all its descendants. The Huxley-Gödel Machine (Wang et al., 2025, arXiv 2510.21614) draws by
Thompson sampling over the wins and losses of whole clades: what came of a member's descendants foretells what comes of
its next child better than the member's own score. Its temperature, which rises towards the end of a budget, is left
out, as a budget in minutes has no known end in steps. Beside it the rule of the Darwin-Gödel Machine (Zhang et al.,
2025, arXiv 2505.22954): the sigmoid of the member's own score, less the more children it has.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

ParentRule = Literal["clade", "dgm"]
SHARPNESS, MIDPOINT = 10.0, 0.5  # of the sigmoid, as in the Darwin-Gödel Machine
_GRID = 2000  # points at which a posterior is summed up; three digits are then sure


@dataclass(frozen=True, slots=True)
class Node:
    """A member of an archive: its parent, None for a root, and what it won and lost itself."""

    name: str
    parent: str | None
    wins: float
    losses: float


def clade_outcomes(nodes: Sequence[Node]) -> dict[str, tuple[float, float]]:
    """Wins and losses of each node with all its descendants. A node comes after its parent in `nodes`."""
    totals = {node.name: (node.wins, node.losses) for node in nodes}
    for node in reversed(nodes):
        if node.parent in totals:
            wins, losses = totals[node.parent]
            totals[node.parent] = wins + totals[node.name][0], losses + totals[node.name][1]
    return totals


def draw_parent(nodes: Sequence[Node], rule: ParentRule, draw: random.Random, among: Sequence[str] = ()) -> str:
    """The name of the node that the next child comes from; `among` are those that may have one, default: all."""
    allowed = [node for node in nodes if not among or node.name in among]
    if rule == "dgm":
        children = Counter(node.parent for node in nodes)
        return draw.choices(allowed, [_dgm_weight(node, children[node.name]) for node in allowed])[0].name
    outcomes = clade_outcomes(nodes)
    return max(allowed, key=lambda node: _thompson(*outcomes[node.name], draw)).name


def draw_promising(nodes: Sequence[Node], draw: random.Random) -> str:
    """The name of the node to measure further: Thompson sampling over each node's own wins and losses."""
    return max(nodes, key=lambda node: _thompson(node.wins, node.losses, draw)).name


@cache
def least_belief(wins: float, losses: float, percentile: float) -> float:
    """What the share of wins exceeds with probability 1 - `percentile`, by the posterior from a uniform prior."""
    shares = (np.arange(_GRID) + 0.5) / _GRID
    logs = wins * np.log(shares) + losses * np.log1p(-shares)
    below = np.cumsum(np.exp(logs - logs.max()))
    return float(np.interp(percentile, below / below[-1], shares))


def _thompson(wins: float, losses: float, draw: random.Random) -> float:
    return draw.betavariate(1 + wins, 1 + losses)


def _dgm_weight(node: Node, children: int) -> float:
    measured = node.wins + node.losses
    score = node.wins / measured if measured else MIDPOINT
    return 1 / (1 + math.exp(-SHARPNESS * (score - MIDPOINT))) / (1 + children)
