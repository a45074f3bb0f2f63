"""What a recipe costs before it is tried: tokens to train on, reckoned from its settings against another's.

Tokens stand for seconds wherever a choice is made: no clock decides them, so a run that is begun again chooses alike.
"""

from __future__ import annotations

from seal_agent.config import Recipe
from seal_agent.outer_loop.tuning.archive import Archive, Candidate

MAX_COST = 5.0  # tokens per passage of a child, as a multiple of the default's; beyond, it is refused. On the twenty
# simulated models of benchmarks/tuning.py, where tokens cost nothing, winners reach 0.79 at 3, 0.82 at 5, 0.86 without

_PER_NOTE = 0.25  # of a passage's tokens in a note of a format that writes several; as is the rest here, set by hand
_CUE, _OPENING = 0.5, 0.2  # of a question's tokens in a cue, and in a truncated one


def relative_cost(recipe: Recipe, other: Recipe) -> float:
    """Tokens that a recipe is expected to train on, as a multiple of another's: epochs times the amount of notes."""
    return recipe.inner_loop.epochs * _amount(recipe) / (other.inner_loop.epochs * _amount(other))


def cost_of(archive: Archive, candidate: Candidate, reference: str) -> float | None:
    """A candidate's tokens per passage as a multiple of the reference's: measured, or by what its parent's were.

    None where nothing is known of them.
    """
    base = archive.tokens(reference) if reference in archive else None
    own = archive.tokens(candidate.id) if candidate.id in archive else None
    if own is None and candidate.parent and candidate.parent in archive:
        parent = archive[candidate.parent]
        tokens = archive.tokens(parent.id)
        own = None if tokens is None else tokens * relative_cost(candidate.recipe, parent.recipe)
    return own / base if own is not None and base else None


def is_too_dear(archive: Archive, candidate: Candidate, reference: str) -> bool:
    """Whether a child costs more than MAX_COST allows. What was named is never too dear: it was asked for."""
    cost = cost_of(archive, candidate, reference) if candidate.parents else None
    return cost is not None and cost > MAX_COST


def _amount(recipe: Recipe) -> float:
    """Tokens of a lesson in one epoch, where 1 is the passage alone."""
    notes, inner = recipe.self_edit, recipe.inner_loop
    by_format = {
        "passage": 0.0,
        "evidence": notes.per_sentence + _CUE * notes.cues + _OPENING * inner.openings,
        "sentence-qa": float(notes.per_sentence),
    }
    several = 4 * _PER_NOTE * notes.per_format
    return 1.0 + sum(by_format.get(name, several) for name in notes.formats)
