"""Every default once, with its source. "SEAL" is arXiv 2506.10943 v2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from seal_agent.errors import InputError
from seal_agent.types import Sampling

Strictness = Literal["strict", "lenient", "off"]
"""How lines of a self-edit are checked against the passage before anything is trained on them."""

Objective = Literal["sft", "distill", "both"]
"""Question-answer pairs are learnt as text, as the model with the passage in view would answer, or each way once."""


def _require(ok: bool, name: str, rule: str, value: object) -> None:
    if not ok:
        raise InputError(f"{name} {rule}, but it is {value!r}")


@dataclass(frozen=True, slots=True)
class SelfEditConfig:
    """How the model writes its study notes."""

    formats: tuple[str, ...] = ("evidence",)  # measured: benchmarks/recipes.py; the paper's is implications
    per_format: int = 1  # SEAL trains on one self-edit at a time at n=1
    per_sentence: int = 3  # our choice: questions asked about each sentence by the formats sentence-qa and evidence
    cues: int = 3  # our choice: cues of each sentence in the format evidence; knowledge/evidence.py
    synonyms: int = 3  # our choice: other words for each word of the passage, which vary the openings of evidence
    temperature: float = 0.5  # our choice: at SEAL's 1.0, meant for sampling rivals, a 135M model writes nonsense
    top_p: float = 0.95  # SEAL, knowledge incorporation
    max_tokens: int = 384  # our choice: twice the median length of the 7B model's published self-edits
    max_context_tokens: int = 1024  # our choice: leaves room for prompt and completion in a 2048 window
    verify: Strictness = "strict"  # our addition: written lines that the passage does not support are not trained on
    self_test: int = 6  # our addition: questions that the model asks itself where none are given; 0 for none

    def __post_init__(self) -> None:
        _require(bool(self.formats), "formats", "needs at least one format", self.formats)
        _require(self.per_format >= 1, "per_format", "must be at least 1", self.per_format)
        _require(self.per_sentence >= 1, "per_sentence", "must be at least 1", self.per_sentence)
        _require(self.cues >= 0, "cues", "must be 0 or more", self.cues)
        _require(self.synonyms >= 0, "synonyms", "must be 0 or more", self.synonyms)
        _require(self.self_test >= 0, "self_test", "must be 0 or more", self.self_test)
        _require(self.temperature >= 0, "temperature", "must be 0 or more", self.temperature)
        _require(0 < self.top_p <= 1, "top_p", "must lie in (0, 1]", self.top_p)
        _require(self.max_tokens >= 1, "max_tokens", "must be at least 1", self.max_tokens)
        _require(self.max_context_tokens >= 32, "max_context_tokens", "must be at least 32", self.max_context_tokens)
        _require(self.verify in ("strict", "lenient", "off"), "verify", "is one of strict, lenient, off", self.verify)

    def sampling(self, seed: int) -> Sampling:
        return Sampling(self.max_tokens, self.temperature, self.top_p, seed=seed)


MAX_UNPROTECTED_ALPHA = 256  # measured: at alpha 512 without null_space neutral text became 43 times as perplexing


@dataclass(frozen=True, slots=True)
class InnerLoopConfig:
    """LoRA finetuning on one self-edit. What is measured was measured on the bundled model of 135M parameters."""

    rank: int = 32  # SEAL, n=1
    alpha: float = 512.0  # measured: B moves 8 times as far as at SEAL's 64 with the same A, as in LoRA+ (2402.12354)
    dropout: float = 0.0  # SEAL, n=1
    targets: tuple[str, ...] = ("all",)  # measured; SEAL: "default", PEFT's own choice, q and v; or parts of names
    epochs: int = 3  # measured with the default format, which writes many notes; SEAL, n=1: 10
    learning_rate: float = 1e-3  # SEAL, n=1
    continued: float = 0.2  # measured: share of learning_rate at which an adapter that has learnt before goes on
    schedule: Literal["linear", "cosine", "constant"] = "linear"  # SEAL, n=1: linear decay to zero, no warm-up
    batch_size: int = 4  # measured: sequences per optimiser step; SEAL, n=1: 1
    weight_decay: float = 0.0  # transformers' TrainingArguments default, which SEAL keeps
    max_grad_norm: float = 1.0  # transformers' TrainingArguments default, which SEAL keeps
    max_update: float | None = None  # our addition: largest update of a layer, as a share of its weights' norm
    null_space: float = 0.6  # measured: share of a layer's input directions kept from the adapter; null_space.py
    shrink: float = 1.0  # measured: weight of ordinary text against the lesson when A is fitted again; shrinkage.py
    stop_below_loss: float | None = None  # our addition: leave after the first epoch whose mean loss is lower
    openings: int = 9  # measured: cues per sentence and epoch that teach its first words alone; knowledge/evidence.py
    objective: Objective = "sft"  # SEAL learns the notes as text; see knowledge/distillation.py
    anchors: int = 0  # our addition: texts of the base itself learnt beside the notes; knowledge/anchors.py
    anchor_weight: float = 1.0  # their share of the loss, token for token
    replay: float = 1.0  # measured: sequences of earlier lessons for every new one, where an adapter is continued
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self.rank >= 1, "rank", "must be at least 1", self.rank)
        _require(self.alpha > 0, "alpha", "must be positive", self.alpha)
        _require(0 <= self.dropout < 1, "dropout", "must lie in [0, 1)", self.dropout)
        _require(bool(self.targets), "targets", "needs at least one module name", self.targets)
        _require(self.epochs >= 1, "epochs", "must be at least 1", self.epochs)
        _require(self.learning_rate > 0, "learning_rate", "must be positive", self.learning_rate)
        _require(
            self.schedule in ("linear", "cosine", "constant"),
            "schedule",
            "is one of linear, cosine, constant",
            self.schedule,
        )
        _require(self.batch_size >= 1, "batch_size", "must be at least 1", self.batch_size)
        _require(self.weight_decay >= 0, "weight_decay", "must be 0 or more", self.weight_decay)
        _require(self.max_grad_norm > 0, "max_grad_norm", "must be positive", self.max_grad_norm)
        _require(
            self.objective in ("sft", "distill", "both"), "objective", "is one of sft, distill, both", self.objective
        )
        _require(self.openings >= 0, "openings", "must be 0 or more", self.openings)
        _require(self.anchors >= 0, "anchors", "must be 0 or more", self.anchors)
        _require(self.anchor_weight > 0, "anchor_weight", "must be positive", self.anchor_weight)
        _require(0 <= self.null_space < 1, "null_space", "must lie in [0, 1)", self.null_space)
        if not self.null_space and self.alpha > MAX_UNPROTECTED_ALPHA:
            raise InputError(
                f"alpha {self.alpha:g} ruins a model of which null_space protects nothing; "
                "use alpha 64, or leave null_space at its default"
            )
        _require(self.shrink >= 0, "shrink", "must be 0 or more", self.shrink)
        _require(0 < self.continued <= 1, "continued", "must lie in (0, 1]", self.continued)
        _require(self.replay >= 0, "replay", "must be 0 or more", self.replay)
        _require(
            self.max_update is None or self.max_update > 0, "max_update", "must be positive, or None", self.max_update
        )
        _require(
            self.stop_below_loss is None or self.stop_below_loss > 0,
            "stop_below_loss",
            "must be positive, or None",
            self.stop_below_loss,
        )


UNPROTECTED = InnerLoopConfig(alpha=64.0, null_space=0.0, shrink=0.0)
"""Free to change all else, at SEAL's alpha: at the default's it is `null_space` alone that keeps training stable."""

PLAIN_LORA = replace(UNPROTECTED, openings=0, anchors=0, replay=0.0)
"""LoRA finetuning on the sequences alone, without what we add to a self-edit."""


@dataclass(frozen=True, slots=True)
class BankConfig:
    """How the batched inner loop fills the machine; none of it changes what an adapter learns."""

    max_adapters: int | None = None  # adapters resident at once; None: as many as fill a pass and fit the memory
    tokens_per_pass: int | None = None  # None: measured default of the device
    checkpointing: bool = False  # keep one tensor per decoder layer and compute the rest again: slower, smaller

    def __post_init__(self) -> None:
        for name in ("max_adapters", "tokens_per_pass"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "must be at least 1, or None", value)


@dataclass(frozen=True, slots=True)
class AnswerConfig:
    """How questions are asked: greedy, 64 tokens (SEAL)."""

    max_tokens: int = 64

    def sampling(self) -> Sampling:
        return Sampling(max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How notes are written and how they are learnt, as one choice."""

    self_edit: SelfEditConfig
    inner_loop: InnerLoopConfig


RECIPES: Mapping[str, Recipe] = {
    "default": Recipe(SelfEditConfig(), InnerLoopConfig()),
    # SEAL, knowledge incorporation, n=1: what its 7B model was finetuned with.
    "paper": Recipe(
        SelfEditConfig(formats=("implications",), temperature=1.0, verify="off"),
        replace(PLAIN_LORA, targets=("default",), epochs=10, learning_rate=1e-3, batch_size=1, continued=1.0),
    ),
}
"""By name: what is used where nothing is said, and the protocol of the paper."""


def recipe_named(name: str) -> Recipe:
    """Raises InputError for a name that is not among `RECIPES`."""
    if name not in RECIPES:
        raise InputError(f"there is no recipe {name!r}; use {' or '.join(RECIPES)}")
    return RECIPES[name]


@dataclass(frozen=True, slots=True)
class ArcConfig:
    """How a task of ARC is trained on and answered."""

    style: Literal["compact", "lists"] = "compact"  # our choice, half of the tokens; SEAL: lists
    max_sequences: int = 96  # measured on small grids: benchmarks/arc.py; SEAL, ARC: 250
    max_steps: int = 375  # SEAL, ARC: a self-edit that asks for more is refused
    colours: bool = True  # SEAL, ARC: colours are permuted in every training task
    keep_background: bool = True  # our choice: but for 0
    views: int = 8  # our choice: ways to look at a test input
    symmetries: bool = False  # views are turned and mirrored too, for adapters that were trained on such tasks
    view_seed: int = 0
    search: Literal["greedy", "dfs"] = "greedy"  # measured: benchmarks/arc.py
    cutoff: float = 0.1  # our choice: the least probability of a grid that a search by "dfs" finds
    choice: Literal["vote", "likelihood"] = "vote"  # measured, as above; ties are always decided by likelihood
    attempts: int = 2  # ARC's own rule
    temperature: float = 1.0  # SEAL: of the self-edits
    top_p: float = 1.0

    def __post_init__(self) -> None:
        for name in ("max_sequences", "max_steps", "views", "attempts"):
            _require(getattr(self, name) >= 1, name, "must be at least 1", getattr(self, name))
        _require(self.style in ("compact", "lists"), "style", "is one of compact, lists", self.style)
        _require(self.search in ("greedy", "dfs"), "search", "is one of greedy, dfs", self.search)
        _require(self.choice in ("vote", "likelihood"), "choice", "is one of vote, likelihood", self.choice)
        _require(0 < self.cutoff < 1, "cutoff", "must lie in (0, 1)", self.cutoff)
        _require(self.temperature >= 0, "temperature", "must be 0 or more", self.temperature)
        _require(0 < self.top_p <= 1, "top_p", "must lie in (0, 1]", self.top_p)


ARC_INNER_LOOPS: Mapping[str, InnerLoopConfig] = {
    # Measured on seal_arc_toy with the bundled model.
    "default": replace(PLAIN_LORA, schedule="cosine", batch_size=8, learning_rate=2e-3, epochs=2),
    # SEAL, ARC; the rate and the epochs are the self-edit's.
    "paper": replace(
        PLAIN_LORA,
        rank=128,
        alpha=16.0,
        targets=("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"),
        schedule="cosine",
        batch_size=2,
        learning_rate=1e-4,
        epochs=2,
    ),
}
"""What a self-edit about a task of ARC does not choose, by recipe."""


_POLICY = replace(PLAIN_LORA, targets=("all",), epochs=2, learning_rate=3e-4, batch_size=4)


@dataclass(frozen=True, slots=True)
class OuterLoopConfig:
    """ReST-EM over self-edits: how many are tried on what, which are kept, and how the policy learns from them."""

    rounds: int = 2  # SEAL, knowledge incorporation
    contexts: int = 50  # SEAL: per round
    edits: int = 5  # SEAL: self-edits per context
    seeds: int = 3  # SEAL: adapters trained per self-edit
    keep: int = 1  # SEAL: the best of each context's self-edits
    fresh_contexts: bool = False  # our choice: every round looks at the same ones, so that rounds can be compared
    measure_last: bool = False  # our addition: try the last policy's self-edits too; costs a round less the finetuning
    self_edit: SelfEditConfig = RECIPES["paper"].self_edit
    inner_loop: InnerLoopConfig = RECIPES["paper"].inner_loop
    policy: InnerLoopConfig = _POLICY  # our choice: how the writer is finetuned on the winners
    contexts_per_unit: int = 4  # our choice: contexts evaluated in one batch, which is done again after a kill
    guard: int = 0  # our addition: contexts about other things, whose loss costs reward; 0 for none
    guard_penalty: float = 1.0  # reward lost for each share of the guard questions lost
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "contexts", "edits", "seeds", "keep", "contexts_per_unit"):
            _require(getattr(self, name) >= 1, name, "must be at least 1", getattr(self, name))
        _require(self.guard >= 0, "guard", "must be 0 or more", self.guard)
        _require(self.guard_penalty >= 0, "guard_penalty", "must be 0 or more", self.guard_penalty)
