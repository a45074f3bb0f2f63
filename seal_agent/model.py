"""SelfAdaptingModel: a language model that learns what it is given, and can take it back.

One class, longer than other files: it is the one object that most users touch, and its methods share the ledger and
the weights in memory. Each method is a few calls into the rooms above.
"""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Literal, overload

from seal_agent.adaptation import reviews
from seal_agent.adaptation.adapt import TrainedProposal, Trainer, Work, settings_json
from seal_agent.adaptation.compare import Change, changed_answers, questions_of
from seal_agent.adaptation.foreign import check_fits, foreign_revision
from seal_agent.adaptation.forget import clean_up, delete_adapter, plan_forget, record_forget, retrain
from seal_agent.adaptation.gate.approval import Approve, check_approve
from seal_agent.adaptation.gate.judgement import Judgement
from seal_agent.adaptation.inputs import MessageLike, as_context, as_messages, as_metadata, check_context
from seal_agent.adaptation.judging import DEFAULT_GATE, AnyGate, Pending, check_gate, judge, with_approval
from seal_agent.adaptation.propose import write_proposal
from seal_agent.adaptation.repeats import learned_already
from seal_agent.answering.recall import closed_book
from seal_agent.answering.replies import is_recall, reply_all, reply_in_chat
from seal_agent.base_model.identity import differing_settings
from seal_agent.base_model.loading import DEFAULT_MODEL, load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import (
    RECIPES,
    AnswerConfig,
    AnswerStyle,
    InnerLoopConfig,
    SelfEditConfig,
    VLLMConfig,
    recorded_settings,
)
from seal_agent.data.documents.document import Document
from seal_agent.errors import AdapterError, BaseModelWarning, InputError, TrainingError
from seal_agent.generation.engine import Engine
from seal_agent.generation.engines import check_engine, make_engine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.sampling import check_sampling
from seal_agent.grading.grader import Grader
from seal_agent.grading.graders import check_grader, default_grader, make_grader
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.coverage import has_experts, say_what_is_left_out
from seal_agent.lora.peft_files import export_peft
from seal_agent.outer_loop.policy import Policy, load_policy
from seal_agent.paths import default_home
from seal_agent.progress import StageClock, StageProgress, part_of, shares_of
from seal_agent.self_edits.formats.registry import is_model_written
from seal_agent.store import budget
from seal_agent.store import files as files
from seal_agent.store.cleaning import collect
from seal_agent.store.importing import read_foreign
from seal_agent.store.ledger import Ledger, check_usable
from seal_agent.store.loaded import MAX_LOADED_BYTES, LoadedAdapters
from seal_agent.store.names import check_name
from seal_agent.store.namespaces import Namespace, as_namespace, full_name
from seal_agent.store.policies import register_policies
from seal_agent.types import (
    Context,
    Forgotten,
    Proposal,
    Question,
    Reply,
    Revision,
    Sampling,
    Trust,
    content_hash,
)

DEFAULT_ADAPTER = "default"


class SelfAdaptingModel:
    """A frozen base model, the adapters it has learned, and the ledger of how it learned them.

    Threads may share it: adapters belong to calls, not to the model.
    """

    def __init__(
        self,
        base: BaseModel,
        *,
        home: str | Path | None = None,
        engine: Engine | None = None,
        grader: Grader | str | None = None,
        policy: str | Path | None = None,
        seed: int = 0,
        max_loaded_bytes: int = MAX_LOADED_BYTES,
    ) -> None:
        self.base = base
        self.home = Path(home).expanduser() if home is not None else default_home()
        self.engine: Engine = engine or HFEngine(base)
        self.grader = make_grader(grader, engine=self.engine) if isinstance(grader, str) else grader or default_grader()
        self.seed = seed
        self.ledger = Ledger(self.home)
        if base.former_identity:
            self.ledger.adopt_base(base.identity, base.former_identity)
        collect(self.ledger)
        self._loaded = LoadedAdapters(max_loaded_bytes)
        self._forgotten = self.ledger.count_forgotten()
        self.namespace: Namespace = ()
        self._full_names: dict[str, str] = {}
        self._policy_source = policy
        self._policy_revision: str | None = None
        self.policy = self._find_policy(policy)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path = DEFAULT_MODEL,
        *,
        home: str | Path | None = None,
        engine: str = "hf",
        vllm: VLLMConfig | None = None,
        device: str = "auto",
        dtype: str = "auto",
        grader: Grader | str | None = None,
        policy: str | Path | None = None,
        seed: int = 0,
        trust_remote_code: bool = False,
        max_loaded_bytes: int = MAX_LOADED_BYTES,
    ) -> SelfAdaptingModel:
        """Load a base model with its adapter store.

        Args:
            name_or_path: "default" (the bundled small instruct model), a hub id, a folder, a GGUF file, or
                "hub/id:FILE.gguf".
            home: The adapter store; default: $SEAL_HOME or ~/.local/share/seal-agent.
            engine: What answers: "hf" (transformers), or "vllm".
            vllm: How vLLM is started, or the address of a server.
            device: "auto", "cpu", "cuda" or "cuda:N".
            dtype: "auto", "float32", "bfloat16" or "float16".
            grader: Judges answers: a Grader, or the name of one that needs no settings ("lexical", "model"); default:
                LexicalGrader.
            policy: Writes the self-edits: the folder of a `seal train` run, one of its policies, any PEFT folder, or a
                stored adapter's name.
            seed: Of every random choice.
            trust_remote_code: Run code that comes with the model.
            max_loaded_bytes: How much memory adapters may take, which stay loaded after use; default: 1 GB. Those used
                longest ago are dropped first, and read from disk again when they are asked for.

        Raises ModelError, InputError, AdapterError.
        """
        check_engine(engine, vllm)
        if isinstance(grader, str):
            check_grader(grader)  # before the model is loaded
        base = load_model(name_or_path, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        if has_experts(base.module):
            say_what_is_left_out(base.name, base.module)
        return cls(
            base,
            home=home,
            engine=make_engine(base, engine, vllm),
            grader=grader,
            policy=policy,
            seed=seed,
            max_loaded_bytes=max_loaded_bytes,
        )

    def in_namespace(self, namespace: Sequence[str]) -> SelfAdaptingModel:
        """A handle on the adapters of a namespace, such as ("acme", "user 7"): it neither sees nor reaches others.

        The base model and the engine are shared, weights in memory are not. Raises InputError.
        """
        handle = copy(self)
        handle.namespace = as_namespace(namespace)
        handle._loaded = LoadedAdapters(self._loaded.max_bytes)
        handle._full_names = {}
        if self._policy_revision:  # a stored adapter, which is another namespace's
            handle._policy_source = handle._policy_revision = handle.policy = None
        return handle

    def full_name(self, adapter: str = DEFAULT_ADAPTER) -> str:
        """The name of an adapter in the whole store. Raises InputError for what is no name."""
        check_name(adapter)
        if not self.namespace:
            return adapter
        self._full_names[adapter] = full_name(self.namespace, adapter)
        return self._full_names[adapter]

    # ------------------------------------------------------------ learning

    def adapt(
        self,
        context: str | Context | Document,
        *,
        adapter: str = DEFAULT_ADAPTER,
        questions: Sequence[Question] | None = None,
        title: str | None = None,
        self_edit: SelfEditConfig | None = None,
        inner_loop: InnerLoopConfig | None = None,
        gate: AnyGate = DEFAULT_GATE,
        approve: Approve | None = None,
        trust: Trust | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: StageProgress | None = None,
    ) -> Revision:
        """Write notes about a context, train the adapter on them, and keep the change if the gate agrees.

        An adapter that exists is continued from its active revision. A text that it learned already, with the same
        settings, is not learned again, unless a newer one speaks of the same matter.

        Args:
            context: A text, a Context, or a Document, whose notes stand under the headings of their sections. A text
                with Markdown's headings or in HTML becomes one; `seal_agent.data.documents.read` reads files.
            questions: Asked closed-book before and after. Without them the model writes a self-test, which the revision
                shows.
            title: What the context is about; put before every note.
            self_edit: How notes are written; default: the default recipe's.
            inner_loop: How they are trained; default: the default recipe's.
            gate: The bounds that the change must keep to become active: GateConfig, or a Gate of your own. None checks
                nothing, and the revision says so.
            approve: Asked last: a callable that takes the candidate, or "ask" for the terminal. An error is a no.
            trust: "untrusted" for a text that a stranger may have written, such as a tool or a web page. What is learnt
                from it is quarantined: it answers only as "ADAPTER@REVISION".
            metadata: Kept with the revision.
            progress: Told how far each stage is.

        Raises InputError for an unusable context, TrainingError where the loss is not finite. In both cases nothing has
        changed.
        """
        as_metadata(metadata or {})  # raises before anything is written or trained
        check_gate(gate)
        check_approve(approve)
        whole, _ = as_context(context, title, questions, trust)
        lineage = self.ledger.lineage(self.full_name(adapter))
        if known := learned_already(lineage, whole, inner_loop or self._inner_loop):
            return known
        budget.check(self.ledger, self.full_name(adapter))
        proposal = self.propose(
            context,
            adapter=adapter,
            questions=questions,
            title=title,
            trust=trust,
            self_edit=self_edit,
            progress=progress,
        )
        return self.commit(
            proposal, inner_loop=inner_loop, gate=gate, approve=approve, metadata=metadata, progress=progress
        )

    def propose(
        self,
        context: str | Context | Document,
        *,
        adapter: str = DEFAULT_ADAPTER,
        questions: Sequence[Question] | None = None,
        title: str | None = None,
        trust: Trust | None = None,
        self_edit: SelfEditConfig | None = None,
        progress: StageProgress | None = None,
    ) -> Proposal:
        """Write self-edits only: nothing is trained or stored. `commit` trains on what this returns.

        A policy writes the formats that it learned unless `self_edit` names others. Raises InputError where it would
        have nothing to write.
        """
        name = self.full_name(adapter)
        self._drop_forgotten()
        whole, document = as_context(context, title, questions, trust)
        return write_proposal(
            self.engine,
            self.base,
            whole,
            document,
            self._self_edit(self_edit),
            StageClock(progress),
            adapter=name,
            parent=self.ledger.active(name),
            writer=self._writer,
            seed=self.seed,
        )

    def commit(
        self,
        proposal: Proposal,
        *,
        inner_loop: InnerLoopConfig | None = None,
        gate: AnyGate = DEFAULT_GATE,
        approve: Approve | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: StageProgress | None = None,
    ) -> Revision:
        """Train on a proposal. Committing the same proposal twice trains once and returns the same revision."""
        self._check_own(proposal.adapter)
        check_context(proposal.context)
        check_gate(gate)
        check_approve(approve)
        if not self.base.is_same_as(proposal.base):
            raise AdapterError("this proposal was written for another base model; propose again with this one")
        (revision,) = self._commit_each([proposal], inner_loop, gate, approve, metadata, progress)
        if isinstance(revision, TrainingError):
            raise revision
        return revision

    def adapt_many(
        self,
        contexts: Sequence[str | Context | Document],
        *,
        adapters: Sequence[str],
        self_edit: SelfEditConfig | None = None,
        inner_loop: InnerLoopConfig | None = None,
        gate: AnyGate = DEFAULT_GATE,
        approve: Approve | None = None,
        trust: Trust | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: StageProgress | None = None,
    ) -> list[Revision]:
        """As `adapt`, for an adapter per context; all of them train side by side, which costs less than one by one.

        For one adapter that learns several documents, call `adapt` with `seal_agent.data.documents.document.join`.

        Args:
            contexts: What to learn, each with its own title and questions.
            adapters: The names of as many different adapters.
            progress: Told how far each stage is, over all contexts.

        Returns the revisions in the order of the contexts. Raises InputError for an unusable context, before anything
        is trained; TrainingError where some trainings fail, after those that did not were recorded.
        """
        as_metadata(metadata or {})
        check_gate(gate)
        check_approve(approve)
        if len(adapters) != len(contexts) or len(set(adapters)) != len(adapters):
            raise InputError(
                f"{len(contexts)} contexts need as many different adapters, but {len(set(adapters))} were given"
            )
        config, found = inner_loop or self._inner_loop, dict[int, Revision]()
        proposals: list[Proposal] = []
        for i, (context, adapter) in enumerate(zip(contexts, adapters, strict=True)):
            whole, _ = as_context(context, None, None, trust)
            budget.check(self.ledger, self.full_name(adapter))
            if known := learned_already(self.ledger.lineage(self.full_name(adapter)), whole, config):
                found[i] = known
                continue
            part = part_of(progress, i, len(contexts))
            proposals.append(self.propose(context, adapter=adapter, trust=trust, self_edit=self_edit, progress=part))
        committed = iter(self._commit_each(proposals, config, gate, approve, metadata, progress))
        results = [found[i] if i in found else next(committed) for i in range(len(contexts))]
        failed = {name: r for name, r in zip(adapters, results, strict=True) if isinstance(r, TrainingError)}
        if failed:
            causes = "; ".join(f"{name}: {error}" for name, error in failed.items())
            raise TrainingError(f"{len(failed)} of {len(contexts)} trainings failed, the others are kept ({causes})")
        return [result for result in results if isinstance(result, Revision)]

    def _commit_each(
        self,
        proposals: Sequence[Proposal],
        inner_loop: InnerLoopConfig | None,
        gate: AnyGate,
        approve: Approve | None,
        metadata: Mapping[str, str] | None,
        progress: StageProgress | None,
    ) -> list[Revision | TrainingError]:
        """Train on proposals for different adapters side by side, judge them together, and record them one by one."""
        config, clock, pairs = inner_loop or self._inner_loop, StageClock(progress), as_metadata(metadata or {})
        keys = [content_hash([proposal.id, recorded_settings(asdict(config))]) for proposal in proposals]
        results: dict[int, Revision | TrainingError] = {}
        with ExitStack() as locks:
            for name in sorted(proposal.adapter for proposal in proposals):  # in one order: nobody waits in a circle
                locks.enter_context(self.ledger.only_writer_of(name))
            for i, (proposal, key) in enumerate(zip(proposals, keys, strict=True)):
                if known := self._committed(proposal, key):
                    results[i] = known
            new = [i for i in range(len(proposals)) if i not in results]
            candidates = self._candidates([proposals[i] for i in new], config, gate, clock)
            shared = shares_of(clock.stages, len(new))
            for i, candidate in zip(new, candidates, strict=True):
                if isinstance(candidate, TrainingError):
                    results[i] = candidate
                else:
                    own = StageClock(progress, (*proposals[i].stages, *shared))
                    results[i] = self._decide(*candidate, keys[i], approve, pairs, own)
        return [results[i] for i in range(len(proposals))]

    def _candidates(
        self, proposals: Sequence[Proposal], config: InnerLoopConfig, gate: AnyGate, clock: StageClock
    ) -> list[tuple[TrainedProposal, Judgement, str | None] | TrainingError]:
        """Train side by side, in memory only, and judge what was trained; with the parent that each started from."""
        if not proposals:
            return []
        with ExitStack() as spending:
            runs = [spending.enter_context(budget.spend(self.ledger, proposal.adapter)) for proposal in proposals]
            trained = self._train_each(proposals, config, clock)
            judged = iter(judge(self._trainer, [each for each in trained if isinstance(each, Pending)], gate, clock))
            results = [
                each
                if isinstance(each, TrainingError)
                else (*next(judged), each.lineage[0].id if each.lineage else None)
                for each in trained
            ]
            for run, result in zip(runs, results, strict=True):
                run.share = 1 / len(runs)
                run.tokens = 0 if isinstance(result, TrainingError) else result[0].summary.tokens
        return results

    def _decide(
        self,
        trained: TrainedProposal,
        judgement: Judgement,
        parent: str | None,
        key: str,
        approve: Approve | None,
        metadata: tuple[tuple[str, str], ...],
        clock: StageClock,
    ) -> Revision:
        """Ask for approval where it is wanted, and record what became of a candidate."""

        def revision(judgement: Judgement, folder: str = "") -> Revision:
            return trained.revision(key, parent, folder, judgement, metadata, clock.stages)

        judgement = with_approval(judgement, approve, revision)
        return self._record(trained, key, parent, partial(revision, judgement), clock)

    def _committed(self, proposal: Proposal, key: str) -> Revision | None:
        """The revision of an earlier commit of this proposal, if it is active or can be made active again."""
        lineage = {revision.id for revision in self.ledger.lineage(proposal.adapter)}
        for revision in self.ledger.find(proposal.adapter, key):
            if revision.id in lineage:
                return revision
            if (
                revision.accepted
                and revision.parent == self.ledger.active(proposal.adapter)
                and self._is_whole(revision)
            ):
                self.ledger.activate(proposal.adapter, revision.id)
                return revision
        return None

    def _is_whole(self, revision: Revision) -> bool:
        """Whether a revision's weights can be read; damaged ones are trained again."""
        try:
            return bool(self.weights_of(revision.id).pairs)
        except AdapterError:
            return False

    def _train_each(
        self, proposals: Sequence[Proposal], config: InnerLoopConfig, clock: StageClock
    ) -> list[Pending | TrainingError]:
        """Train candidates side by side, in memory only."""
        if not proposals:
            return []
        works = []
        for proposal in proposals:
            lineage = tuple(self.ledger.lineage(proposal.adapter))
            works.append(Work(proposal, self.weights_of(lineage[0].id) if lineage else None, lineage))
        return [
            trained if isinstance(trained, TrainingError) else Pending(trained, work.start, work.earlier)
            for work, trained in zip(works, self._trainer.train_each(works, config, clock), strict=True)
        ]

    def _record(
        self,
        trained: TrainedProposal,
        key: str,
        parent: str | None,
        revision: Callable[[str], Revision],
        clock: StageClock,
    ) -> Revision:
        """Save the weights, then write the revision down."""
        with self.ledger.only_writer_of_folders():
            with clock.stage("save"):
                recipe = settings_json(trained.config)
                folder = files.save(
                    trained.adapter, self.base.name, self.base.identity, self.ledger.adapters_folder, recipe
                )
            self._claim(trained.proposal.adapter)
            recorded = self.ledger.record(revision(folder), key, folder, onto=parent)
        self._loaded[recorded.id] = trained.adapter
        return recorded

    # ------------------------------------------------------------ answering

    def ask(
        self, question: str, *, adapter: str = DEFAULT_ADAPTER, title: str = "", style: AnswerStyle = "short"
    ) -> str:
        """The text of `reply`: an answer from the weights alone."""
        return self.reply(question, adapter=adapter, title=title, style=style).text

    def reply(
        self,
        question: str,
        *,
        adapter: str = DEFAULT_ADAPTER,
        title: str = "",
        style: AnswerStyle = "short",
        least_confidence: float | None = None,
    ) -> Reply:
        """A greedy answer from the weights alone, with the sentence that it was read from, and its confidence.

        Args:
            title: Named as the topic; questions about a text learnt under a title need it.
            style: "short" for the few words that were asked for, "sentence" for the sentence that holds them, "plain"
                for what the adapter itself says.
            least_confidence: Below it the base model answers as if there were no adapter; default: AnswerConfig's.

        Raises InputError, AdapterError.
        """
        if not question.strip():
            raise InputError("the question is empty; ask something")
        config = _answer_config(style, least_confidence)
        asked = closed_book(title, question, self.adapter(adapter))
        (reply,) = reply_all(self.engine, self.base, [asked], config)
        return reply

    @overload
    def chat(
        self,
        messages: Sequence[MessageLike],
        *,
        adapter: str | None = None,
        stop: Sequence[str] | None = None,
        max_tokens: int = 256,
        temperature: float = 0.0,
        seed: int | None = None,
        style: AnswerStyle = "short",
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
        seed: int | None = None,
        style: AnswerStyle = "short",
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
        seed: int | None = None,
        style: AnswerStyle = "short",
        stream: bool = False,
    ) -> str | Iterator[str]:
        """The assistant's next turn, with an adapter or (None) as the base model; in pieces if `stream`.

        Args:
            seed: Of what is drawn at a temperature above 0; None draws anew each time.
            style: How an adapter answers a question at temperature 0, as in `reply`. Other turns are always plain.
        """
        turns = as_messages(messages)
        if not turns:
            raise InputError("there are no messages; give at least one user turn")
        stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
        drawn_with = secrets.randbits(32) if seed is None else seed
        sampling = Sampling(max_tokens, temperature, stop=stops, seed=drawn_with)
        check_sampling(sampling)
        lora = self.adapter(adapter) if adapter is not None else None
        if lora is not None and is_recall(turns, sampling, style):
            completion = reply_in_chat(self.engine, self.base, turns, sampling, lora, style)[1]
            return iter([completion.text]) if stream else completion.text
        if stream:
            return self.engine.stream(turns, sampling, lora)
        (completion,) = self.engine.generate([turns], sampling, [lora])
        return completion.text

    # ------------------------------------------------------------ the store

    def history(self, adapter: str = DEFAULT_ADAPTER) -> list[Revision]:
        """Every revision of an adapter, oldest first, including those that were taken back."""
        self._check_known(adapter)
        return self.ledger.history(self.full_name(adapter))

    def adapters(self) -> dict[str, str | None]:
        """Every adapter's active revision, by name; None where it is rolled back to the base model."""
        everything = self.ledger.adapters()
        if not self.namespace:
            return everything
        return {name: everything[full] for name, full in self._own_adapters().items() if full in everything}

    def rollback(self, adapter: str = DEFAULT_ADAPTER, to: str | None = None) -> Revision | None:
        """Make an earlier revision active again: the parent, a revision's id, or "base".

        Returns the revision now active, None for the base model. Nothing is deleted. Raises AdapterError.
        """
        self._check_known(adapter)
        if to not in (None, "base"):
            self._own_revision(str(to))
        return self.ledger.rollback(self.full_name(adapter), to)

    def promote(self, revision: str) -> Revision:
        """Make a quarantined revision the active one of its adapter: somebody trusts it.

        Raises AdapterError where it is not quarantined, or where its adapter has gone on meanwhile.
        """
        return reviews.promote(self.ledger, self._own_revision(revision))

    def revoke(self, revision: str) -> Revision | None:
        """Never use a revision again, nor what was learned on top of it. Nothing is deleted.

        Returns the revision now active, None for the base model. Raises AdapterError.
        """
        return reviews.revoke(self.ledger, self._own_revision(revision))

    def import_adapter(self, folder: str | Path, *, adapter: str = DEFAULT_ADAPTER, title: str = "") -> Revision:
        """Take a PEFT folder of somebody else's into quarantine: it answers as "ADAPTER@REVISION" until `promote`.

        Raises AdapterError for a folder that is not plainly an adapter of this base model.
        """
        source, name = Path(folder).expanduser(), self.full_name(adapter)
        imported = read_foreign(source)
        check_fits(imported.adapter, self.base)
        with self.ledger.only_writer_of_folders():
            stored = files.save(imported.adapter, self.base.name, self.base.identity, self.ledger.adapters_folder)
            self._claim(name)
            revision = foreign_revision(imported, source, name, title, self.base.identity, stored)
            if self.ledger.exists(revision.id):
                return self.ledger.get(revision.id)
            return self.ledger.record(revision, imported.sha256, stored)

    def diff(self, left: str, right: str) -> list[Change]:
        """The questions that two revisions (or "base") answer differently: their own, and general ones."""
        sides = [None if side == "base" else self._own_revision(side) for side in (left, right)]
        asked = [r for side in sides if side for r in (side, *self.ledger.ancestors(side.id))]
        weights = [self.weights_of(side.id) if side else None for side in sides]
        return changed_answers(self.engine, self.base, self.grader, questions_of(asked), *weights)

    def delete_adapter(self, adapter: str) -> None:
        """Delete an adapter for good: all revisions, their texts and weights. Only ids and dates stay.

        Raises AdapterError for an unknown one, StoreError where all is done but a file could not be deleted.
        """
        self._check_known(adapter)
        self._drop(delete_adapter(self.ledger, self.full_name(adapter)))

    def forget(
        self, revision: str, *, adapter: str | None = None, progress: StageProgress | None = None
    ) -> Revision | None:
        """Remove a revision's text for good: from the weights, the store and this model's memory.

        What the adapter learned after it is retrained without it, from the weights before it, with the same notes and
        settings; that takes as long as it took then. Every revision of this adapter that learned the text is erased,
        and every descendant, rolled back or not. Only their ids and dates stay: see `forgotten`. Other adapters and
        copies made by `export` are not touched.

        Args:
            adapter: The adapter that the revision must belong to, if given.

        Returns the revision now active, None for the base model. Raises AdapterError for a revision that is unknown or
        was forgotten before; then, and where training fails, nothing has changed. Raises StoreError where all is done
        but a file could not be deleted.
        """
        with self.ledger.only_writer_of(self._own_revision(revision).adapter):
            plan = plan_forget(self.ledger, revision, self.full_name(adapter) if adapter is not None else None)
            again = retrain(self._trainer, plan, self.weights_of, self._inner_loop, progress)
            revisions = record_forget(self.ledger, plan, again, self.base.name)
            self._drop(plan.erased)
            self._loaded.update({new.id: old.trained.adapter for new, old in zip(revisions, again, strict=True)})
            clean_up(self.ledger)
        lineage = [*reversed(plan.kept), *revisions]
        return lineage[-1] if lineage else None

    def forgotten(self, adapter: str = DEFAULT_ADAPTER) -> list[Forgotten]:
        """What `forget` erased of an adapter, oldest first: ids and dates, no text."""
        self._check_known(adapter)
        return self.ledger.forgotten(self.full_name(adapter))

    def export(self, adapter: str, path: str | Path) -> Path:
        """Write the active revision as a plain PEFT folder, which PEFT and vLLM load. Returns the folder."""
        lora = self.adapter(adapter)
        if lora is None:
            raise AdapterError(f"adapter {adapter!r} is the base model itself; there is nothing to export")
        folder = Path(path).expanduser()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} exists and is not an empty folder; choose another path")
        export_peft(lora, self.base.module, self.base.name, self.base.identity, folder)
        return folder

    def adapter(self, name: str) -> LoraAdapter | None:
        """The weights of an adapter's active revision; None where that is the base model.

        "NAME@REVISION" names one revision, active or not: the only way to ask one in quarantine. "default" is the base
        model until something has been learned; another unknown name is an AdapterError.
        """
        name, _, wanted = name.partition("@")
        full = self.full_name(name)
        if wanted:
            return self._named_revision(full, wanted)
        while (revision := self.ledger.active(full)) is not None:
            try:
                return self.weights_of(revision)
            except AdapterError:
                if self.ledger.active(full) == revision:  # else it was forgotten between the two lines
                    raise
        if name != DEFAULT_ADAPTER:
            self._check_known(name)
        return None

    def _named_revision(self, adapter: str, revision: str) -> LoraAdapter:
        found = self._own_revision(revision)
        if found.adapter != adapter:
            raise AdapterError(f"there is no revision {revision!r} of this adapter; `seal history` lists those it has")
        check_usable(found, named=True)
        return self.weights_of(revision)

    def weights_of(self, revision: str) -> LoraAdapter:
        """The weights of a revision, from memory if it was used lately.

        Raises AdapterError where it is unknown or was forgotten, by this process or another.
        """
        self._drop_forgotten()
        self._check_exists(revision)
        if self.namespace:
            self._own_revision(revision)
        try:
            return self._loaded[revision]
        except KeyError:
            return self._read(revision)

    # ------------------------------------------------------------ inside

    def _own_adapters(self) -> dict[str, str]:
        """The adapters of this handle's namespace: their own names, and those in the whole store."""
        return self.ledger.claimed(self.namespace)

    def _owns(self, full: str) -> bool:
        """Whether an adapter is of this namespace; stores before there were any knew only its full name."""
        return not self.namespace or full == full_name(self.namespace) or full in self._own_adapters().values()

    def _check_own(self, full: str) -> None:
        """Raises AdapterError for an adapter of another namespace, as if there were none."""
        check_name(full)
        if not self._owns(full) and full not in self._full_names.values():
            raise AdapterError(f"there is no adapter {full!r} here")

    def _own_revision(self, revision: str) -> Revision:
        """A revision of this namespace. Raises AdapterError for another's, as if there were none."""
        found = self.ledger.get(revision)
        if not self._owns(found.adapter):
            raise AdapterError(f"there is no revision {revision!r}; `seal history` lists them")
        return found

    def _check_known(self, adapter: str) -> None:
        """Raises InputError for a bad name, AdapterError for an adapter that has learned nothing yet."""
        full = self.full_name(adapter)
        if not self.namespace:
            self.ledger.check_known(full)
        elif not self.ledger.is_known(full):
            known = ", ".join(self.adapters()) or "none yet"
            raise AdapterError(f"there is no adapter {adapter!r} in this namespace; known: {known}")

    def _claim(self, full: str) -> None:
        """Write down whose an adapter is that is made now."""
        if self.namespace:
            names = {own: name for name, own in self._full_names.items()}
            self.ledger.claim(full, self.namespace, names.get(full, DEFAULT_ADAPTER))

    @property
    def _trainer(self) -> Trainer:
        return Trainer(self.base, self.engine, self.grader)

    @property
    def _inner_loop(self) -> InnerLoopConfig:
        """The settings where none are given: the paper's with a policy, since it was rewarded under them."""
        return replace(RECIPES["paper" if self.policy else "default"].inner_loop, seed=self.seed)

    def _read(self, revision: str) -> LoraAdapter:
        folder = self.ledger.adapters_folder / self.ledger.folder(revision)
        also = self.ledger.former_identities(self.base.identity)
        weights = files.load(folder, self.base.identity, also)
        self._warn_of_settings(revision)
        # Threads that ask for it at once get the same object, which the engine recognises.
        weights = self._loaded.setdefault(revision, weights)
        self._check_exists(revision)  # it may have been forgotten while it was read
        return weights

    def _check_exists(self, revision: str) -> None:
        """Raises AdapterError where there is no such revision, and drops its weights."""
        if not self.ledger.exists(revision):
            self._drop([revision])
            self.ledger.get(revision)

    def _warn_of_settings(self, revision: str) -> None:
        """An adapter whose base model has another chat template, say, is used all the same; its user should know."""
        recorded = self.ledger.get(revision)
        if changes := differing_settings(recorded.base_settings, self.base.settings):
            warnings.warn(
                f"adapter {recorded.adapter!r} was trained with other settings of the base model: "
                f"{'; '.join(changes)}. It is used all the same",
                BaseModelWarning,
                stacklevel=2,
            )

    def _drop_forgotten(self) -> None:
        """Drop weights that another process has forgotten."""
        forgotten = self.ledger.count_forgotten()
        if forgotten != self._forgotten:
            held = {*self._loaded, *filter(None, [self._policy_revision])}
            self._drop([revision for revision in held if not self.ledger.exists(revision)])
            self._forgotten = forgotten

    def _drop(self, revisions: Collection[str]) -> None:
        """Forget weights in memory. Where one of them is the policy, look the policy up again."""
        self._loaded.drop(revisions)
        if self._policy_revision in revisions:
            self.policy = self._find_policy(self._policy_source)

    def _find_policy(self, policy: str | Path | None) -> Policy | None:
        if policy is None:
            return None
        folder = Path(policy).expanduser()
        if not folder.is_dir() and len(folder.parts) == 1:
            adapter = self.adapter(str(policy))
            self._policy_revision = self.ledger.active(self.full_name(str(policy).partition("@")[0]))
            return Policy(adapter, ()) if adapter else None
        loaded = load_policy(folder)
        register_policies(self.ledger, folder)
        if loaded.base and not self.base.is_same_as(loaded.base):
            raise AdapterError(
                f"the policy in {folder} was trained on another base model; load that one, or train anew"
            )
        return loaded

    @property
    def _writer(self) -> LoraAdapter | None:
        return self.policy.adapter if self.policy else None

    def _self_edit(self, config: SelfEditConfig | None) -> SelfEditConfig:
        """The caller's config, else the default with the policy's formats."""
        formats = self.policy.formats if self.policy else ()
        chosen = config or (SelfEditConfig(formats=formats) if formats else SelfEditConfig())
        if self.policy and not any(map(is_model_written, chosen.formats)):
            use = ", ".join(formats) or "implications"
            raise InputError(
                f"the policy writes whole self-edits, but the format asked for, {', '.join(chosen.formats)}, is not "
                f"written that way; use SelfEditConfig(formats=…) or --format with {use}, or leave the policy out"
            )
        return chosen


def _answer_config(style: AnswerStyle, least_confidence: float | None) -> AnswerConfig:
    """Raises InputError for a style or a confidence that there is not."""
    if least_confidence is None:
        return AnswerConfig(style=style)
    return AnswerConfig(style=style, least_confidence=least_confidence)
