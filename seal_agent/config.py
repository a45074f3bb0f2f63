"""Every default once, with its source. "SEAL" is arXiv 2506.10943 v2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from seal_agent.errors import InputError
from seal_agent.recipes import load_recipe, recipe_names
from seal_agent.types import Sampling
from seal_agent.validation import config

Positive = Annotated[int, Field(ge=1)]
AtLeastTwo = Annotated[int, Field(ge=2)]
Count = Annotated[int, Field(ge=0)]
AboveZero = Annotated[float, Field(gt=0)]
ZeroOrMore = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(gt=0, le=1)]
AtLeast32 = Annotated[int, Field(ge=32)]
BetweenZeroAndOne = Annotated[float, Field(gt=0, lt=1)]
ZeroToOne = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
GainShare = Annotated[float, Field(ge=-1, le=1)]
PillowPixels = Annotated[int, Field(ge=1, le=89_478_485)]  # above that, Pillow itself warns
Entries = Annotated[tuple[str, ...], Field(min_length=1)]

Config = TypeVar("Config", "SelfEditConfig", "InnerLoopConfig", "AnswerConfig", "RetrievalConfig")

Strictness = Literal["strict", "lenient", "off"]
"""How lines of a self-edit are checked against the passage before anything is trained on them."""

Objective = Literal["sft", "distill", "both"]
"""Question-answer pairs are learnt as text, as the model with the passage in view would answer, or each way once."""


@config
class SelfEditConfig:
    """How the model writes its study notes."""

    formats: Entries = ("evidence",)  # measured, docs/measurements.md; SEAL: implications
    per_format: Positive = 1  # SEAL, n=1: one self-edit at a time
    per_sentence: Positive = 3  # questions per sentence in sentence-qa and evidence; not tuned
    cues: Count = 3  # cues per sentence in evidence; 3 and 8 came out alike in the search, docs/measurements.md
    synonyms: Count = 3  # other words for each word of the passage, which vary the truncated cues of evidence
    temperature: ZeroOrMore = 0.5  # at SEAL's 1.0, meant for sampling rivals, a 135M model writes nonsense
    top_p: Share = 0.95  # SEAL, knowledge incorporation
    max_tokens: Positive = 384  # twice the median length of the 7B model's published self-edits
    max_context_tokens: AtLeast32 = 1024  # half of a 2048 window; the rest is for the prompt and the completion
    verify: Strictness = "strict"  # drops written lines that the passage does not support; SEAL trains on all
    self_test: Count = 6  # questions the model asks itself where none are given; 0 for none
    equal_shares: bool = False  # formats of one prompt get equal shares of the tokens that are learnt, as in SPA

    def sampling(self, seed: int) -> Sampling:
        return Sampling(self.max_tokens, self.temperature, self.top_p, seed=seed)


@config
class PictureConfig:
    """What a model notes about a picture: what several samples agree on, and the picture makes likelier. Not tuned."""

    samples: AtLeastTwo = 6  # of each description, transcript and answer; MM-UPT: 10 answers
    agreement: Share = 0.5  # share of the samples that must say a line; MM-UPT takes the mode, however small
    questions: Count = 6  # that the model writes itself, of each picture
    temperature: AboveZero = 0.7  # as the self-test's second answer
    top_p: Share = 0.95
    max_tokens: Positive = 160  # of a description or transcript
    answer_tokens: Positive = 24
    least_gain: float = 0.0  # nats per token by which the picture must make a line likelier

    def sampling(self, max_tokens: int, seed: int) -> Sampling:
        return Sampling(max_tokens, self.temperature, self.top_p, seed=seed)


MAX_UNPROTECTED_ALPHA = 256  # measured: at 512 without null_space, neutral text became 43 times as perplexing


@config
class InnerLoopConfig:
    """LoRA finetuning on one self-edit. Defaults were tuned on the bundled model of 135M parameters."""

    rank: Positive = 32  # SEAL, n=1
    alpha: AboveZero = 512.0  # measured: at SEAL's 64, A and B move alike; here B moves 8 times as fast, as in LoRA+
    dropout: BelowOne = 0.0  # SEAL, n=1
    targets: Entries = ("all",)  # measured; SEAL: "default" (PEFT's choice, q and v); or parts of module names
    epochs: Positive = 3  # measured with the default format, which writes many notes; SEAL, n=1: 10
    learning_rate: AboveZero = 1e-3  # SEAL, n=1
    continued: Share = 0.2  # measured: share of learning_rate on an adapter that has learnt before
    schedule: Literal["linear", "cosine", "constant"] = "linear"  # SEAL, n=1: linear decay to zero, no warm-up
    batch_size: Positive = 4  # measured: sequences per optimiser step; SEAL, n=1: 1
    weight_decay: ZeroOrMore = 0.0  # transformers' TrainingArguments default, which SEAL keeps
    max_grad_norm: AboveZero = 1.0  # transformers' TrainingArguments default, which SEAL keeps
    max_update: AboveZero | None = None  # largest update of a layer, as a share of the norm of its weights
    null_space: BelowOne = 0.6  # measured: share of a layer's input directions that are protected from the adapter
    shrink: ZeroOrMore = 1.0  # measured: weight of reference text against the lesson in the ridge refit; 0 for none
    stop_below_loss: AboveZero | None = None  # stop after the first epoch whose mean loss is lower
    openings: Count = 9  # measured: truncated cues per sentence and epoch, of the format evidence
    full_answers: Count = 0  # measured: evidence notes per sentence and epoch that are learnt whole; 0: all
    objective: Objective = "sft"  # SEAL: notes are learnt as text; adaptation/distillation.py has the others
    anchors: Count = 0  # texts of the base model learnt beside the notes; null_space costs less time and holds more
    anchor_weight: AboveZero = 1.0  # weight of an anchor's loss, token for token
    replay: ZeroOrMore = 1.0  # measured: sequences of earlier lessons per new one, on an adapter that is continued
    seed: int = 0
    full: bool = False  # all weights of a copy are trained, and there is no adapter: squad_cpt of `seal bench` alone

    def __post_init__(self) -> None:
        if self.full and (self.null_space or self.shrink or self.max_update or self.dropout):
            raise InputError(
                "full finetuning has no adapter that null_space, shrink, max_update or dropout could act on; "
                "set them to 0, as the recipe paper does"
            )
        if not self.null_space and self.alpha > MAX_UNPROTECTED_ALPHA:
            raise InputError(
                f"alpha {self.alpha:g} ruins a model of which null_space protects nothing; "
                "use alpha 64, or leave null_space at its default"
            )
        if any("vision" in target.split("+") for target in self.targets) and (self.null_space or self.shrink):
            raise InputError(
                "there is no reference text for layers that see, so nothing protects them; "
                "with targets 'vision' use null_space 0, shrink 0 and alpha 64"
            )


LATER: Mapping[str, object] = {
    "archive": False,
    "early_stop": False,
    "equal_shares": False,
    "full": False,
    "full_answers": 0,
    "policy": "",
}
"""Settings that came after results and ledgers were written, and the values at which they change nothing.

What compares settings with those on record leaves them out there: see `recorded_settings`.
"""


def recorded_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON values without those that came later and are off, tables within tables too."""
    return {
        name: recorded_settings(value) if isinstance(value, dict) else value
        for name, value in settings.items()
        if name not in LATER or value != LATER[name]
    }


UNPROTECTED = InnerLoopConfig(alpha=64.0, null_space=0.0, shrink=0.0)
"""Nothing else is protected, at SEAL's alpha: at the default's, only `null_space` keeps training stable."""

PLAIN_LORA = replace(UNPROTECTED, openings=0, anchors=0, replay=0.0)
"""LoRA finetuning on the sequences alone, without what this project adds to a self-edit."""


@config
class PolicyGradientConfig:
    """Group-relative policy optimisation (GRPO; Shao et al., 2024, arXiv 2402.03300), on an adapter."""

    clip: BetweenZeroAndOne = 0.2  # GRPO keeps PPO's: how far a token's probability may move from that of the sample
    kl: ZeroOrMore = 0.04  # GRPO: weight of the KL divergence from the base model
    passes: Positive = 1  # over the same samples; GRPO: 1
    learning_rate: AboveZero = 1e-4  # of LoRA factors; not tuned
    batch_size: Positive = 16  # answers per optimiser step; not tuned
    max_grad_norm: AboveZero = 1.0
    rank: Positive = 16
    alpha: AboveZero = 32.0
    targets: Entries = ("all",)
    seed: int = 0


@config
class GateConfig:
    """What a revision must prove before it becomes active.

    The bounds are set by hand so far; benchmarks/gate.py measures how they tell good adaptations from bad ones.
    """

    minimum_gain: GainShare | None = None  # of the share of right answers; None: the lower bound of the gain is above 0
    confidence: BetweenZeroAndOne = 0.9  # of that bound, on one side: 2 of 6 questions gained are enough, 1 is not
    earlier_questions: Count = 16  # of earlier revisions, asked again; recent ones are drawn more often
    max_forgotten: ZeroToOne = 0.34  # share of those that were right
    max_forgotten_in_all: ZeroToOne = 0.5  # share of those that were right when they were learned; not tuned
    guard_questions: Count = 24  # general questions; those that the text is about are always among them
    max_guard_lost: ZeroToOne = 0.2  # share of those that the parent answers; a good adaptation lost 2 of 24
    max_guard_lost_in_all: ZeroToOne = 0.3  # share of those that the base model answers
    reference_texts: Count = 16  # written by the base model; the prompts of their answers are the anchors too
    max_perplexity: AboveZero = 0.25  # rise of the perplexity of reference text over the base model's, as a share
    max_drift: AboveZero = 0.25  # mean KL divergence from the parent per token of the anchors, in nats
    scalings: Count = 4  # tries to scale an update back that does harm
    retrain: bool = True  # once, with twice the replay, where earlier lessons are lost


@config
class Limits:
    """How much one adapter, or a whole store, may take. None is no limit."""

    adaptations: Count | None = None  # trainings begun within an hour
    seconds: ZeroOrMore | None = None  # of training and checking within an hour
    tokens: Count | None = None  # trained on within an hour
    megabytes: ZeroOrMore | None = None  # of adapters on disk


@config
class ImageLimits:
    """The largest image that is decoded; all are checked in the file's header first."""

    max_bytes: Positive = 20 * 2**20  # not tuned
    max_pixels: PillowPixels = 36_000_000  # an A4 page at 600 dpi has 34.8 million
    max_side: Positive = 16_384  # of width and height: WebP's own bound
    max_scans: Positive = 100  # of a JPEG; ordinary progressive files have about ten, and each goes over all pixels


@config
class BankConfig:
    """How the batched inner loop fills the machine. It changes nothing of what an adapter learns."""

    max_adapters: Positive | None = None  # adapters held at once; None: as many as fill a pass and fit into memory
    tokens_per_pass: Positive | None = None  # None: the device's measured default
    checkpointing: bool = False  # gradient checkpointing: less memory, more time
    stacked: bool | None = None  # all slots in a fixed number of launches; None: on GPUs, where launches cost most
    graphs: bool = True  # of the stacked way: passes whose sizes recur are replayed as CUDA graphs


@config
class TrajectoryLimits:
    """How much of what agents did is kept for each adapter. None of it was tuned."""

    trajectories: Positive = 1000  # beyond, the oldest are deleted
    steps: Positive = 100  # of one trajectory; a longer one is refused
    characters: Positive = 8000  # of one text; a longer one is cut
    context_tokens: AtLeast32 = 2048  # of one trajectory in training; beyond, its oldest steps are left out


AnswerStyle = Literal["short", "sentence", "plain"]
"""An adapter's answer: the few words that were asked for, the sentence that it recalls with them, or what it says."""


@config
class AnswerConfig:
    """How questions are asked: greedy, 64 tokens (SEAL)."""

    max_tokens: Positive = 64  # of a sentence that is recalled, and of the base model's answers
    style: AnswerStyle = "short"
    least_confidence: ZeroToOne = 0.2  # measured; below it the base model answers, at 0 the adapter always does

    def sampling(self) -> Sampling:
        return Sampling(max_tokens=self.max_tokens)


PLAIN_ANSWERS = AnswerConfig(style="plain")
"""What the adapter itself says, as in SEAL."""


RecipeMode = Literal["base", "in_context", "retrieval", "ttt", "random", "self_edit"]
"""The base model alone, with the passage in its prompt, with passages that were searched for, or after a self-edit.

`ttt` and `random` are for ARC: trained at test time, with fixed settings or with some drawn at random.
"""


@config
class RetrievalConfig:
    """What stands in the prompt of the rival that learns nothing: the passages that BM25 finds for a question."""

    passages: Positive = 1  # not tuned; the recipe retrieval-3 shows three


_ARC_INNER_LOOP = replace(PLAIN_LORA, schedule="cosine", batch_size=8, learning_rate=2e-3, epochs=2)
"""Measured on seal_arc_toy with the bundled model."""


@config
class Recipe:
    """How notes are written, how they are learnt, and how questions about them are answered, under one name."""

    self_edit: SelfEditConfig
    inner_loop: InnerLoopConfig
    answer: AnswerConfig
    mode: RecipeMode = "self_edit"
    retrieval: RetrievalConfig = RetrievalConfig()
    arc_inner_loop: InnerLoopConfig = _ARC_INNER_LOOP  # what a self-edit about a task of ARC does not choose
    summary: str = ""
    searched: bool | tuple[str, ...] = False  # chosen on the passages of the recipe search, or on those with these ids
    policy: str = ""  # folder of `seal train` whose policy writes the notes; "": the base model does


def recipe_named(name_or_path: str) -> Recipe:
    """The recipe of the package with this name, of a TOML file, or of a folder of `seal train`; see
    `seal_agent.recipes`. Raises InputError.
    """
    tables = load_recipe(name_or_path)
    try:
        return Recipe(
            _changed(SelfEditConfig(), "self_edit", tables),
            _changed(InnerLoopConfig(), "inner_loop", tables),
            _changed(AnswerConfig(), "answer", tables),
            retrieval=_changed(RetrievalConfig(), "retrieval", tables),
            arc_inner_loop=_changed(_ARC_INNER_LOOP, "arc", tables),
            **_known(tables, ("mode", "summary", "searched", "policy"), "a recipe"),
        )
    except InputError as err:
        raise InputError(f"the recipe {name_or_path} cannot be used: {err}") from err


def _changed(config: Config, name: str, tables: dict[str, Any]) -> Config:
    """The config with the settings of its table, which is taken out of `tables`."""
    table = tables.pop(name, {})
    if not isinstance(table, dict):
        raise InputError(f"{name} is a table; write [{name}] and its settings below it")
    known = [field.name for field in fields(config)]
    return replace(config, **_known(table, known, type(config).__name__))


def _known(values: dict[str, Any], names: Sequence[str], owner: str) -> dict[str, Any]:
    """The values. Raises InputError for one that has no name of these."""
    for name in values:
        if name not in names:
            raise InputError(f"{owner} has no setting {name!r}; it has {', '.join(names)}")
    return values


class _Recipes(Mapping[str, Recipe]):
    """The recipes of the package by name, each read when it is first asked for."""

    def __init__(self) -> None:
        self._read: dict[str, Recipe] = {}

    def __getitem__(self, name: str) -> Recipe:
        if name not in self._read:
            if name not in recipe_names():
                raise KeyError(name)
            self._read[name] = recipe_named(name)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(recipe_names())

    def __len__(self) -> int:
        return len(recipe_names())


RECIPES: Mapping[str, Recipe] = _Recipes()
"""The recipes that come with the package, by name: `default`, `paper` (SEAL's protocol), and others."""


@config
class ArcConfig:
    """How a task of ARC is trained on and answered."""

    style: Literal["compact", "lists"] = "compact"  # half of the tokens of SEAL's lists
    max_sequences: Positive = 96  # measured on small grids, docs/measurements.md; SEAL, ARC: 250
    max_steps: Positive = 375  # SEAL, ARC: a self-edit that asks for more is refused
    colours: bool = True  # SEAL, ARC: colours are permuted in every training task
    keep_background: bool = True  # all colours but 0, which most tasks use as background
    views: Positive = 8  # transformed test inputs that vote; not tuned
    symmetries: bool = False  # turn and mirror views too, for adapters that were trained on such tasks
    view_seed: int = 0
    search: Literal["greedy", "dfs"] = "greedy"  # measured, docs/measurements.md: dfs solved the same, twice as slowly
    cutoff: BetweenZeroAndOne = 0.1  # least probability of a grid that dfs finds; at 0.1 it finds ten at most
    choice: Literal["vote", "likelihood"] = "vote"  # measured, as above; likelihood always decides ties
    attempts: Positive = 2  # ARC's own rule
    temperature: ZeroOrMore = 1.0  # SEAL, ARC: of the self-edits
    top_p: Share = 1.0


ARC_INNER_LOOPS: Mapping[str, InnerLoopConfig] = {name: RECIPES[name].arc_inner_loop for name in ("default", "paper")}
"""What a self-edit about a task of ARC does not choose, by recipe."""


_POLICY = replace(PLAIN_LORA, targets=("all",), epochs=2, learning_rate=3e-4, batch_size=4)


@config
class ExplorationConfig:
    """How an agent explores. None of it was tuned."""

    candidates: Positive = 4  # calls drawn for each step of a path, of which a scorer chooses
    paths: Positive = 2  # followed at each task; without a scorer candidates x paths attempts are drawn
    temperature: AboveZero = 1.0  # of the candidates, and of attempts that are repeated
    top_p: Share = 0.95  # as of self-edits
    action_tokens: Positive = 128  # of one call; fewer would cut the texts that an argument may hold
    context_tokens: AtLeast32 = 1024  # that an agent reads; beyond, its oldest steps are left out
    repeats: Positive = 3  # the same call so often in a row, or after the same observation, ends an attempt; 1: never
    environments: Positive = 8  # open at once in each worker; a browser takes about 200 MB
    possible_calls: bool = True  # draw only calls that the environment says are possible now, where it tells
    any_tool: ZeroToOne = 0.5  # share of the calls whose tool is drawn evenly; the model writes the arguments


_AGENT_POLICY = replace(PLAIN_LORA, targets=("all",), rank=16, alpha=32.0, epochs=8, learning_rate=5e-4, batch_size=4)
_AGENT_SCORER = replace(PLAIN_LORA, targets=("all",), rank=8, alpha=16.0, epochs=3, learning_rate=5e-4, batch_size=4)
"""Not tuned: a small LoRA on all layers, since an agent's actions are a few short forms."""


@config
class AgentLoopConfig:
    """The outer loop of an agent: explore, verify, learn, refresh. Not tuned where nothing else is said."""

    rounds: Positive = 2
    tasks: Positive = 12  # explored in each round
    held_out: ZeroToOne = 0.25  # share of each grade's tasks that are never trained on; success is measured on them
    exploration: ExplorationConfig = ExplorationConfig()
    tries: Positive = 2  # attempts from each step that is rolled out again
    rerolled: Count = 3  # steps of each failed task from which it is tried again, spread evenly over its path
    kept: Positive = 2  # successes of each task that are learnt, the shortest
    tasks_per_unit: Positive = 6  # explored in one batch: large enough to fill it, small enough to lose in a kill
    measured_per_unit: Positive = 24  # tasks tried once, in one batch
    scorer_labels: Positive = 160  # that the scorer is trained on in each round, at most
    bad_per_good: AboveZero = 1.5  # bad labels for each good one
    held_out_labels: BelowOne = 0.3  # share of the tasks whose labels only measure the scorer
    least_f1: ZeroToOne = 0.8  # of the scorer on held-out labels; below it, it may not select
    earlier_tasks: Positive = 12  # that the last policy did, tried again with the new one, at most
    max_lost: ZeroToOne = 0.34  # share of those that a new policy may fail; GateConfig.max_forgotten
    policy: InnerLoopConfig = _AGENT_POLICY
    scorer: InnerLoopConfig = _AGENT_SCORER
    seed: int = 0


READING = replace(PLAIN_LORA, targets=("all",), rank=8, alpha=16.0, epochs=2, batch_size=4)
"""Training of the reader, which finds in a recalled sentence what was asked for."""


EngineName = Literal["hf", "vllm"]
"""What answers: transformers, or vLLM."""


@config
class VLLMConfig:
    """How vLLM is started, or reached where a server runs already. Nothing here changes what is answered."""

    server: str | None = None  # the address of a running `vllm serve`, such as http://127.0.0.1:8000
    max_lora_rank: Positive = 32  # InnerLoopConfig.rank; where we start vLLM, a larger adapter starts it anew
    max_loras: Positive = 8  # adapters in one batch; requests of others wait
    max_cpu_loras: Positive = 64  # adapters that stay loaded; those used longest ago are dropped first
    window: AtLeast32 | None = None  # tokens of prompt and answer; None: the model's, at most 8192
    gpu_memory: Share = 0.45  # of the GPU, for vLLM's weights and cache; the rest is for training
    cache_gib: AboveZero = 1.0  # of keys and values, where there is no GPU
    sleep: bool = False  # give the GPU's memory back while an adapter is trained, on GPUs only
    gpu: Count | None = None  # the number of a GPU of its own for vLLM; None: the base model's device
    timeout: AboveZero = 600.0  # seconds that a server may take for one answer
    adapter_folder: str | None = None  # where adapters are put for vLLM; None: in memory, or a temporary folder


@config
class ServerConfig:
    """What `seal serve` takes, and for how long. None of it was tuned; each bound keeps one client from the others."""

    max_body_bytes: Positive = 1_000_000  # of a request; a larger one is refused with 413
    max_picture_bytes: Positive = 20_000_000  # of a request to a model that sees
    max_depth: Positive = 64  # of the lists and objects in a request
    max_rows: Positive = 32  # decoded at once, see MAX_BATCH_ROWS
    max_waiting: Positive = 256  # rows that wait or are decoded; beyond, requests are refused with 429
    max_joining_tokens: Positive = 2048  # of prompts that are read between two tokens of the others
    max_choices: Positive = 8  # `n` of a request
    max_tokens: Positive = 256  # of an answer whose request names no limit
    max_jobs: Positive = 16  # adaptations that wait; beyond, they are refused with 429
    kept_jobs: Positive = 200  # ended jobs that stay listed
    body_seconds: AboveZero = 30.0  # that a client may take to send its request
    request_seconds: AboveZero = 300.0  # that an answer may take, waiting included
    approval_seconds: AboveZero = 290.0  # that an adaptation waits for approval; the gate itself gives up at 300
    drain_seconds: Positive = 30  # that answers may still take when the server is told to end
    retry_after: Positive = 2  # seconds that a refused client is told to wait


@config
class OuterLoopConfig:
    """ReST-EM over self-edits: how many are tried on what, which are kept, and how the policy learns from them."""

    rounds: Positive = 2  # SEAL, knowledge incorporation
    contexts: Positive = 50  # SEAL: per round
    edits: Positive = 5  # SEAL: self-edits per context
    seeds: Positive = 3  # SEAL: adapters trained per self-edit
    keep: Positive = 1  # SEAL: the best of each context's self-edits
    fresh_contexts: bool = False  # False: the same contexts in every round, so that rounds can be compared
    measure_last: bool = False  # try the last policy's self-edits too; costs a round less the finetuning
    archive: bool = False  # a round starts from any policy so far, drawn by its clade; SEAL: from the last
    early_stop: bool = False  # of rewards that the model gives itself: a collapse ends the run without an error
    self_edit: SelfEditConfig = RECIPES["paper"].self_edit
    inner_loop: InnerLoopConfig = RECIPES["paper"].inner_loop
    policy: InnerLoopConfig = _POLICY  # finetuning of the policy on the winners
    contexts_per_unit: Positive = 4  # evaluated in one batch: large enough to fill it, small enough to lose in a kill
    guard: Count = 0  # contexts about other things, whose loss costs reward; 0 for none
    guard_penalty: ZeroOrMore = 1.0  # reward lost per share of the guard questions lost
    seed: int = 0


@config
class PictureVotesConfig:
    """Learning from votes over a model's own answers about pictures (MM-UPT), rounds of it."""

    rounds: Positive = 2  # as in ReST-EM
    update: Literal["grpo", "best-of-n"] = "grpo"  # MM-UPT: GRPO
    pictures: PictureConfig = PictureConfig(samples=10, temperature=1.0)  # MM-UPT: 10 answers, the mode as label
    gradient: PolicyGradientConfig = PolicyGradientConfig()
    finetuning: InnerLoopConfig = _POLICY
    seed: int = 0


@config
class TuneConfig:
    """`seal tune`: how an archive of recipes grows, and on how many passages each is measured."""

    stages: Annotated[tuple[Positive, ...], Field(min_length=1)] = (2, 6, 24)  # passages by the end of each; not tuned
    confirming: Positive = 24  # passages that only the winner and what it is compared with learn
    neutral: Positive = 8  # texts about other things whose perplexity is measured; as in seal bench
    children: Positive = 4  # candidates that a step measures side by side; not tuned
    adapters: Positive = 16  # in one bank, and in memory at once; not tuned
    width: Share = 0.8  # candidates are at most (passages measured) ^ width; 0.6, as in the Huxley-Gödel Machine, did
    # worse on twelve simulated models of benchmarks/tuning.py, by 0.07 of accuracy
    parents: Literal["clade", "dgm"] = "clade"  # as in the Huxley-Gödel Machine; benchmarks/tuning.py compares the two
    max_harm: AboveZero = GateConfig().max_perplexity  # what the gate would reject is lost
    percentile: BetweenZeroAndOne = 0.05  # of the belief in a share of wins, by which the winner is chosen; not tuned
    seed: int = 0

    def __post_init__(self) -> None:
        if list(self.stages) != sorted(set(self.stages)):
            raise InputError(f"stages rise, but they are {', '.join(map(str, self.stages))}; give them in order")
