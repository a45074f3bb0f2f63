"""The self-edit of an ARC task: which augmentations to train on, and how. Parsed from JSON and clipped to ranges."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from seal_agent.config import InnerLoopConfig
from seal_agent.errors import InputError

Strategy = Literal["all_tokens", "output_tokens"]
STRATEGIES: tuple[Strategy, ...] = ("output_tokens", "all_tokens")
GROUPS = ("basic", "size", "chain", "repeat")
LEARNING_RATES = (1e-5, 1e-2)  # not tuned: lower teaches nothing, higher too much
LEARNING_RATE_STEPS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 1e-2)  # not tuned; the rates that the schema offers
EPOCHS = (1, 5)  # not tuned
RANKS = (4, 128)  # SEAL, ARC: 128; letting a self-edit request less is an extension

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Choice:
    """What one adapter is trained on, and how. A `rank` of None takes the config's.

    `clipped` describes requested values that were out of range.
    """

    basic: bool = False
    size: bool = False
    chain: bool = False
    repeat: bool = False
    strategy: Strategy = "output_tokens"
    learning_rate: float = 2e-3  # measured on seal_arc_toy with the bundled model
    epochs: int = 2  # measured, as above
    rank: int | None = None
    clipped: tuple[str, ...] = ()

    def applied_to(self, config: InnerLoopConfig) -> InnerLoopConfig:
        """The config with this choice's settings; alpha keeps its ratio to the rank."""
        rank = self.rank or config.rank
        return replace(
            config,
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            rank=rank,
            alpha=config.alpha * rank / config.rank,
        )

    def to_json(self) -> str:
        """The choice in the JSON form that the model writes; `read_choice` parses it."""
        training: dict[str, str | float] = {
            "strategy": self.strategy,
            "learning_rate": self.learning_rate,
            "num_train_epochs": self.epochs,
        }
        if self.rank is not None:
            training["lora_rank"] = self.rank
        return json.dumps({"data_generation": {name: getattr(self, name) for name in GROUPS}, "training": training})


FIXED = Choice()
"""The choice used where no self-edit makes one."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "data_generation": {
            "type": "object",
            "properties": {name: {"type": "boolean"} for name in GROUPS},
            "required": list(GROUPS),
            "additionalProperties": False,
        },
        "training": {
            "type": "object",
            "properties": {
                "strategy": {"enum": list(STRATEGIES)},
                "learning_rate": {"enum": list(LEARNING_RATE_STEPS)},
                "num_train_epochs": {"type": "integer", "minimum": EPOCHS[0], "maximum": EPOCHS[1]},
            },
            "required": ["strategy", "learning_rate", "num_train_epochs"],
            "additionalProperties": False,
        },
    },
    "required": ["data_generation", "training"],
    "additionalProperties": False,
}
"""JSON schema that constrains the model's decoding (SEAL, ARC)."""


def read_choice(text: str) -> Choice:
    """Parse a self-edit. Values out of range are clipped and recorded; missing ones are taken from FIXED.

    Raises InputError where the text is not the expected JSON object.
    """
    try:
        value = json.loads(text)
        chosen, training = value.get("data_generation", {}), value.get("training", {})
        basic, size, chain, repeat = (bool(chosen.get(name, getattr(FIXED, name))) for name in GROUPS)
        strategy = training.get("strategy", FIXED.strategy)
        learning_rate = float(training.get("learning_rate", FIXED.learning_rate))
        epochs = round(float(training.get("num_train_epochs", FIXED.epochs)))
        rank = None if training.get("lora_rank") is None else round(float(training["lora_rank"]))
    except (ValueError, TypeError, AttributeError, OverflowError) as err:
        raise InputError(f"the self-edit is not the JSON object that is asked for ({err}); see `SCHEMA`") from err
    clipped: list[str] = []
    if strategy not in STRATEGIES:
        clipped.append(f"strategy {strategy!r} is unknown: {FIXED.strategy}")
        strategy = FIXED.strategy
    return Choice(
        basic,
        size,
        chain,
        repeat,
        strategy=strategy,
        learning_rate=_clip("learning_rate", learning_rate, LEARNING_RATES, clipped.append),
        epochs=_clip("num_train_epochs", epochs, EPOCHS, clipped.append),
        rank=None if rank is None else _clip("lora_rank", rank, RANKS, clipped.append),
        clipped=tuple(clipped),
    )


def random_choice(seed: int) -> Choice:
    """A choice with every value drawn uniformly by the seed from those that the schema offers."""
    rng = random.Random(seed)
    basic, size, chain, repeat = (rng.random() < 0.5 for _ in GROUPS)
    return Choice(
        basic,
        size,
        chain,
        repeat,
        strategy=rng.choice(STRATEGIES),
        learning_rate=rng.choice(LEARNING_RATE_STEPS),
        epochs=rng.randint(*EPOCHS),
    )


def _clip(name: str, value: Number, bounds: tuple[Number, Number], record: Callable[[str], None]) -> Number:
    """The value clipped to its bounds; clipping is reported to `record`."""
    low, high = bounds
    if value != value:  # nan
        record(f"{name} is not a number: {low:g}")
        return low
    clipped = min(max(value, low), high)
    if clipped != value:
        record(f"{name} {value:g} was clipped to {clipped:g}")
    return clipped
