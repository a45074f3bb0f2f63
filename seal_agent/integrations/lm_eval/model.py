"""lm-eval's `--model seal`: train one adapter per context, answer all of its questions, then discard the adapter.

Other tasks run as with lm-eval's `hf` model, through a stored adapter if one is named. Adapters trained during an
evaluation exist only in memory; the user's store is only read.
"""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import simple_parse_args_string
from torch import Tensor
from tqdm import tqdm

from seal_agent.adaptation.lesson import job_of, write_lessons
from seal_agent.answering.recall import Asked, closed_book
from seal_agent.answering.replies import reply_all
from seal_agent.base_model.loading import DEFAULT_MODEL, load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.evaluation.retrieval import PassageSearch, with_passages
from seal_agent.generation.engine import resting
from seal_agent.generation.engines import make_engine
from seal_agent.generation.hf import MAX_BATCH_ROWS
from seal_agent.generation.vllm.engine import VLLMEngine
from seal_agent.grading.grader import GradingItem
from seal_agent.images.pictures import as_pictures
from seal_agent.integrations.lm_eval.arc import answer_tasks
from seal_agent.integrations.lm_eval.arguments import Settings, read_arguments
from seal_agent.integrations.lm_eval.flags import check_prompts
from seal_agent.integrations.lm_eval.hook import NAME, register
from seal_agent.integrations.lm_eval.progress_bar import BeginStage, stages_on
from seal_agent.integrations.lm_eval.tasks import (
    ARC,
    GRADER_FIELD,
    KNOWLEDGE,
    UNANSWERED,
    domain_of,
    grade_ahead,
    judge_with,
    passages_beside,
)
from seal_agent.integrations.lm_eval.visuals import (
    PLACEHOLDER,
    check_learnable,
    check_no_visuals,
    check_visuals,
    has_visuals,
    visuals_of,
)
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route
from seal_agent.model import SelfAdaptingModel
from seal_agent.outer_loop.policy import policy_hash, writer_of
from seal_agent.progress import Progress
from seal_agent.prompts import question_with_passage
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train
from seal_agent.types import Context, Illustrated, Message, Prompt, Sampling

CONTEXTS_AT_ONCE = 16  # adapters held in memory together; their self-edits are written in one batch
_REPORTED_PACKAGES = ("seal-agent", "lm-eval", "torch", "transformers", "peft")


_OPTIONS = ("until", "max_gen_toks", "do_sample", "temperature", "top_p")
"""Generation options that our engines follow."""
_OF_SAMPLING = ("top_k", "min_p", "typical_p")
"""Options without effect on greedy decoding."""
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "top_k": (0, -1),
    "min_p": (0,),
    "typical_p": (1,),
    "num_beams": (1,),
    "num_return_sequences": (1,),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "use_cache": (True, False),
}
"""Values by which other options change nothing."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A question about a context, and how to sample its answer."""

    context: Context
    question: str
    sampling: Sampling
    task: str = ""


@dataclass(frozen=True, slots=True)
class _TrainingFailure:
    """Why no adapter could be trained for a context."""

    reason: str


class SealLM(HFLM):  # type: ignore[misc]
    """A self-adapting model as an lm-eval model.

    Args:
        pretrained: "default" (the bundled model), a hub id, a folder, or a loaded BaseModel.
        arguments: fields of ModelArguments, InnerLoopConfig, SelfEditConfig, ArcConfig and VLLMConfig by name: `mode`
            (base | in_context | retrieval | passage | ttt | random | self_edit), `format`, `adapter`, `seed`, `epochs`,
            `engine`, …

    Raises InputError for unknown and unusable arguments, ModelError, AdapterError.
    """

    MULTIMODAL = True  # lm-eval then hands over tasks with images; a model that does not see refuses them in our words

    def __init__(self, pretrained: str | BaseModel = DEFAULT_MODEL, **arguments: object) -> None:
        settings = read_arguments(arguments)
        base = pretrained if isinstance(pretrained, BaseModel) else _load_base(str(pretrained), settings)
        with _without_warnings("lm_eval.models.huggingface"):  # they are advice for users who pass a loaded model
            super().__init__(
                pretrained=base.module,
                tokenizer=copy.deepcopy(base.tokenizer),  # lm-eval changes its padding
                batch_size=settings.model.eval_batch_size,
                max_batch_size=settings.model.max_batch_size,
            )
        self.base = base
        self.settings = settings
        rows = _batch_rows(settings.model.eval_batch_size)
        self.engine = make_engine(base, settings.model.engine, settings.vllm, max_rows=rows)
        judge_with(self.engine)
        self.adapter, self.adapter_revision = _stored_adapter(base, settings)
        self.writer = writer_of(base, settings.policy) if settings.adapts else None
        self._searches: dict[Context, PassageSearch] = {}
        self._searched: dict[str, int] = {}  # by task, the passages that `retrieval` searched
        self._route = serving_route(base.module, [self.adapter], base.device, base.dtype)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, object], additional_config: Mapping[str, object] | None = None
    ) -> SealLM:
        """The model for `--model_args` and lm-eval's flags; `--batch_size` is not InnerLoopConfig.batch_size."""
        return cls(**_arguments_of_flags(additional_config or {}) | dict(arg_dict))  # type: ignore[arg-type]

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: Mapping[str, object] | None = None) -> SealLM:
        """As `create_from_arg_obj`, for "key=value,key=value"."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    # ------------------------------------------------------------ lm-eval's interface

    @property
    def max_length(self) -> int:
        """Tokens that are read at once. Continuations reach one further, which vLLM writes within its window."""
        return self._window - 1 if isinstance(self.engine, VLLMEngine) else self._window

    @property
    def _window(self) -> int:
        """Tokens of a prompt and its answer."""
        if isinstance(self.engine, VLLMEngine):
            return min(self.base.window, self.engine.backend.window)
        return int(super().max_length)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers in the order of the requests. Requests of our tasks are answered as the mode says."""
        check_visuals(requests, sees=self.base.sees, model=self.base.name)
        self._check_mode(requests)
        check_prompts(requests)
        knowledge = [i for i, request in enumerate(requests) if domain_of(request.doc) == KNOWLEDGE]
        arc = [i for i, request in enumerate(requests) if domain_of(request.doc) == ARC]
        ordinary = sorted({*range(len(requests))} - {*knowledge, *arc})
        answers: dict[int, str] = {}
        if seen := [i for i in ordinary if has_visuals(requests[i])]:
            ordinary = [i for i in ordinary if i not in set(seen)]
            answers |= zip(seen, self._continue([requests[i] for i in seen], disable_tqdm), strict=True)
        if ordinary and isinstance(self.engine, VLLMEngine):
            answers |= zip(ordinary, self._continue([requests[i] for i in ordinary], disable_tqdm), strict=True)
        elif ordinary:
            answers |= zip(ordinary, super().generate_until([requests[i] for i in ordinary], disable_tqdm), strict=True)
        if knowledge:
            judge_with(self.engine)  # another model may have been made since this one
            parsed = [_parse_request(requests[i], self.settings.inner_loop.seed) for i in knowledge]
            answers |= zip(knowledge, self._answer(parsed, disable_tqdm), strict=True)
            _grade_together([(requests[i].doc, answers[i]) for i in knowledge])
        if arc:
            answers |= zip(arc, self._answer_arc([requests[i].doc for i in arc], disable_tqdm), strict=True)
        return [answers[i] for i in range(len(requests))]

    def _continue(self, requests: Sequence[Instance], quiet: bool) -> list[str]:
        """What our engine writes after the prompts of ordinary tasks: where it is vLLM, and where images are seen.

        Options are those of lm-eval's `hf`.
        """
        by_sampling: dict[Sampling, list[int]] = {}
        for i, request in enumerate(requests):
            by_sampling.setdefault(_sampling_of(request.args[1], self.max_gen_toks), []).append(i)
        answers: dict[int, str] = {}
        with tqdm(total=len(requests), disable=quiet, unit="prompt") as bar:
            for sampling, rows in by_sampling.items():
                room = self._window - sampling.max_tokens
                if room < 1:
                    raise InputError(
                        f"{sampling.max_tokens} tokens are wanted, but the model's window is {self._window}; "
                        "lower max_gen_toks"
                    )
                prompts = [self._prompt(requests[i], room) for i in rows]
                completions = self.engine.generate(prompts, sampling, [self.adapter] * len(rows), _advance(bar))
                answers |= zip(rows, (completion.text for completion in completions), strict=True)
        return [answers[i] for i in range(len(requests))]

    def _prompt(self, request: Instance, room: int) -> Prompt:
        """The prompt of a request; images stand where the task says, or before the text."""
        text, images = self._with_one_beginning(request.args[0]), as_pictures(list(visuals_of(request)))
        if not images:
            return self._cut(text, room)
        mark, sight = self.base.sight.placeholder, self.base.sight
        if text.count(mark) != len(images):  # else a chat template has placed them already
            text = re.sub(f"(?:{PLACEHOLDER})+", lambda run: sight.placeholders(run[0].count(PLACEHOLDER)), text)
        return Illustrated(text if mark in text else f"{sight.placeholders(len(images))}\n{text}", images)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """As lm-eval's `hf` model; the images of a turn go before its text, as in its multimodal model."""
        if not self.base.sees or not any(PLACEHOLDER in turn["content"] for turn in chat_history):
            return str(super().apply_chat_template(chat_history, add_generation_prompt))
        rows = [
            {
                "role": turn["role"],
                "content": [
                    *({"type": "image"} for _ in range(turn["content"].count(PLACEHOLDER))),
                    {"type": "text", "text": turn["content"].replace(PLACEHOLDER, "")},
                ],
            }
            for turn in chat_history
        ]
        rendered = self.base.tokenizer.apply_chat_template(
            rows,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return str(rendered)

    def _with_one_beginning(self, prompt: str) -> str:
        """The prompt without the BOS token of a chat template, where the tokenizer puts one there itself."""
        begin, token = self.base.tokenizer.bos_token, self.base.tokenizer.bos_token_id
        twice = token is not None and prompt.startswith(begin) and self.base.encode(f"{begin}x")[:2] == [token] * 2
        return prompt.removeprefix(begin) if twice else prompt

    def _cut(self, prompt: str, room: int) -> str:
        """The end of a prompt that is too long, as lm-eval's `hf` model cuts it.

        A text that begins elsewhere may have more tokens than were kept, and a BOS token before them.
        """
        ids = self.base.encode(prompt)
        kept, excess = len(ids), len(ids) - room
        while excess > 0 and kept > 0:
            kept = max(0, kept - excess)
            prompt = str(self.base.tokenizer.decode(ids[len(ids) - kept :]))
            excess = len(self.base.encode(prompt)) - room
        return prompt

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """As lm-eval's `hf` model; requests with images are refused."""
        check_no_visuals(requests)
        scores: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm)
        return scores

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[tuple[str, str], list[int], list[int]]],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether it is the greedy one."""
        if not isinstance(self.engine, VLLMEngine):
            found: list[tuple[float, bool]] = super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)
            return found
        rows, longest = [], self.max_length + 1
        for _, prompt, continuation in requests:
            kept = (prompt + continuation)[-longest:]
            split = max(1, len(kept) - len(continuation))
            rows.append((kept[:split], kept[split:]))
        with tqdm(total=len(rows), disable=disable_tqdm, unit="continuation") as bar:
            positions = self.engine.forced(rows, [self.adapter] * len(rows), top=1, progress=_advance(bar))
        answers = []
        for (_, ids), of_row in zip(rows, positions, strict=True):
            tokens = list(zip(of_row, ids, strict=True))
            greedy = all(max(position, key=position.__getitem__) == token for position, token in tokens)
            answers.append((sum(position[token] for position, token in tokens), greedy))
        return answers

    def _check_mode(self, requests: Sequence[Instance]) -> None:
        """Raises InputError if the mode does not fit a requested task."""
        check_learnable(requests, self.settings.mode)
        unsupported = (
            (KNOWLEDGE, ("ttt", "random"), "passage"),
            (ARC, ("in_context", "retrieval", "passage"), "base or ttt"),
        )
        for domain, modes, alternative in unsupported:
            if self.settings.mode in modes and any(domain_of(request.doc) == domain for request in requests):
                raise InputError(f"mode={self.settings.mode} is not for tasks of {domain}; use mode={alternative}")

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Called by `--use_cache` only. Raises InputError."""
        raise InputError(
            "--use_cache cannot be used with --model seal: it recognises a request by its prompt alone, and the same "
            "question is asked closed-book about different contexts and with different adapters; leave it out"
        )

    def get_model_info(self) -> dict[str, Any]:
        """The model's entry in the results file: enough to repeat the evaluation."""
        settings = self.settings
        return {
            "model_num_parameters": self.base.module.num_parameters(),
            "model_dtype": str(self.base.dtype),
            "model_revision": "",
            "model_sha": self.base.identity,
            NAME: {
                "base": self.base.name,
                "base_identity": self.base.identity,
                "device": str(self.base.device),  # lm-eval itself reports the requested device
                "engine": settings.model.engine,
                "mode": settings.mode,
                "adapter": settings.model.adapter,
                "adapter_revision": self.adapter_revision,
                "seed": settings.inner_loop.seed,
                "answer": asdict(settings.answer),
                "limit_contexts": settings.model.limit_contexts,
                "passages_searched": dict(self._searched) if settings.mode == "retrieval" else None,
                "inner_loop": asdict(settings.inner_loop) if settings.adapts else None,
                "self_edit": asdict(settings.self_edit) if settings.adapts else None,
                "policy": policy_hash(settings.policy) if settings.adapts else None,
                "arc": asdict(settings.arc),
                "arc_inner_loop": asdict(settings.arc_inner_loop) if settings.adapts else None,
                "versions": {package: version(package) for package in _REPORTED_PACKAGES},
            },
        }

    def _model_call(self, inps: Tensor, attn_mask: Tensor | None = None, labels: Tensor | None = None) -> Any:
        with routed(self._route):
            return super()._model_call(inps, attn_mask, labels)

    def _model_generate(self, context: Tensor, max_length: int, stop: list[str], **generation_kwargs: Any) -> Any:
        with routed(self._route):
            return super()._model_generate(context, max_length, stop, **generation_kwargs)

    # ------------------------------------------------------------ our tasks

    def _answer_arc(self, docs: Sequence[Mapping[str, Any]], quiet: bool) -> list[str]:
        return answer_tasks(self.engine, self.base, docs, self.settings, quiet, self.writer)

    def _answer(self, requests: Sequence[_Request], quiet: bool) -> list[str]:
        """One answer per request. Contexts are learnt in chunks, whose adapters are dropped after each chunk."""
        contexts = list(dict.fromkeys(request.context for request in requests))
        if self.settings.mode == "retrieval":
            self._searches = _searches(contexts)
            self._searched |= {r.task: len(self._searches[r.context].contexts) for r in requests}
        answers: dict[int, str] = {}
        with tqdm(total=len(requests), disable=quiet, unit="question") as bar:
            for start in range(0, len(contexts), CONTEXTS_AT_ONCE):
                chunk = contexts[start : start + CONTEXTS_AT_ONCE]
                begin_stage = stages_on(bar, f"contexts {start + 1}–{start + len(chunk)} of {len(contexts)}")
                learnt = dict(zip(chunk, self._learn(chunk, begin_stage), strict=True))
                chunk_requests = {i: request for i, request in enumerate(requests) if request.context in learnt}
                answers |= self._ask(chunk_requests, learnt, begin_stage)
                bar.update(len(chunk_requests))
        return [answers[i] for i in range(len(requests))]

    def _learn(
        self, contexts: Sequence[Context], begin_stage: BeginStage
    ) -> Sequence[LoraAdapter | _TrainingFailure | None]:
        """The adapter that answers each context's questions; None for the base model."""
        if not self.settings.adapts:
            return [self.adapter] * len(contexts)
        config, inner_loop = self.settings.self_edit, self.settings.inner_loop
        progress = begin_stage("writing self-edits")
        lessons = write_lessons(
            self.engine, self.base, contexts, config, writer=self.writer, seed=inner_loop.seed, progress=progress
        )
        taught = [i for i, lesson in enumerate(lessons) if lesson.passages]  # of a picture nothing may be kept
        jobs = [job_of(self.engine, self.base, lessons[i], inner_loop) for i in taught]
        learnt: dict[int, LoraAdapter | _TrainingFailure] = {}
        learnt |= zip(taught, self._train(jobs, begin_stage) if jobs else [], strict=True)
        return [learnt.get(i) for i in range(len(contexts))]

    def _train(self, jobs: Sequence[TrainJob], begin_stage: BeginStage) -> list[LoraAdapter | _TrainingFailure]:
        """Train all jobs together. If that fails, train them one by one, so that only the bad ones fail."""
        try:
            with resting(self.engine):
                return [trained.adapter for trained in train(self.base, jobs, begin_stage("training"))]
        except TrainingError as err:
            if len(jobs) == 1:
                return [_TrainingFailure(str(err))]
            return [result for job in jobs for result in self._train([job], begin_stage)]

    def _ask(
        self,
        requests: Mapping[int, _Request],
        learnt: Mapping[Context, LoraAdapter | _TrainingFailure | None],
        begin_stage: BeginStage,
    ) -> dict[int, str]:
        """The answers under the requests' own keys."""
        answers: dict[int, str] = {}
        by_sampling: dict[Sampling, list[tuple[int, LoraAdapter | None]]] = {}
        for i, request in requests.items():
            adapter = learnt[request.context]
            if isinstance(adapter, _TrainingFailure):
                answers[i] = f"{UNANSWERED}{adapter.reason}]"
            else:
                by_sampling.setdefault(request.sampling, []).append((i, adapter))
        for sampling, rows in by_sampling.items():
            asked = [self._asked(requests[i], adapter) for i, adapter in rows]
            config = replace(self.settings.answer, max_tokens=sampling.max_tokens)
            if sampling.temperature or sampling.stop or self.settings.mode in ("in_context", "retrieval"):
                config = replace(config, style="plain")
            replies = reply_all(self.engine, self.base, asked, config, sampling, begin_stage("answering"))
            answers |= {i: reply.text for (i, _), reply in zip(rows, replies, strict=True)}
        return answers

    def _asked(self, request: _Request, adapter: LoraAdapter | None) -> Asked:
        context, question = request.context, request.question
        if self.settings.mode == "in_context" and not context.text:
            return closed_book(context.title, question, adapter, tuple(context.images))
        if self.settings.mode == "in_context":
            prompt = (Message("user", question_with_passage(context.title, context.text, question)),)
            return Asked(prompt, question, context.title, adapter)
        if self.settings.mode == "retrieval":
            found = self._searches[context].best(context.title, question, self.settings.recipe.retrieval.passages)
            shown = with_passages(self.base, found, context.title, question, request.sampling.max_tokens)
            return replace(shown, adapter=adapter)
        return closed_book(context.title, question, adapter)


# ---------------------------------------------------------------- building the model


def _load_base(name: str, settings: Settings) -> BaseModel:
    model = settings.model
    return load_model(name, device=model.device, dtype=model.dtype, trust_remote_code=model.trust_remote_code)


def _stored_adapter(base: BaseModel, settings: Settings) -> tuple[LoraAdapter | None, str | None]:
    """The adapter named by `adapter=`, and its revision; (None, None) without one. Raises AdapterError, InputError."""
    name = settings.model.adapter
    if name is None:
        return None, None
    model = SelfAdaptingModel(base, home=settings.model.home)
    adapter = model.adapter(name)
    if adapter is None:
        raise InputError(
            f"adapter {name!r} is the base model itself in {model.home}; leave adapter= out to measure that"
        )
    return adapter, model.adapters()[name]


def _arguments_of_flags(flags: Mapping[str, object]) -> dict[str, object]:
    """lm-eval's flags under our names.

    Without a device flag lm-eval passes cuda:0, as its `hf` model expects. Without CUDA that becomes "auto".
    """
    arguments = {name: value for name, value in flags.items() if value is not None}
    if "batch_size" in arguments:
        arguments["eval_batch_size"] = arguments.pop("batch_size")
    if str(arguments.get("device", "")).startswith("cuda") and not torch.cuda.is_available():
        arguments["device"] = "auto"
    return arguments


def _batch_rows(batch_size: int | str) -> int:
    """Rows that our engine decodes at once. lm-eval's default of 1 and "auto" mean the engine's own maximum."""
    rows = int(batch_size) if str(batch_size).isdecimal() else 1
    return rows if rows > 1 else MAX_BATCH_ROWS


@contextmanager
def _without_warnings(logger: str) -> Iterator[None]:
    log = logging.getLogger(logger)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


# ---------------------------------------------------------------- requests


def _sampling_of(options: Mapping[str, Any], max_tokens: int, seed: int = 0) -> Sampling:
    """How a task wants its prompts continued, read as lm-eval reads it.

    Raises InputError for an option that our engines do not know and that would change what is written.
    """
    options = normalize_gen_kwargs(dict(options), max_tokens)
    temperature = float(options.get("temperature") or 0.0) if options["do_sample"] else 0.0
    for name, value in options.items():
        followed = name in _OPTIONS or value is None or value in _NEUTRAL.get(name, ())
        if not followed and (temperature or name not in _OF_SAMPLING):
            raise InputError(
                f"the generation option {name}={value!r} cannot be followed by --model seal here; leave it out, or use "
                f"{', '.join(_OPTIONS)}"
            )
    return Sampling(
        max_tokens=options["max_gen_toks"],
        temperature=temperature,
        top_p=float(options.get("top_p") or 1.0),
        stop=tuple(stop for stop in options["until"] if stop),
        seed=seed,
    )


def _advance(bar: Any) -> Progress:
    """Moves a bar on."""

    def moved(done: int, total: int) -> None:
        bar.update(done - bar.n)

    return moved


def _grade_together(answered: Sequence[tuple[Mapping[str, Any], str]]) -> None:
    """Have the graders that documents name grade the answers to them, all of one grader together."""
    of_grader: dict[str, list[GradingItem]] = {}
    for doc, answer in answered:
        if choice := doc.get(GRADER_FIELD):
            of_grader.setdefault(choice, []).append((doc["question"], doc["answers"], answer))
    for choice, items in of_grader.items():
        grade_ahead(choice, items)


def _parse_request(request: Instance, seed: int) -> _Request:
    doc = request.doc
    sampling = _sampling_of(request.args[1], AnswerConfig().max_tokens, seed)
    images = as_pictures(list(visuals_of(request)))
    context = Context(doc["context"], doc["title"], images=images)
    return _Request(context, doc["question"], sampling, request.task_name or "")


def _searches(contexts: Sequence[Context]) -> dict[Context, PassageSearch]:
    """By context, the search among all passages of its task; those of no task of ours are searched together."""
    asked: dict[int, list[Context]] = {}
    for context in contexts:
        asked.setdefault(id(passages_beside(context)), []).append(context)
    found: dict[Context, PassageSearch] = {}
    for together in asked.values():
        found |= dict.fromkeys(together, PassageSearch(passages_beside(together[0]) or together))
    return found


register()
