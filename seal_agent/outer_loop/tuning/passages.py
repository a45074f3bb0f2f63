"""Which passages select, which confirm, and which texts show harm: disjoint, and no title in two of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seal_agent.config import TuneConfig
from seal_agent.data import bundled
from seal_agent.errors import InputError
from seal_agent.outer_loop.tuning.stages import passage_id
from seal_agent.types import Context


@dataclass(frozen=True, slots=True)
class Split:
    """Passages that select, in the order in which they are learnt; those that confirm; texts that show harm."""

    selecting: tuple[Context, ...]
    confirming: tuple[Context, ...]
    neutral: tuple[str, ...]


def split_passages(contexts: Sequence[Context], config: TuneConfig, searched: Collection[str] = ()) -> Split:
    """Divide the data by the seed. Texts that show harm come from what is left, then from the package.

    Confirming passages are drawn from all titles; where that leaves too few titles to select from, title by title.
    Raises InputError where there are too few passages with questions.

    Args:
        searched: Ids of passages that chose a recipe which the archive begins with. They confirm nothing.
    """
    usable = list({(context.title, context.text): context for context in contexts if context.questions}.values())
    shuffled = random.Random(config.seed).sample(usable, len(usable))
    unseen = [context for context in shuffled if passage_id(context) not in searched]
    confirming = unseen[: config.confirming]
    selecting = _about_others(shuffled, confirming)[: config.stages[-1]]
    if len(selecting) < config.stages[-1] and (fewest := _fewest(unseen, config.confirming)):
        confirming = [context for context in unseen if _topic(context) in fewest][: config.confirming]
        selecting = [context for context in shuffled if _topic(context) not in fewest][: config.stages[-1]]
    if len(confirming) < config.confirming or len(selecting) < config.stages[-1]:
        chose = f", {len(usable) - len(unseen)} of which chose a recipe of --from and confirm nothing"
        raise InputError(
            f"tuning needs {config.confirming} passages that confirm and {config.stages[-1]} with other titles that "
            f"select, and the data has {len(usable)} with questions, of {len({_topic(c) for c in usable})} titles"
            f"{chose if len(unseen) < len(usable) else ''}; add some, or lower --confirm and --stages"
        )
    topics = {_topic(context) for context in (*confirming, *selecting)}
    others = [context.text for context in _about_others(shuffled, [*confirming, *selecting])]
    others += [context.text for context in bundled.novel() if _topic(context) not in topics]
    others += [text.completion for text in bundled.reference_texts() if not text.in_chat]
    texts = [text for text in dict.fromkeys(others) if len(text.split()) > 1]
    return Split(tuple(selecting), tuple(confirming), tuple(texts[: config.neutral]))


def _about_others(contexts: Sequence[Context], chosen: Sequence[Context]) -> list[Context]:
    """Those with other titles than any of the chosen."""
    topics = {_topic(context) for context in chosen}
    return [context for context in contexts if _topic(context) not in topics]


def _fewest(contexts: Sequence[Context], count: int) -> frozenset[str]:
    """Titles with at least so many passages between them, and as few more as can be; none where there are not so many.

    What they hold beyond is lost, so that the other titles keep as many as can be.
    """
    reached: dict[int, frozenset[str]] = {0: frozenset()}
    for topic, size in Counter(map(_topic, contexts)).items():
        for total, chosen in list(reached.items()):
            if total < count:
                reached.setdefault(total + size, chosen | {topic})
    return reached[min(totals)] if (totals := [total for total in reached if total >= count]) else frozenset()


def _topic(context: Context) -> str:
    return context.title.casefold() or context.text
