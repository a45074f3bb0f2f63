"""SelfAdaptingModel: a language model that learns what it is given, and can take it back.

One class, longer than other files: it is the one object that most users touch. What it has stored is the part in
adaptation/stored_adapters.py, how a proposal becomes a revision is in adaptation/commits.py. Each method is a few calls
into the rooms above.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Literal, overload

from seal_agent.adaptation.adapt import Trainer, check_settings, note_settings_json
from seal_agent.adaptation.arguments import checks_arguments
from seal_agent.adaptation.commits import Commits
from seal_agent.adaptation.forget import (
    ForgetPlan,
    Retrained,
    clean_up,
    finish,
    plan_forget,
    record_forget,
    retrain,
)
from seal_agent.adaptation.gate.approval import Approve, check_approve
from seal_agent.adaptation.inputs import MessageLike, QuestionLike, as_context, as_messages, as_metadata, check_context
from seal_agent.adaptation.judging import DEFAULT_GATE, AnyGate, check_gate
from seal_agent.adaptation.propose import write_proposal
from seal_agent.adaptation.provenance import NamedRecipe
from seal_agent.adaptation.repeats import learned_already
from seal_agent.adaptation.stored_adapters import DEFAULT_ADAPTER, StoredAdapters
from seal_agent.agents.trajectories.learners import only_learner
from seal_agent.agents.trajectories.lesson import context_of, lessons_among, not_learnt_yet, proposal_of
from seal_agent.agents.trajectories.store import TrajectoryStore
from seal_agent.agents.trajectories.trajectory import Redact, Trajectory
from seal_agent.answering.chats import reply_in_chat
from seal_agent.answering.recall import closed_book, limit_in_window
from seal_agent.answering.replies import reply_all
from seal_agent.answering.turns import is_recall
from seal_agent.base_model.loading import DEFAULT_MODEL, load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import (
    RECIPES,
    AnswerConfig,
    AnswerStyle,
    InnerLoopConfig,
    PictureConfig,
    SelfEditConfig,
    TrajectoryLimits,
    VLLMConfig,
)
from seal_agent.data.documents.document import Document
from seal_agent.errors import AdapterError, InputError, TrainingError
from seal_agent.generation.engine import Engine
from seal_agent.generation.engines import check_engine, make_engine
from seal_agent.generation.hf import HFEngine
from seal_agent.generation.sampling import check_sampling
from seal_agent.grading.grader import Grader
from seal_agent.grading.graders import check_grader, default_grader, make_grader
from seal_agent.images.loading import ImageSource
from seal_agent.images.pictures import as_pictures
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.coverage import has_experts, say_what_is_left_out
from seal_agent.outer_loop.policy import Policy, policy_for
from seal_agent.paths import default_home
from seal_agent.progress import StageClock, StageProgress, part_of
from seal_agent.self_edits.formats.registry import is_model_written
from seal_agent.store import budget
from seal_agent.store.cleaning import collect
from seal_agent.store.ledger import Ledger
from seal_agent.store.loaded import MAX_LOADED_BYTES, LoadedAdapters
from seal_agent.store.names import revision_id
from seal_agent.store.namespaces import as_namespace
from seal_agent.store.policies import register_policies
from seal_agent.types import (
    Context,
    Picture,
    Proposal,
    Reply,
    Revision,
    Sampling,
    Trust,
)

LONGEST_TURN = 256  # tokens of a chat's turn, unless the caller says otherwise; not tuned


@checks_arguments
class SelfAdaptingModel(StoredAdapters):
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
        recipe: str | Path | None = None,
        seed: int = 0,
        max_loaded_bytes: int = MAX_LOADED_BYTES,
    ) -> None:
        self.base = base
        self.home = Path(home).expanduser() if home is not None else default_home()
        self.engine: Engine = engine or HFEngine(base)
        self.grader = make_grader(grader, engine=self.engine) if isinstance(grader, str) else grader or default_grader()
        self.seed = seed
        self._ledger = Ledger(self.home)
        if base.former_identity:
            self._ledger.adopt_base(base.identity, base.former_identity)
        collect(self._ledger)
        self._loaded = LoadedAdapters(max_loaded_bytes)
        self._forgotten = self._ledger.count_forgotten()
        self.namespace = ()
        self._full_names = {}
        self._given_recipe = NamedRecipe.read(recipe) if recipe is not None else None
        self._policy_source = policy or (self._given_recipe.recipe.policy or None if self._given_recipe else None)
        self._policy_revision = None
        self.policy = self._find_policy(self._policy_source)

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
        recipe: str | Path | None = None,
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
            recipe: How texts are learnt where a call does not say: a recipe's name, a TOML file, or a run of
                `seal tune` or `seal train`; default: the default recipe, with a policy the paper's. A policy that it
                names writes the self-edits, unless `policy` names another.
            seed: Of every random choice.
            trust_remote_code: Run code that comes with the model.
            max_loaded_bytes: How much memory adapters may take, which stay loaded after use; default: 1 GB. Those used
                longest ago are dropped first, and read from disk again when they are asked for.

        Raises ModelError, InputError, AdapterError.
        """
        check_engine(engine, vllm)
        if isinstance(grader, str):
            check_grader(grader)  # before the model is loaded
        if recipe is not None:
            NamedRecipe.read(recipe)
        base = load_model(name_or_path, device=device, dtype=dtype, trust_remote_code=trust_remote_code)
        if has_experts(base.module):
            say_what_is_left_out(base.name, base.module)
        return cls(
            base,
            home=home,
            engine=make_engine(base, engine, vllm),
            grader=grader,
            policy=policy,
            recipe=recipe,
            seed=seed,
            max_loaded_bytes=max_loaded_bytes,
        )

    def in_namespace(self, namespace: Sequence[str]) -> SelfAdaptingModel:
        """A handle on the adapters of a namespace, such as ("acme", "user 7"): it neither sees nor reaches others.

        The base model and the engine are shared, weights in memory are not. Raises InputError, also on a handle, which
        gives no other.
        """
        wanted = as_namespace(namespace)
        if self.namespace:
            raise InputError(
                f"this handle is of the namespace {'.'.join(self.namespace)} and reaches no other; "
                "call in_namespace on the model itself"
            )
        handle = copy(self)
        handle.namespace = wanted
        handle._loaded = LoadedAdapters(self._loaded.max_bytes)
        handle._full_names = {}
        if self._policy_revision:  # a stored adapter, which is another namespace's
            handle._policy_source = handle._policy_revision = handle.policy = None
        return handle

    # ------------------------------------------------------------ learning

    def adapt(
        self,
        context: str | Context | Document,
        *,
        adapter: str = DEFAULT_ADAPTER,
        questions: Sequence[QuestionLike] | None = None,
        title: str | None = None,
        self_edit: SelfEditConfig | None = None,
        inner_loop: InnerLoopConfig | None = None,
        pictures: PictureConfig | None = None,
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
                with Markdown's headings or in HTML becomes one; `seal_agent.data.documents.read` reads files. A Context
                may have `images`, with a text or in its place; what the model sees in them is learned as text.
            questions: Asked closed-book before and after. Without them the model writes a self-test, which the revision
                shows.
            title: What the context is about; put before every note.
            self_edit: How notes are written; default: the default recipe's.
            inner_loop: How they are trained; default: the default recipe's.
            pictures: How the context's images are looked at.
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
        config, lineage = inner_loop or self._inner_loop, self._ledger.lineage(self.full_name(adapter))
        if known := learned_already(lineage, whole, config, self._self_edit(self_edit)):
            return known
        self._check_settings(adapter, config)
        self.check_budget(adapter)
        proposal = self.propose(
            context,
            adapter=adapter,
            questions=questions,
            title=title,
            trust=trust,
            self_edit=self_edit,
            pictures=pictures,
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
        questions: Sequence[QuestionLike] | None = None,
        title: str | None = None,
        trust: Trust | None = None,
        self_edit: SelfEditConfig | None = None,
        pictures: PictureConfig | None = None,
        progress: StageProgress | None = None,
    ) -> Proposal:
        """Write self-edits only: nothing is trained or stored. `commit` trains on what this returns.

        A policy writes the formats that it learned unless `self_edit` names others. Raises InputError where it would
        have nothing to write.
        """
        name = self.full_name(adapter)
        self._drop_forgotten()
        whole, document = as_context(context, title, questions, trust)
        notes = self._self_edit(self_edit)
        proposal = write_proposal(
            self.engine,
            self.base,
            whole,
            document,
            notes,
            StageClock(progress),
            adapter=name,
            parent=self._ledger.active(name),
            writer=self._writer,
            seed=self.seed,
            pictures=pictures,
        )
        return replace(proposal, recipe=self.recipe.of_notes(notes), note_settings=note_settings_json(notes))

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
        """Train on a proposal.

        Committing the same proposal twice, with the same gate, trains once and returns the same revision. What could
        not be graded, or was denied by `approve`, is trained again, and so is an untrusted text that was rolled back.
        """
        return self._commit_one(proposal, inner_loop, gate, approve, metadata, progress)

    def _commit_one(
        self,
        proposal: Proposal,
        inner_loop: InnerLoopConfig | None,
        gate: AnyGate,
        approve: Approve | None,
        metadata: Mapping[str, str] | None,
        progress: StageProgress | None,
        trajectories: Sequence[str] = (),
    ) -> Revision:
        """As `commit`; `trajectories` are the ids of those that the proposal teaches."""
        self._check_own(proposal.adapter)
        check_context(proposal.context)
        check_gate(gate)
        check_approve(approve)
        if not self.base.is_same_as(proposal.base):
            raise AdapterError("this proposal was written for another base model; propose again with this one")
        (revision,) = self._commit_each([proposal], inner_loop, gate, approve, metadata, progress, trajectories)
        if isinstance(revision, TrainingError):
            raise revision
        return revision

    def trajectories(
        self,
        adapter: str = DEFAULT_ADAPTER,
        *,
        redact: Redact | None = None,
        limits: TrajectoryLimits | None = None,
    ) -> TrajectoryStore:
        """What an agent did with this adapter, kept in the ledger; see `learn`.

        Args:
            redact: Called with every text before it is written.
            limits: How much is kept; default: TrajectoryLimits().
        """
        return TrajectoryStore(self._ledger, self.full_name(adapter), redact, limits or TrajectoryLimits())

    def learn(
        self,
        trajectories: Sequence[Trajectory],
        *,
        adapter: str = DEFAULT_ADAPTER,
        inner_loop: InnerLoopConfig | None = None,
        gate: AnyGate = DEFAULT_GATE,
        approve: Approve | None = None,
        redact: Redact | None = None,
        limits: TrajectoryLimits | None = None,
        metadata: Mapping[str, str] | None = None,
        progress: StageProgress | None = None,
    ) -> Revision:
        """Keep trajectories, and learn the actions of those that somebody verified as successes.

        They are learnt in the form in which ChatSeal asks for tool calls; what was observed is read, not learnt. An
        adapter that exists is continued. The gate checks what was lost; no question can tell what was learned.

        What a revision in use has learnt with these settings is left out; where nothing is left, that revision is
        returned. What a revision learnt that the gate refused counts as not learnt yet.

        Args:
            redact: Called with every text before it is written or trained on.
            limits: How much is kept, and how long a trajectory may be in training; default: TrajectoryLimits().

        Raises InputError where none of them is a verified success; nothing is trained then.
        """
        store = self.trajectories(adapter, redact=redact, limits=limits)
        self._check_settings(adapter, inner_loop or self._inner_loop)
        with only_learner(self._ledger, store.adapter):
            return self._learn(store, trajectories, adapter, inner_loop, gate, approve, metadata, progress)

    def _learn(
        self,
        store: TrajectoryStore,
        trajectories: Sequence[Trajectory],
        adapter: str,
        inner_loop: InnerLoopConfig | None,
        gate: AnyGate,
        approve: Approve | None,
        metadata: Mapping[str, str] | None,
        progress: StageProgress | None,
    ) -> Revision:
        """As `learn`, while nobody else learns trajectories of this adapter."""
        self._claim(store.adapter)
        config, lineage = inner_loop or self._inner_loop, self._ledger.lineage(store.adapter)
        lessons, known = not_learnt_yet(lessons_among(store.add(trajectories)), store.trained(), lineage, config)
        if known and not lessons:
            return known
        revision = learned_already(lineage, context_of(lessons), config)
        if revision is None:
            self.check_budget(adapter)
            parent = lineage[0].id if lineage else None
            proposal = proposal_of(lessons, self.base, store.adapter, parent, store.limits.context_tokens)
            ids = [lesson.id for lesson in lessons]
            revision = self._commit_one(proposal, inner_loop, gate, approve, metadata, progress, ids)
        learnt = revision.accepted or revision.status == "quarantined"
        (store.mark_learnt if learnt else store.mark_tried)(lessons, revision.id)
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
        notes = self._self_edit(self_edit)
        for i, (context, adapter) in enumerate(zip(contexts, adapters, strict=True)):
            whole, _ = as_context(context, None, None, trust)
            if known := learned_already(self._ledger.lineage(self.full_name(adapter)), whole, config, notes):
                found[i] = known
            else:
                self._check_settings(adapter, config)
        proposals: list[Proposal] = []
        for i, (context, adapter) in enumerate(zip(contexts, adapters, strict=True)):
            if i in found:
                continue
            self.check_budget(adapter)
            part = part_of(progress, i, len(contexts))
            proposals.append(self.propose(context, adapter=adapter, trust=trust, self_edit=self_edit, progress=part))
        committed = iter(self._commit_each(proposals, config, gate, approve, metadata, progress))
        results = [found[i] if i in found else next(committed) for i in range(len(contexts))]
        failed = {name: r for name, r in zip(adapters, results, strict=True) if isinstance(r, TrainingError)}
        if failed:
            causes = "; ".join(f"{name}: {error}" for name, error in failed.items())
            raise TrainingError(f"{len(failed)} of {len(contexts)} trainings failed, the others are kept ({causes})")
        return [result for result in results if isinstance(result, Revision)]

    def _check_settings(self, adapter: str, config: InnerLoopConfig) -> None:
        """Raises InputError for settings that cannot train this adapter, before anything is written."""
        lineage = self._ledger.lineage(self.full_name(adapter))
        start = self.weights_of(lineage[0].id) if lineage else None
        check_settings(adapter, start, config, self.base)

    def _commit_each(
        self,
        proposals: Sequence[Proposal],
        inner_loop: InnerLoopConfig | None,
        gate: AnyGate,
        approve: Approve | None,
        metadata: Mapping[str, str] | None,
        progress: StageProgress | None,
        trajectories: Sequence[str] = (),
    ) -> list[Revision | TrainingError]:
        """Train on proposals for different adapters side by side, judge them together, and record them one by one.

        Args:
            trajectories: Ids of those that the proposals teach.
        """
        config = inner_loop or self._inner_loop
        proposals = [replace(each, recipe=self.recipe.of_lesson(each.recipe, config)) for each in proposals]
        commits = Commits(self._trainer, self._ledger, self._loaded, self.weights_of, self._claim, tuple(trajectories))
        return commits.commit(proposals, config, gate, approve, as_metadata(metadata or {}), progress)

    # ------------------------------------------------------------ answering

    def ask(
        self,
        question: str,
        *,
        adapter: str = DEFAULT_ADAPTER,
        title: str = "",
        style: AnswerStyle = "short",
        image: ImageSource | Picture | Sequence[ImageSource | Picture] | None = None,
    ) -> str:
        """The text of `reply`: an answer from the weights alone, or about an image in view."""
        return self.reply(question, adapter=adapter, title=title, style=style, image=image).text

    def reply(
        self,
        question: str,
        *,
        adapter: str = DEFAULT_ADAPTER,
        title: str = "",
        style: AnswerStyle = "short",
        least_confidence: float | None = None,
        image: ImageSource | Picture | Sequence[ImageSource | Picture] | None = None,
    ) -> Reply:
        """A greedy answer from the weights alone, with the sentence that it was read from, and its confidence.

        Args:
            title: Named as the topic; questions about a text learnt under a title need it.
            style: "short" for the few words that were asked for, "sentence" for the sentence that holds them, "plain"
                for what the adapter itself says.
            least_confidence: Below it the base model answers as if there were no adapter; default: AnswerConfig's.
            image: One or several in view of the question: paths, bytes or PIL images. The answer is always plain then.

        Raises InputError, AdapterError.
        """
        if not question.strip():
            raise InputError("the question is empty; ask something")
        seen = as_pictures(image) if image is not None else ()
        if seen:
            _ = self.base.sight  # raises where the model does not see
        config = _answer_config("plain" if seen else style, least_confidence)
        asked = closed_book(title, question, self.adapter(adapter), seen)
        (reply,) = reply_all(self.engine, self.base, [asked], config)
        return reply

    @overload
    def chat(
        self,
        messages: Sequence[MessageLike],
        *,
        adapter: str | None = None,
        stop: Sequence[str] | None = None,
        max_tokens: int | None = None,
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
        max_tokens: int | None = None,
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
        max_tokens: int | None = None,
        temperature: float = 0.0,
        seed: int | None = None,
        style: AnswerStyle = "short",
        stream: bool = False,
    ) -> str | Iterator[str]:
        """The assistant's next turn, with an adapter or (None) as the base model; in pieces if `stream`.

        Args:
            max_tokens: Default: 256, or what the messages leave of the window where that is less.
            seed: Of what is drawn at a temperature above 0; None draws anew each time.
            style: How an adapter answers a question at temperature 0, as in `reply`. Other turns are always plain.
        """
        turns = as_messages(messages)
        if not turns:
            raise InputError("there are no messages; give at least one user turn")
        stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
        drawn_with = secrets.randbits(32) if seed is None else seed
        lora = self.adapter(adapter) if adapter is not None else None
        if max_tokens is None:
            max_tokens = limit_in_window(self.base, turns, lora, LONGEST_TURN)
        sampling = Sampling(max_tokens, temperature, stop=stops, seed=drawn_with)
        check_sampling(sampling)
        if lora is not None and is_recall(turns, sampling, style):
            completion = reply_in_chat(self.engine, self.base, turns, sampling, lora, style)[1]
            return iter([completion.text]) if stream else completion.text
        if stream:
            return self.engine.stream(turns, sampling, lora)
        (completion,) = self.engine.generate([turns], sampling, [lora])
        return completion.text

    # ------------------------------------------------------------ forgetting

    def forget(
        self, revision: str | Revision, *, adapter: str | None = None, progress: StageProgress | None = None
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
        revision = revision_id(revision)
        owner = self._owner_of(revision)
        finish(self._ledger, revision)  # where an earlier call was killed
        with self._ledger.only_writer_of(owner):
            plan = plan_forget(self._ledger, revision, self.full_name(adapter) if adapter is not None else None)
            again = self._learnt_again(plan, progress)
            revisions = record_forget(self._ledger, plan, again, self.base.name)
            self._drop(plan.erased)
            self._loaded.update({new.id: old.trained.adapter for new, old in zip(revisions, again, strict=True)})
            clean_up(self._ledger)
        return self._ledger.in_use(plan.target.adapter)

    def _learnt_again(self, plan: ForgetPlan, progress: StageProgress | None) -> list[Retrained]:
        """Train what was learned after the forgotten text; it counts in the budgets, which cannot refuse forgetting."""
        if not plan.again:
            return []
        with budget.spend(self._ledger, [plan.target.adapter], refuse=False) as (run,):
            again = retrain(self._trainer, plan, self.weights_of, self._inner_loop, progress)
            run.tokens = sum(each.trained.summary.tokens for each in again)
        return again

    # ------------------------------------------------------------ inside

    @property
    def _trainer(self) -> Trainer:
        return Trainer(self.base, self.engine, self.grader)

    @property
    def recipe(self) -> NamedRecipe:
        """The recipe where none is given: the paper's with a policy, since it was rewarded under its settings."""
        name = "paper" if self.policy else "default"
        return self._given_recipe or NamedRecipe(name, RECIPES[name])

    @property
    def _inner_loop(self) -> InnerLoopConfig:
        """The settings where none are given."""
        return replace(self.recipe.recipe.inner_loop, seed=self.seed)

    def _drop(self, revisions: Collection[str]) -> None:
        """Forget weights and pictures in memory. Where one of them is the policy, look the policy up again."""
        super()._drop(revisions)
        if self.base.sees:
            self.base.sight.clear()
        if self._policy_revision in revisions:
            self.policy = self._find_policy(self._policy_source)

    def _find_policy(self, policy: str | Path | None) -> Policy | None:
        if policy is None:
            return None
        folder = Path(policy).expanduser()
        if not folder.is_dir() and len(folder.parts) == 1:
            adapter = self.adapter(str(policy))
            self._policy_revision = self._ledger.active(self.full_name(str(policy).partition("@")[0]))
            return Policy(adapter, ()) if adapter else None
        loaded = policy_for(self.base, folder)
        register_policies(self._ledger, folder)
        return loaded

    @property
    def _writer(self) -> LoraAdapter | None:
        return self.policy.adapter if self.policy else None

    def _self_edit(self, config: SelfEditConfig | None) -> SelfEditConfig:
        """The caller's config, else the recipe's or the default, with the policy's formats."""
        formats = self.policy.formats if self.policy else ()
        default = self._given_recipe.recipe.self_edit if self._given_recipe else SelfEditConfig()
        chosen = config or (replace(default, formats=formats) if formats else default)
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
