"""The values that flow between stages: frozen dataclasses, no torch, no behaviour beyond arithmetic.

One file, longer than others, in the order of the flow: what a stage hands on is read in one place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

IGNORE_LABEL = -100
"""Label of a token that is read but not learnt from (PyTorch's cross-entropy default)."""


class Verdict(StrEnum):
    """What a grader says of an answer. UNGRADED is not WRONG: it never enters a mean."""

    CORRECT = "correct"
    WRONG = "wrong"
    UNGRADED = "ungraded"


@dataclass(frozen=True, slots=True)
class Question:
    """A question and every answer that counts as right, the preferred one first."""

    text: str
    golds: tuple[str, ...]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Picture:
    """An image by value: the SHA-256 of its pixels, and the pixels as a PNG file in base64."""

    sha256: str
    png: str = field(repr=False)


if TYPE_CHECKING:
    Images = Sequence[Any]
else:  # what callers give becomes pictures before it is stored
    Images = tuple[Picture, ...]

Trust = Literal["trusted", "untrusted"]
"""Whether a text comes from its user, or from a stranger: a tool, a web page, a mail."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the model is to learn: a passage, its title ("" where there is none), its questions.

    What is learnt from an untrusted text is quarantined: it answers only where its revision is named. `images` are
    paths, bytes or PIL images of what belongs to the text, or stands in its place; stages hand them on as `Picture`.
    """

    text: str
    title: str = ""
    questions: tuple[Question, ...] = ()
    trust: Trust = "trusted"
    images: Images = ()


@dataclass(frozen=True, slots=True)
class ReferenceText:
    """A text that has nothing to do with any lesson."""

    opening: str
    completion: str
    in_chat: bool
    """Whether the opening is a user's turn and the completion the reply, instead of one plain text."""


@dataclass(frozen=True, slots=True)
class ReadingPassage:
    """Sentences under a title, and questions about them: (number of the sentence, question, answer in its words).

    `not_stated` are questions that sound as if the sentences answered them.
    """

    title: str
    sentences: tuple[str, ...]
    questions: tuple[tuple[int, str, str], ...]
    not_stated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the assistant wants run, and its arguments as a JSON object."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One chat turn. An assistant's turn may call tools; a "tool" turn is what the tool called `name` gave back.

    `pictures` stand before the text of their turn.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    calls: tuple[ToolCall, ...] = ()
    name: str = ""
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, slots=True)
class Chat:
    """Chat turns, with what a chat template may be told beside them.

    `tools` is a JSON list of tools in OpenAI's form, for a template that describes tools itself. `begun` are the first
    words of the answer, which the model goes on from and its completion does not repeat.
    """

    turns: tuple[Message, ...]
    tools: str = ""
    begun: str = ""


@dataclass(frozen=True, slots=True)
class Illustrated:
    """Text exactly as it stands, in which the model's own placeholder shows where each picture belongs."""

    text: str
    pictures: tuple[Picture, ...]


Prompt = str | tuple[Message, ...] | Chat | Illustrated
"""Text sent exactly as it stands, or chat turns that the model's own prompt style renders."""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What a text must look like: a JSON schema, as JSON, or a regular expression that matches all of it."""

    kind: Literal["json_schema", "regex"]
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens. Temperature 0 is greedy; each row's seed is derived from `seed`.

    With a grammar, no token is chosen that could not go on to a text of it.
    """

    max_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine wrote for one prompt; token counts exclude padding.

    `logprobs` are the log-probabilities in nats of its tokens, the one that ended it included: the model's own, before
    temperature and grammar. () where an engine does not say.
    """

    text: str
    tokens: int
    prompt_tokens: int
    finish_reason: Literal["stop", "length"]
    logprobs: tuple[float, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Note:
    """One parsed unit of study: a statement, or a question with its answer."""

    text: str
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedNote:
    """A note, whether it may be trained on, and why not."""

    note: Note
    kept: bool
    reason: str = ""


Synonyms = tuple[tuple[str, tuple[str, ...]], ...]
"""Words, each with some that mean about the same."""


@dataclass(frozen=True, slots=True)
class SelfEdit:
    """Study notes that the model wrote for one context, with everything needed to write them again.

    The format "passage" has no prompt and no completion: the passage itself is the note. `part` says which of the
    context's passages it is about; `checked` are its notes with a verdict on each, None where nobody checked them.
    `synonyms` are other words for those of its passage, where a format uses them.
    """

    format: str
    prompt: str = ""
    completion: str = ""
    sampling: Sampling | None = None
    seed: int = 0
    part: int = 0
    checked: tuple[CheckedNote, ...] | None = None
    synonyms: Synonyms = ()

    @property
    def nothing_kept(self) -> bool:
        """Checked, and with nothing left to train on: the passage alone is learnt."""
        return self.checked is not None and not any(checked.kept for checked in self.checked)


@dataclass(frozen=True, slots=True)
class SoftLabel:
    """What a teacher expects at one position: its likeliest tokens, each once, and their probabilities, which sum to 1.

    The teacher's probabilities of all other tokens are left out and the rest scaled up.
    """

    tokens: tuple[int, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """Token ids and the label of each; IGNORE_LABEL where a token is only read. Never padded.

    Where there are `soft_labels`, one per token, those that are not None are learnt instead of the label. `weight`
    multiplies the sequence's share of its step's loss. `epoch`, counted from 0, is the only one in which it is learnt;
    None: in every one. `held` are the pictures that its ids stand for, which live as long as somebody holds them.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]
    soft_labels: tuple[SoftLabel | None, ...] = ()
    weight: float = 1.0
    epoch: int | None = None
    held: tuple[object, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.input_ids) != len(self.labels):
            raise ValueError(f"{len(self.input_ids)} tokens but {len(self.labels)} labels")
        if self.soft_labels and len(self.soft_labels) != len(self.labels):
            raise ValueError(f"{len(self.labels)} labels but {len(self.soft_labels)} soft labels")


@dataclass(frozen=True, slots=True)
class Answer:
    """One question as it was asked, what came back, and the grader's verdict."""

    question: Question
    text: str
    verdict: Verdict
    direct: Verdict | None = None
    """Whether it also singles out what was asked for; None where the grader does not tell."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, where it comes from, and how sure that is.

    `recalled` is the sentence that the adapter answers with, "" where the base model answers. `confidence` is how
    probable it is that the adapter learnt what was asked, 0..1; None where no adapter was asked.
    """

    text: str
    recalled: str = ""
    confidence: float | None = None

    @property
    def from_adapter(self) -> bool:
        """Whether the adapter answers, not the base model in its place."""
        return bool(self.recalled)


@dataclass(frozen=True, slots=True)
class Reward:
    """Fractions of questions answered correctly, 0..1, with the adapter and without it."""

    adapted: float
    baseline: float

    @property
    def gain(self) -> float:
        return self.adapted - self.baseline


@dataclass(frozen=True, slots=True)
class Outcome:
    """A reward, or the stage that failed and why. A failure is excluded and reported, never a zero."""

    reward: Reward | None = None
    failed_stage: str | None = None
    reason: str | None = None

    @classmethod
    def of(cls, before: Sequence[Answer], after: Sequence[Answer]) -> Outcome:
        """The reward of questions that were asked twice, in order; a question without two verdicts is left out.

        It fails where that is more than half of them.
        """
        graded = graded_pairs(before, after)
        if 2 * len(graded) < len(before) or not graded:
            missing = len(before) - len(graded)
            return cls.failed("grading", f"the answers to {missing} of {len(before)} questions could not be graded")
        baseline, adapted = (accuracy(side) for side in zip(*graded, strict=True))
        return cls(Reward(adapted, baseline))

    @classmethod
    def failed(cls, stage: str, reason: str) -> Outcome:
        return cls(None, stage, reason)


@dataclass(frozen=True, slots=True)
class Stage:
    """Wall-clock seconds that one stage of an adaptation took."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class PassageSource:
    """The title that a passage of a document is learnt under, and where it stands: "page 3", "section Leave".

    `picture` counts from 1: the picture of the context that the passage was seen in; 0 for a passage of its text.
    """

    title: str
    place: str = ""
    picture: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """Self-edits written for a context and not yet trained on; `parent` is what they continue from.

    `passages` are the parts of the context that fit the model's window, in order. `self_test` are questions that the
    model asks itself, where the context came without any. `sources` says where in a document with sections each
    passage stands; there are none for a plain text, whose passages are all learnt under the context's title. `recipe`
    says by which recipe the notes were written, `note_settings` are its SelfEditConfig as JSON.
    """

    adapter: str
    context: Context
    passages: tuple[str, ...]
    self_edits: tuple[SelfEdit, ...]
    parent: str | None
    base: str
    self_test: tuple[Question, ...] = ()
    stages: tuple[Stage, ...] = field(default=(), compare=False)
    sources: tuple[PassageSource, ...] = ()
    recipe: str = field(default="", compare=False)
    note_settings: str = field(default="", compare=False)

    @property
    def id(self) -> str:
        """Hash of everything that decides what would be trained; the seconds it took and the settings' names do not."""
        facts = asdict(self)
        del facts["stages"], facts["recipe"], facts["note_settings"]
        if not self.sources:  # as in ledgers before there were any
            del facts["sources"]
        if self.context.trust == "trusted":
            del facts["context"]["trust"]
        return content_hash(facts)


@dataclass(frozen=True, slots=True)
class TrainingSummary:
    """What the inner loop did: counts, and the mean loss of every epoch, first to last."""

    sequences: int
    steps: int
    tokens: int
    epoch_losses: tuple[float, ...]


RevisionState = Literal["candidate", "active", "rejected", "quarantined", "revoked"]
"""candidate: trained, not judged yet; active: may be in use; rejected: a check failed; quarantined: answers only where
it is named; revoked: was active, and may not be used again."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the gate: what was measured, the bound it was held to, and a sentence about it.

    `passed` is None where nothing was checked, and the sentence says why.
    """

    name: str
    passed: bool | None
    detail: str
    value: float | None = None
    bound: float | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of one adapter: what was trained, what it did to the answers, and whether it was kept."""

    id: str
    adapter: str
    parent: str | None
    created: str
    base: str
    context: Context
    self_edits: tuple[SelfEdit, ...]
    before: tuple[Answer, ...]
    after: tuple[Answer, ...]
    stages: tuple[Stage, ...]
    training: TrainingSummary
    accepted: bool
    reason: str
    metadata: tuple[tuple[str, str], ...] = ()
    self_tested: bool = False
    """The questions were written and their answers found by the model itself."""
    passages: tuple[str, ...] = ()
    """The parts of the context that the self-edits are about; none in ledgers before this was kept."""
    settings: str = ""
    """The InnerLoopConfig it was trained with, as JSON; "" in ledgers before this was kept."""
    base_settings: tuple[tuple[str, str], ...] = ()
    """Chat template and generation settings of the base model then; none in ledgers before this was kept."""
    sources: tuple[PassageSource, ...] = ()
    """The title and place of each passage of a document with sections; none for a plain text."""
    languages: str = ""
    """The languages other than English that the passages were taken for, and how notes about them are made."""
    not_trained: str = ""
    """The large parts of the base model that adapters leave as they are, in a sentence; "" if there are none."""
    state: RevisionState | None = None
    """None in ledgers before there were states; `status` has it for all."""
    checks: tuple[Check, ...] = ()
    """What the gate checked; none where there was no gate."""
    share: float = 1.0
    """The share of the trained update that was kept; below 1 where the gate scaled it back."""
    earlier: tuple[Answer, ...] = ()
    """Questions of earlier revisions, as this one answers them."""
    guard: tuple[Answer, ...] = ()
    """General questions, as this one answers them."""
    recipe: str = ""
    """The recipe that made it, as "NAME@HASH", with the settings that were changed; "" in ledgers before this was
    kept."""
    earlier_titles: tuple[str, ...] = ()
    """The title that each question of `earlier` was asked under; none in ledgers before this was kept."""
    note_settings: str = ""
    """The SelfEditConfig its notes were written with, as JSON; "" in ledgers before this was kept."""

    @property
    def status(self) -> RevisionState:
        return self.state or ("active" if self.accepted else "rejected")

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def outcome(self) -> Outcome:
        return Outcome.of(self.before, self.after)

    def __str__(self) -> str:
        return describe_revision(self)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What stays of an erased revision: no text, no weights. `became` is what was trained in its place, if anything."""

    id: str
    adapter: str
    created: str
    forgotten: str
    became: str | None = None


def describe_revision(rev: Revision) -> str:
    """A revision as a person wants to read it: one block of text, a mark per question."""
    title = f" · {rev.context.title}" if rev.context.title else ""
    kept = {"active": "kept", "rejected": "taken back"}.get(rev.status, rev.status)
    lines = [
        f"Revision {rev.id} of adapter {rev.adapter!r}{title} · {kept}: {rev.reason}",
        f"  parent    {rev.parent or 'the base model'}",
        f"  trained   {rev.training.sequences} sequences, {rev.training.steps} steps, "
        f"{rev.training.tokens} tokens · loss {_curve(rev.training.epoch_losses)}",
        "  seconds   " + " · ".join(f"{stage.name} {stage.seconds:.1f}" for stage in rev.stages),
        *([f"  recipe    {rev.recipe}"] if rev.recipe else []),
    ]
    if checked := [one for edit in rev.self_edits for one in edit.checked or ()]:
        kept_notes = sum(one.kept for one in checked)
        alone = "" if kept_notes else "; the passage alone was learnt"
        lines.insert(2, f"  notes     {kept_notes} of {len(checked)} lines passed the check{alone}")
    if rev.languages:
        lines.insert(2, f"  language  {rev.languages}")
    if rev.not_trained:
        lines.insert(3, f"  layers    {rev.not_trained}")
    if places := list(dict.fromkeys(source.place for source in rev.sources if source.place)):
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        lines.insert(2, f"  from      {', '.join(places[:3])}{more}")
    lines += [f"  {_CHECK_MARKS[check.passed]} {check.name}: {check.detail}" for check in rev.checks]
    if rev.share < 1:
        lines.append(f"  scaled    {rev.share:.0%} of the update is kept")
    if rev.self_tested:
        lines.append("  self-test, asked without the text:")
    for before, after in zip(rev.before, rev.after, strict=True):
        lines.append(f"  {_mark(before)} → {_mark(after)}  {after.question.text}")
        lines.append(f"          {_short(before.text)}  →  {_short(after.text)}")
    return "\n".join(lines)


def share_of(verdict: Verdict, verdicts: Iterable[Verdict]) -> float | None:
    """Share of a verdict among those that could be given, 0..1; None where none could."""
    graded = [one for one in verdicts if one is not Verdict.UNGRADED]
    return sum(one is verdict for one in graded) / len(graded) if graded else None


def accuracy(answers: Sequence[Answer]) -> float:
    """Fraction correct among graded answers, 0..1; raises ValueError where none was graded."""
    right = share_of(Verdict.CORRECT, (answer.verdict for answer in answers))
    if right is None:
        raise ValueError("no graded answers to average")
    return right


def graded_pairs(before: Sequence[Answer], after: Sequence[Answer]) -> list[tuple[Answer, Answer]]:
    """The answers to each question that was asked twice, where both were graded."""
    pairs = zip(before, after, strict=True)
    return [pair for pair in pairs if all(answer.verdict is not Verdict.UNGRADED for answer in pair)]


def content_hash(value: Any) -> str:
    """SHA-256, 64 hex digits, of a JSON-serialisable value in canonical form."""
    canonical = json.dumps(_without_added(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


_ADDED_LATER = ("images", "picture", "pictures")
"""Fields that values did not always have. Left empty, they leave a hash as it was before."""


def _without_added(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_added(v) for k, v in value.items() if v or k not in _ADDED_LATER}
    return [_without_added(item) for item in value] if isinstance(value, list | tuple) else value


_CHECK_MARKS = {True: "✓", False: "✗", None: "–"}
_MARKS = {Verdict.CORRECT: "✓", Verdict.WRONG: "✗", Verdict.UNGRADED: "?"}


def _mark(answer: Answer) -> str:
    return _MARKS[answer.verdict]


def _short(text: str, width: int = 60) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"


def _curve(losses: Sequence[float]) -> str:
    return " → ".join(f"{loss:.2f}" for loss in (losses[0], losses[-1])) if losses else "none"
