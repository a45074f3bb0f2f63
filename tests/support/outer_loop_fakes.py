"""A small run of the outer loop: a tiny model that really trains, and an engine that says what a script says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from fakes import ScriptedEngine

from seal_agent.base_model.model import BaseModel
from seal_agent.config import PLAIN_LORA, OuterLoopConfig, SelfEditConfig
from seal_agent.grading.lexical import LexicalGrader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.outer_loop.domains.knowledge import KnowledgeDomain
from seal_agent.outer_loop.units import Worker
from seal_agent.types import Completion, Context, Prompt, Question, Sampling

NAMES = ("Abbo", "Brusk", "Cullis", "Dray", "Ewan", "Fitch")
TINY = replace(PLAIN_LORA, rank=2, alpha=4, epochs=1, batch_size=4, learning_rate=1e-2)
SELF_EDIT = SelfEditConfig(formats=("rewrite",), temperature=1.0, verify="off")
CONFIG = OuterLoopConfig(
    rounds=2, contexts=3, edits=2, seeds=2, contexts_per_unit=2, self_edit=SELF_EDIT, inner_loop=TINY, policy=TINY
)


def domain(count: int = 4, formats: Sequence[str] = ("rewrite",)) -> KnowledgeDomain:
    """Passages about keepers of keys, three questions each, and one other passage."""
    contexts = [
        Context(
            f"Keeper {name} lost {number} keys near Pier {name}.",
            f"Keeper {name}",
            (
                Question("How many keys were lost?", (str(number),)),
                Question("Who lost keys?", (f"Keeper {name}",)),
                Question("Where were keys lost?", (f"Pier {name}",)),
            ),
        )
        for name, number in zip(NAMES[:count], range(11, 11 + count), strict=True)
    ]
    other = Context("Tarawa is in Kiribati.", "Tarawa", (Question("Where is Tarawa?", ("Kiribati",)),))
    return KnowledgeDomain(tuple(contexts), replace(SELF_EDIT, formats=tuple(formats)), (other,))


def weight_of(adapter: LoraAdapter) -> int:
    """A number that two different adapters hardly share."""
    return round(1e4 * sum(float(pair.b_RO.abs().sum()) for pair in adapter.pairs.values()))


@dataclass
class AdapterEngine(ScriptedEngine):
    """Writes self-edits by the seed, and answers by what the adapter's weights are: the same weights, the same words.

    Nothing depends on what else is in a batch.
    """

    seeds: list[int] = field(default_factory=list)

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: Sampling,
        adapters: Sequence[LoraAdapter | None] | None = None,
        progress: object = None,
        grammars: object = None,
    ) -> list[Completion]:
        self.seeds.append(sampling.seed)
        using = list(adapters) if adapters is not None else [None] * len(prompts)
        texts = [
            self._write(prompt, adapter, sampling.seed + i)
            for i, (prompt, adapter) in enumerate(zip(prompts, using, strict=True))
        ]
        return [Completion(text, len(text.split()), 1, "stop") for text in texts]

    def _write(self, prompt: Prompt, adapter: LoraAdapter | None, seed: int) -> str:
        last = prompt if isinstance(prompt, str) else prompt[-1].content
        name = next((n for n in NAMES if n in last), "Tarawa")
        said = 0 if adapter is None else weight_of(adapter)
        draw = random.Random(f"{last} {said} {seed if 'Rewrite' in last else 0}")
        if "Rewrite" in last:
            return f"{name} has {draw.randint(1, 10**6)} ways to lose keys. Pier {name} is where keys go to hide."
        return f"Keeper {name}" if adapter is not None and draw.random() < 0.7 else "Nobody knows."


def worker(base: BaseModel) -> Worker:
    """The tiny model and the engine above."""
    return Worker(base, AdapterEngine(), LexicalGrader())
