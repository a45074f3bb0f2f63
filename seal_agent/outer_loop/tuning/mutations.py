"""Three ways to a child: the model proposes a change, a random step within the ranges, a crossover of two.

The kind is drawn by Thompson sampling over how many children of each kind did better than their parent.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from seal_agent.adaptation.provenance import recipe_key
from seal_agent.errors import InputError
from seal_agent.outer_loop.tuning.archive import Archive, Candidate, Kind, success_of
from seal_agent.outer_loop.tuning.clades import ParentRule, draw_parent
from seal_agent.outer_loop.tuning.settings import (
    BY_NAME,
    MAX_CHANGES,
    SETTINGS,
    Change,
    Number,
    Setting,
    changed,
    differences,
    value_of,
)

KINDS: tuple[Kind, ...] = ("proposed", "stepped", "crossed")
TRIES = 20  # random steps until one gives a recipe that is new and can be used

Propose = Callable[[Candidate], str]
"""The model's proposal for a child, as JSON of `change_schema`."""


def make_child(
    archive: Archive,
    step: int,
    rule: ParentRule,
    draw: random.Random,
    propose: Propose | None,
    refused: Callable[[Candidate], bool] = lambda _: False,
) -> Candidate | None:
    """A new candidate of a viable parent drawn by the rule; None without a new recipe.

    Where none is viable, of any that was trained; where none was, of any that was measured.

    A proposal or crossover that gives nothing new counts as a failure of its kind, and a random step takes its place.

    Args:
        propose: None where no model proposes.
        refused: Whether a child is not to be tried, such as one that costs too much.
    """
    viable = archive.viable() or archive.trained() or archive.measured()
    nodes = archive.nodes()
    parent = archive[draw_parent(nodes, rule, draw, viable)]
    kind = _draw_kind(archive, draw, propose is not None, len(viable))
    partner: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    if kind == "proposed" and propose:
        changes = read_proposal(propose(parent), parent)
    elif kind == "crossed":
        other = archive[draw_parent(nodes, rule, draw, [name for name in viable if name != parent.id])]
        partner, changes = (other.id,), crossed(parent, other, draw)
    if kind != "stepped":
        child = _child(archive, parent, changes, kind, partner, step)
        if child and not refused(child):
            return child
        archive.failed_mutations[kind] += 1
    for _ in range(TRIES):
        child = _child(archive, parent, stepped(parent, draw), "stepped", (), step)
        if child and not refused(child):
            return child
    return None


def stepped(parent: Candidate, draw: random.Random) -> tuple[Change, ...]:
    """A random step in one to three settings that matter to the parent's formats."""
    chosen = draw.sample(_relevant(parent), _how_many(draw))
    pairs = ((setting, value_of(parent.recipe, setting.name)) for setting in chosen)
    return tuple(Change(setting.name, old, setting.stepped(old, draw)) for setting, old in pairs)


def crossed(parent: Candidate, other: Candidate, draw: random.Random) -> tuple[Change, ...]:
    """One to three of the settings in which the other differs, taken from it."""
    possible = differences(parent.recipe, other.recipe)
    return tuple(draw.sample(possible, min(_how_many(draw), len(possible))))


def read_proposal(text: str, parent: Candidate) -> tuple[Change, ...]:
    """The changes that a model proposed, without those that change nothing or name a setting again."""
    try:
        entries = json.loads(text)["changes"]
        proposed = {entry["setting"]: entry["value"] for entry in reversed(entries)}
    except (ValueError, KeyError, TypeError):  # cut off by the limit on its length
        return ()
    changes = [
        Change(name, value_of(parent.recipe, name), _typed(BY_NAME[name], value))
        for name, value in reversed(proposed.items())
        if name in BY_NAME
    ]
    return tuple(change for change in changes if change.old != change.new)[:MAX_CHANGES]


def _typed(setting: Setting, value: Any) -> Any:
    return float(value) if isinstance(setting, Number) and not setting.whole else value


def _child(
    archive: Archive, parent: Candidate, changes: Sequence[Change], kind: Kind, partner: tuple[str, ...], step: int
) -> Candidate | None:
    """The child with these changes; None where it is known, or its settings do not go together."""
    if not changes:
        return None
    try:
        recipe = changed(parent.recipe, changes)
    except InputError:
        return None
    key = recipe_key(recipe)
    if key in archive:
        return None
    return Candidate(key, recipe, kind, "", (parent.id, *partner), tuple(changes), step)


def _draw_kind(archive: Archive, draw: random.Random, proposes: bool, parents: int) -> Kind:
    kinds = [k for k in KINDS if (k != "proposed" or proposes) and (k != "crossed" or parents > 1)]
    counts = {kind: success_of(archive, kind) for kind in kinds}
    return max(kinds, key=lambda kind: draw.betavariate(1 + counts[kind][0], 1 + counts[kind][1]))


def _how_many(draw: random.Random) -> int:
    return draw.randint(1, MAX_CHANGES)


def _relevant(parent: Candidate) -> list[Setting]:
    """Settings that change something: those of a format only where the parent writes that format."""
    formats = parent.recipe.self_edit.formats
    of_evidence = {"self_edit.cues", "self_edit.synonyms", "inner_loop.openings"}
    needless = set() if "evidence" in formats else of_evidence
    if not {"evidence", "sentence-qa"} & set(formats):
        needless = needless | {"self_edit.per_sentence"}
    return [setting for setting in SETTINGS if setting.name not in needless]
