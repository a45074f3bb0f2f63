"""The self-edit of a task: which augmentations to train on, and how. Read from JSON, held within sensible ranges."""

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
LEARNING_RATES = (1e-5, 1e-2)  # our choice: what is outside teaches nothing, or too much
LEARNING_RATE_STEPS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 1e-2)  # our choice: what is offered
EPOCHS = (1, 5)  # our choice
RANKS = (4, 128)  # SEAL, ARC: 128; our extension: the self-edit may ask for fewer

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Choice:
    """What one adapter is trained on and how; a `rank` of None leaves that to the config.

    `clipped` says what was asked for and could not be had.
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
        """The inner loop with this choice's own settings in it; alpha keeps its ratio to the rank."""
        rank = self.rank or config.rank
        return replace(
            config,
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            rank=rank,
            alpha=config.alpha * rank / config.rank,
        )

    def to_json(self) -> str:
        """As the model writes it; `read_choice` reads it back."""
        training = {"strategy": self.strategy, "learning_rate": self.learning_rate, "num_train_epochs": self.epochs}
        ranked = training if self.rank is None else {**training, "lora_rank": self.rank}
        return json.dumps({"data_generation": {name: getattr(self, name) for name in GROUPS}, "training": ranked})


FIXED = Choice()
"""What is taken where nobody chooses."""

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
"""What the model is held to while it writes (SEAL, ARC)."""


def read_choice(text: str) -> Choice:
    """A self-edit from JSON, with values outside the ranges clipped and that recorded.

    A missing value is the fixed one. Raises InputError for what is no such object.
    """
    try:
        value = json.loads(text)
        chosen, training = value.get("data_generation", {}), value.get("training", {})
        basic, size, chain, repeat = (bool(chosen.get(name, getattr(FIXED, name))) for name in GROUPS)
        strategy = training.get("strategy", FIXED.strategy)
        asked = (
            float(training.get("learning_rate", FIXED.learning_rate)),
            round(float(training.get("num_train_epochs", FIXED.epochs))),
            None if training.get("lora_rank") is None else round(float(training["lora_rank"])),
        )
    except (ValueError, TypeError, AttributeError, OverflowError) as err:
        raise InputError(f"the self-edit is not the JSON object that is asked for ({err}); see `SCHEMA`") from err
    clipped: list[str] = []
    if strategy not in STRATEGIES:
        clipped.append(f"strategy {strategy!r} is unknown: {FIXED.strategy}")
        strategy = FIXED.strategy
    rate, epochs, rank = asked
    return Choice(
        basic,
        size,
        chain,
        repeat,
        strategy=strategy,
        learning_rate=_within("learning_rate", rate, LEARNING_RATES, clipped.append),
        epochs=_within("num_train_epochs", epochs, EPOCHS, clipped.append),
        rank=None if rank is None else _within("lora_rank", rank, RANKS, clipped.append),
        clipped=tuple(clipped),
    )


def random_choice(seed: int) -> Choice:
    """Every value drawn by the seed, evenly among those offered."""
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


def _within(name: str, value: Number, bounds: tuple[Number, Number], record: Callable[[str], None]) -> Number:
    low, high = bounds
    if value != value:  # nan
        record(f"{name} is not a number: {low:g}")
        return low
    held = min(max(value, low), high)
    if held != value:
        record(f"{name} {value:g} was clipped to {held:g}")
    return held
