"""Which passages of a file a run learns from, and which form its guard set."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.config import OuterLoopConfig
from seal_agent.errors import InputError
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain
from seal_agent.types import Context


def passages_for(
    contexts: Sequence[Context], config: OuterLoopConfig, *, need_questions: bool = True
) -> KnowledgeDomain:
    """The passages of a run's rounds, and those with other titles for its guard set.

    Raises InputError where no passage is usable, or where too few have other titles for the guard set.

    Args:
        contexts: All passages of the data.
        need_questions: Whether rewards come from questions, so that passages without any are left out.
    """
    usable = tuple(context for context in contexts if context.questions or not need_questions)
    if not usable:
        raise InputError("no passage of the data has questions; add some, or use --reward votes")
    rounds = config.rounds + config.measure_last if config.fresh_contexts else 1
    selected = KnowledgeDomain(usable, config.self_edit).items(config.contexts * rounds, 0, config.seed)
    topics = {_topic(context) for context in selected}
    others = tuple(context for context in contexts if context.questions and _topic(context) not in topics)
    if len(others) < config.guard:
        raise InputError(
            f"the guard set needs {config.guard} passages with questions and with other titles than the run's "
            f"{len(selected)} contexts, and the data has {len(others)}; use a smaller --guard or fewer --contexts"
        )
    return KnowledgeDomain(tuple(selected), config.self_edit, others if config.guard else ())


def _topic(context: Context) -> str:
    return context.title.casefold() or context.text
