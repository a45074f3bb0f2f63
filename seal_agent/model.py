"""SelfAdaptingModel: a language model that can take something in, and take it back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Protocol, overload

from seal_agent.config import RECIPES, AnswerConfig, InnerLoopConfig, SelfEditConfig
from seal_agent.engine.base import Engine
from seal_agent.engine.hf import HFEngine
from seal_agent.errors import AdapterError, InputError
from seal_agent.gate import Gate, KeepAll
from seal_agent.inner_loop.lora import LoraAdapter, find_targets
from seal_agent.inner_loop.train import TrainJob, train
from seal_agent.knowledge.answering import answer_questions
from seal_agent.knowledge.grading import Grader, default_grader
from seal_agent.knowledge.lessons import Lesson, job_of
from seal_agent.knowledge.ordinary import protected_directions
from seal_agent.knowledge.self_edits import check_self_edits, is_written, passages_of, write_self_edits
from seal_agent.knowledge.self_test import write_self_tests
from seal_agent.models import DEFAULT_MODEL, BaseModel, load_model
from seal_agent.outer_loop.policy import Policy, load_policy
from seal_agent.store import adapters as files
from seal_agent.store.ledger import Ledger, default_home
from seal_agent.store.names import check_name
from seal_agent.types import (
    Answer,
    Context,
    Message,
    Proposal,
    Question,
    Revision,
    Sampling,
    Stage,
    content_hash,
)

DEFAULT_ADAPTER = "default"
MessageLike = Message | Mapping[str, str]


class Progress(Protocol):
    """Told how far each stage is; `total` is in the stage's own units."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


class SelfAdaptingModel:
    """A frozen base model, the adapters it has learnt, and the ledger of how it learnt them.

    Safe for threads: adapters belong to calls, not to the model.
    """

    def __init__(
        self,
        base: BaseModel,
        *,
        home: str | Path | None = None,
        engine: Engine | None = None,
        grader: Grader | None = None,
        policy: str | Path | None = None,
        seed: int = 0,
    ) -> None:
        self.base = base
        self.home = Path(home).expanduser() if home is not None else default_home()
        self.engine: Engine = engine or HFEngine(base)
        self.grader = grader or default_grader()
        self.seed = seed
        self.ledger = Ledger(self.home)
        self._loaded: dict[str, LoraAdapter] = {}
        self.policy = self._find_policy(policy)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = DEFAULT_MODEL,
        *,
        home: str | Path | None = None,
        engine: Literal["hf"] = "hf",
        device: str = "auto",
        dtype: str = "auto",
        policy: str | Path | None = None,
        seed: int = 0,
        trust_remote_code: bool = False,
    ) -> SelfAdaptingModel:
        """Load "default" (the bundled small instruct model), a hub id, or a folder.

        `home` holds the adapters ($SEAL_HOME or ~/.local/share/seal-agent); `policy` writes the self-edits: the folder
        of a run of `seal train`, one of its policies, any PEFT folder, or a stored adapter's name. Raises ModelError,
        InputError, AdapterError.
        """
        if engine != "hf":
            raise InputError(f"there is no engine {engine!r}; use engine='hf'")
        base = load_model(name_or_path, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        return cls(base, home=home, policy=policy, seed=seed)

    # ------------------------------------------------------------ learning

    def adapt(
        self,
        context: str | Context,
        *,
        adapter: str = DEFAULT_ADAPTER,
        questions: Sequence[Question] | None = None,
        title: str | None = None,
        self_edit: SelfEditConfig | None = None,
        inner_loop: InnerLoopConfig | None = None,
        gate: Gate | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Revision:
        """Write notes about a context, train the adapter on them, and keep the change if the gate agrees.

        On an adapter that exists, this continues from its active revision. With `questions`, they are asked
        closed-book before and after; without, the model writes some for itself and the revision shows them.
        Raises InputError for an unusable context, TrainingError where the loss is not finite; in both cases nothing
        has changed.
        """
        proposal = self.propose(
            context, adapter=adapter, questions=questions, title=title, self_edit=self_edit, progress=progress
        )
        return self.commit(proposal, inner_loop=inner_loop, gate=gate, metadata=metadata, progress=progress)

    def propose(
        self,
        context: str | Context,
        *,
        adapter: str = DEFAULT_ADAPTER,
        questions: Sequence[Question] | None = None,
        title: str | None = None,
        self_edit: SelfEditConfig | None = None,
        progress: Progress | None = None,
    ) -> Proposal:
        """Self-edits only: nothing is trained or stored. `commit` trains on what this returns.

        A policy writes the formats that it learnt unless a config says others. Raises InputError where it would have
        nothing to write.
        """
        check_name(adapter)
        whole = _as_context(context, title, questions)
        config = self._self_edit(self_edit)
        clock = _Clock(progress)
        passages = passages_of(self.base, whole.text, config.max_context_tokens)
        with clock.stage("write self-edits") as tell:
            edits = write_self_edits(
                self.engine, whole.title, passages, config, writer=self._writer, seed=self.seed, progress=tell
            )
        if config.verify != "off":
            with clock.stage("check self-edits"):
                edits = check_self_edits(self.engine, whole.title, passages, edits, config.verify)
        test: tuple[Question, ...] = ()
        if config.self_test and not whole.questions:
            with clock.stage("write self-test") as tell:
                (test,) = write_self_tests(
                    self.engine, [(whole.title, passages)], config.self_test, seed=self.seed, progress=tell
                )
        parent = self.ledger.active(adapter)
        return Proposal(adapter, whole, tuple(passages), edits, parent, self.base.identity, test, clock.stages)

    def commit(
        self,
        proposal: Proposal,
        *,
        inner_loop: InnerLoopConfig | None = None,
        gate: Gate | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: Progress | None = None,
    ) -> Revision:
        """Train on a proposal. Committing the same proposal twice trains once and returns the same revision."""
        check_name(proposal.adapter)
        if proposal.base != self.base.identity:
            raise AdapterError("this proposal was written for another base model; propose again with this one")
        # A policy learnt by the paper's inner loop which self-edits are good for it.
        config = inner_loop or replace(RECIPES["paper" if self.policy else "default"].inner_loop, seed=self.seed)
        key, facts = content_hash([proposal.id, asdict(config)]), _check_metadata(metadata or {})
        with self.ledger.only_writer_of(proposal.adapter):
            return self._committed(proposal, key) or self._train_and_record(
                proposal, key, config, gate or KeepAll(), facts, progress
            )

    def _committed(self, proposal: Proposal, key: str) -> Revision | None:
        """What this proposal has already become, if that is active or only needs to be made active again."""
        known = {revision.id for revision in self.ledger.lineage(proposal.adapter)}
        for revision in self.ledger.find(proposal.adapter, key):
            if revision.id in known:
                return revision
            if revision.accepted and revision.parent == self.ledger.active(proposal.adapter):
                self.ledger.activate(proposal.adapter, revision.id)
                return revision
        return None

    def _train_and_record(
        self,
        proposal: Proposal,
        key: str,
        config: InnerLoopConfig,
        gate: Gate,
        metadata: tuple[tuple[str, str], ...],
        progress: Progress | None,
    ) -> Revision:
        context, parent = proposal.context, self.ledger.active(proposal.adapter)
        start = self._load(parent) if parent else None
        _check_shape(proposal.adapter, start, config, self.base)
        clock = _Clock(progress, proposal.stages)
        asked = replace(context, questions=context.questions or proposal.self_test)
        before = self._ask_all("ask before", asked, start, clock)
        if config.null_space:
            with clock.stage("protect the rest") as tell:
                protected_directions(self.engine, self.base, config, tell)
        with clock.stage("train") as tell:
            (trained,) = train(self.base, [self._job(proposal, config, start)], tell)
        after = self._ask_all("ask after", asked, trained.adapter, clock)
        with clock.stage("save"):
            folder = files.save(trained.adapter, self.base.name, self.base.identity, self._folders)
        decision = gate.decide(before, after)
        revision = Revision(
            id=content_hash([key, parent, folder])[:12],
            adapter=proposal.adapter,
            parent=parent,
            created=datetime.now(UTC).isoformat(timespec="milliseconds"),
            base=self.base.identity,
            context=context,
            self_edits=proposal.self_edits,
            before=before,
            after=after,
            stages=clock.stages,
            training=trained.summary,
            accepted=decision.accepted,
            reason=decision.reason,
            metadata=metadata,
            self_tested=bool(proposal.self_test),
            passages=proposal.passages,
        )
        self.ledger.record(revision, key, folder)
        self._loaded[revision.id] = trained.adapter
        return revision

    def _job(self, proposal: Proposal, config: InnerLoopConfig, start: LoraAdapter | None) -> TrainJob:
        lesson = Lesson(proposal.context.title, proposal.passages, proposal.self_edits, proposal.self_test)
        earlier = [_lesson_of(revision) for revision in self.ledger.lineage(proposal.adapter)] if config.replay else []
        return job_of(self.engine, self.base, lesson, config, start=start, earlier=earlier)

    def _ask_all(self, stage: str, context: Context, adapter: LoraAdapter | None, clock: _Clock) -> tuple[Answer, ...]:
        if not context.questions:
            return ()
        with clock.stage(stage) as tell:
            (answers,) = answer_questions(self.engine, [context], self.grader, adapters=[adapter], progress=tell)
        return answers

    # ------------------------------------------------------------ answering

    def ask(self, question: str, *, adapter: str = DEFAULT_ADAPTER, title: str = "") -> str:
        """A short greedy answer, from the weights alone. A title, if given, is named as the topic."""
        from seal_agent.prompts import question_prompt

        if not question.strip():
            raise InputError("the question is empty; ask something")
        prompt = (Message("user", question_prompt(title, question)),)
        (said,) = self.engine.generate([prompt], AnswerConfig().sampling(), [self.adapter(adapter)])
        return said.text.strip()

    @overload
    def chat(
        self,
        messages: Sequence[MessageLike],
        *,
        adapter: str | None = None,
        stop: Sequence[str] | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        stream: Literal[False] = False,
    ) -> str: ...

    @overload
    def chat(
        self,
        messages: Sequence[MessageLike],
        *,
        adapter: str | None = None,
        stop: Sequence[str] | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        stream: Literal[True],
    ) -> Iterator[str]: ...

    def chat(
        self,
        messages: Sequence[MessageLike],
        *,
        adapter: str | None = None,
        stop: Sequence[str] | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        stream: bool = False,
    ) -> str | Iterator[str]:
        """The assistant's next turn, with an adapter or (None) as the base model; in pieces if `stream`."""
        turns = tuple(_as_message(message) for message in messages)
        if not turns:
            raise InputError("there are no messages; give at least one user turn")
        sampling = Sampling(max_tokens, temperature, stop=tuple(stop or ()), seed=self.seed)
        lora = self.adapter(adapter) if adapter is not None else None
        if stream:
            return self.engine.stream(turns, sampling, lora)
        (said,) = self.engine.generate([turns], sampling, [lora])
        return said.text

    # ------------------------------------------------------------ the store

    def history(self, adapter: str = DEFAULT_ADAPTER) -> list[Revision]:
        """Every revision of an adapter, oldest first, taken-back ones included."""
        self.ledger.check_known(adapter)
        return self.ledger.history(adapter)

    def adapters(self) -> dict[str, str | None]:
        """Every adapter's active revision, by name; None where it is rolled back to the base model."""
        return self.ledger.adapters()

    def rollback(self, adapter: str = DEFAULT_ADAPTER, to: str | None = None) -> Revision | None:
        """Make an earlier revision active again: the parent, a revision's id, or "base".

        Returns the revision now active, None for the base model. Nothing is deleted. Raises AdapterError.
        """
        return self.ledger.rollback(adapter, to)

    def export(self, adapter: str, path: str | Path) -> Path:
        """Write the active revision as a plain PEFT folder that PEFT and vLLM load; returns the folder."""
        lora = self.adapter(adapter)
        if lora is None:
            raise AdapterError(f"adapter {adapter!r} is the base model itself; there is nothing to export")
        folder = Path(path).expanduser()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is not an empty folder; choose another path")
        files.write_peft(lora, self.base.name, self.base.identity, folder)
        return folder

    def adapter(self, name: str) -> LoraAdapter | None:
        """The weights of an adapter's active revision; None where that is the base model.

        "default" is the base model until something has been learnt; another unknown name is an AdapterError.
        """
        revision = self.ledger.active(check_name(name))
        if revision is None:
            if name != DEFAULT_ADAPTER:
                self.ledger.check_known(name)
            return None
        return self._load(revision)

    # ------------------------------------------------------------ inside

    @property
    def _folders(self) -> Path:
        return self.home / "adapters"

    def _load(self, revision: str) -> LoraAdapter:
        if revision not in self._loaded:
            folder = self._folders / self.ledger.folder(revision)
            self._loaded[revision] = files.load(folder, self.base.identity)
        return self._loaded[revision]

    def _find_policy(self, policy: str | Path | None) -> Policy | None:
        if policy is None:
            return None
        folder = Path(policy).expanduser()
        if not folder.is_dir() and len(folder.parts) == 1:
            adapter = self.adapter(str(policy))
            return Policy(adapter, ()) if adapter else None
        found = load_policy(folder)
        if found.base not in ("", self.base.identity):
            raise AdapterError(
                f"the policy in {folder} was trained on another base model; load that one, or train anew"
            )
        return found

    @property
    def _writer(self) -> LoraAdapter | None:
        return self.policy.adapter if self.policy else None

    def _self_edit(self, config: SelfEditConfig | None) -> SelfEditConfig:
        """The caller's config, else the default with the policy's formats."""
        known = self.policy.formats if self.policy else ()
        chosen = config or (SelfEditConfig(formats=known) if known else SelfEditConfig())
        if self.policy and not any(map(is_written, chosen.formats)):
            use = ", ".join(known) or "implications"
            raise InputError(
                f"the policy writes whole self-edits, but the format asked for, {', '.join(chosen.formats)}, is not "
                f"written that way; use SelfEditConfig(formats=…) or --format with {use}, or leave the policy out"
            )
        return chosen


class _Clock:
    """Times stages and passes their progress on."""

    def __init__(self, progress: Progress | None, earlier: tuple[Stage, ...] = ()) -> None:
        self._progress = progress
        self.stages = earlier

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[int, int], None]]:
        def tell(done: int, total: int) -> None:
            if self._progress:
                self._progress(name, done, total)

        tell(0, 1)
        started = time.perf_counter()
        yield tell
        self.stages = (*self.stages, Stage(name, time.perf_counter() - started))
        tell(1, 1)


def _lesson_of(revision: Revision) -> Lesson:
    """What a revision was trained on. Its self-test may be learnt now: later revisions have tests of their own."""
    return Lesson(revision.context.title, revision.passages or (revision.context.text,), revision.self_edits)


def _as_context(context: str | Context, title: str | None, questions: Sequence[Question] | None) -> Context:
    whole = Context(context) if isinstance(context, str) else context
    if title is not None:
        whole = replace(whole, title=" ".join(title.split()))
    return whole if questions is None else replace(whole, questions=tuple(questions))


def _as_message(message: MessageLike) -> Message:
    if isinstance(message, Message):
        return message
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise InputError('each message is {"role": "system" | "user" | "assistant", "content": "…"}')
    return Message(role, content)  # type: ignore[arg-type]


def _check_shape(name: str, start: LoraAdapter | None, config: InnerLoopConfig, base: BaseModel) -> None:
    """An adapter that exists keeps its rank, alpha and target modules; InputError where others are asked for."""
    if start is None:
        return
    if (start.rank, start.alpha) != (config.rank, config.alpha):
        raise InputError(
            f"adapter {name!r} has rank {start.rank} and alpha {start.alpha:g}, but {config.rank} and {config.alpha:g} "
            "were asked for; keep its settings, or choose another adapter name"
        )
    if set(find_targets(base.module, config.targets)) != set(start.pairs):
        has = ", ".join(sorted({module.rpartition(".")[2] for module in start.pairs}))
        raise InputError(
            f"adapter {name!r} trains {has}, but targets {', '.join(config.targets)} were asked for; "
            "keep its settings, or choose another adapter name"
        )


def _check_metadata(metadata: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InputError(f"metadata maps text to text, but it has {key!r}: {value!r}; give both as strings")
    return tuple(sorted(metadata.items()))
