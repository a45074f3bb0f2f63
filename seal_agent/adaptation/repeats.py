"""Repeated texts: what an adapter has learned already, and nothing newer contradicts, is not learned again."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.adaptation.adapt import note_settings_of, settings_of
from seal_agent.adaptation.gate.superseded import superseded
from seal_agent.adaptation.judging import more_replay
from seal_agent.config import InnerLoopConfig, SelfEditConfig
from seal_agent.types import Context, Revision


def learned_already(
    lineage: Sequence[Revision], new: Context, config: InnerLoopConfig, notes: SelfEditConfig | None = None
) -> Revision | None:
    """The revision in use that learned this very text, with these settings; None where it has to be learned (again).

    A newer revision about the same matter may say something else, so that the text must be learned again to be the
    last word: one with the same title, or one that answers a question about the old text otherwise.

    Args:
        lineage: The active revision and its ancestors, newest first.
        notes: How notes would be written; None where nobody writes any.
    """
    for age, revision in enumerate(lineage):
        if not _is_same(revision.context, new) or not _was_learned_with(revision, config, notes):
            continue
        replaced = any(_speaks_of(later.context, revision) for later in lineage[:age])
        return None if replaced else revision
    return None


def _was_learned_with(revision: Revision, config: InnerLoopConfig, notes: SelfEditConfig | None) -> bool:
    """Whether a revision was asked for with these settings. The gate may have trained it again with more replay."""
    if settings_of(revision) not in (config, more_replay(config)):
        return False
    written = note_settings_of(revision)
    return notes is None or written is None or written == notes


def _is_same(old: Context, new: Context) -> bool:
    return (content_of(old), old.title, old.questions, old.trust) == (
        content_of(new),
        new.title,
        new.questions,
        new.trust,
    )


def content_of(context: Context) -> tuple[list[str], list[str]]:
    """What there is to learn of a context: its words, and its pictures."""
    return context.text.split(), sorted(picture.sha256 for picture in context.images)


def _speaks_of(later: Context, revision: Revision) -> bool:
    if later.title and later.title.casefold() == revision.context.title.casefold():
        return True
    return bool(superseded([answer.question for answer in revision.after], revision.context.title, [later]))
