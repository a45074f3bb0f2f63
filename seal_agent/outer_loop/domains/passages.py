"""Which passages of a file a run learns on, and which stand guard."""

from __future__ import annotations

from collections.abc import Sequence

from seal_agent.config import OuterLoopConfig
from seal_agent.errors import InputError
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain
from seal_agent.types import Context


def passages_for(contexts: Sequence[Context], config: OuterLoopConfig, *, asked: bool = True) -> KnowledgeDomain:
    """The passages that the run's rounds look at, and for the guard set those about other things: of other titles.

    Where rewards come from questions (`asked`), passages without any are left out. Raises InputError where none is
    left, or where there are too few of other titles for the guard set.
    """
    usable = tuple(context for context in contexts if context.questions or not asked)
    if not usable:
        raise InputError("no passage of the data has questions; add some, or use --reward votes")
    rounds = config.rounds + config.measure_last if config.fresh_contexts else 1
    every = KnowledgeDomain(usable, config.self_edit)
    chosen = every.items(config.contexts * rounds, 0, config.seed)
    taken = {_about(context) for context in chosen}
    others = tuple(context for context in contexts if context.questions and _about(context) not in taken)
    if len(others) < config.guard:
        raise InputError(
            f"the guard set needs {config.guard} passages with questions and with other titles than the run's "
            f"{len(chosen)} contexts, and the data has {len(others)}; use a smaller --guard or fewer --contexts"
        )
    return KnowledgeDomain(tuple(chosen), config.self_edit, others if config.guard else ())


def _about(context: Context) -> str:
    return context.title.casefold() or context.text
