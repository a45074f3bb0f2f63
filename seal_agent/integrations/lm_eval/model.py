"""lm-eval's `--model seal`: adapt once per context, answer all of its questions, leave the model as it was.

Ordinary tasks run as with lm-eval's own `hf` model, through a stored adapter if one is named. Adapters made
during an evaluation live in memory and die with it; the user's store is only ever read.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.utils import simple_parse_args_string
from torch import Tensor
from tqdm import tqdm

from seal_agent.adaptation.lesson import job_of, write_lessons
from seal_agent.base_model.loading import DEFAULT_MODEL, load_model
from seal_agent.base_model.model import BaseModel
from seal_agent.config import AnswerConfig
from seal_agent.errors import InputError, TrainingError
from seal_agent.generation.hf import MAX_BATCH_ROWS, HFEngine
from seal_agent.integrations.lm_eval.arc import answer_tasks
from seal_agent.integrations.lm_eval.arguments import Settings, read_arguments
from seal_agent.integrations.lm_eval.hook import NAME, register
from seal_agent.integrations.lm_eval.tasks import ARC, KNOWLEDGE, UNANSWERED, domain_of
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.lora.routing import routed
from seal_agent.lora.serving import serving_route
from seal_agent.model import SelfAdaptingModel
from seal_agent.prompts import question_prompt, question_with_passage
from seal_agent.training.jobs import TrainJob
from seal_agent.training.train import train
from seal_agent.types import Context, Message, Sampling

CONTEXTS_AT_ONCE = 16  # adapters held in memory together; their self-edits are written in one batch
_REPORTED_PACKAGES = ("seal-agent", "lm-eval", "torch", "transformers", "peft")

_Teller = Callable[[str], Callable[[int, int], None]]
"""Told which stage begins; gives what the stage reports its progress to."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: a question about a context, and how to choose the tokens of its answer."""

    context: Context
    question: str
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class _Unlearnt:
    """A context whose training failed, and why."""

    reason: str


class SealLM(HFLM):  # type: ignore[misc]
    """A self-adapting model as an lm-eval model.

    `pretrained` is "default" (the bundled model), a hub id, a folder, or a loaded BaseModel. The other
    arguments are the fields of ModelArguments, InnerLoopConfig, SelfEditConfig and ArcConfig by name: `mode` (base |
    in_context | passage | ttt | self_edit), `format`, `adapter`, `seed`, `epochs`, … Raises InputError for unknown
    and unusable ones, ModelError, AdapterError.
    """

    def __init__(self, pretrained: str | BaseModel = DEFAULT_MODEL, **arguments: object) -> None:
        settings = read_arguments(arguments)
        base = pretrained if isinstance(pretrained, BaseModel) else _load(str(pretrained), settings)
        with _without_warnings("lm_eval.models.huggingface"):  # they advise those who pass a loaded model by hand
            super().__init__(
                pretrained=base.module,
                tokenizer=copy.deepcopy(base.tokenizer),  # lm-eval sets its padding
                batch_size=settings.model.eval_batch_size,
                max_batch_size=settings.model.max_batch_size,
            )
        self.base = base
        self.settings = settings
        self.engine = HFEngine(base, _rows(settings.model.eval_batch_size))
        self.adapter, self.adapter_revision = _stored_adapter(base, settings)
        self._route = serving_route(base.module, [self.adapter], base.device, base.dtype)

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: Mapping[str, object], additional_config: Mapping[str, object] | None = None
    ) -> SealLM:
        """From `--model_args` and the flags beside it; `--batch_size` is not InnerLoopConfig.batch_size."""
        return cls(**_flags(additional_config or {}) | dict(arg_dict))  # type: ignore[arg-type]

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: Mapping[str, object] | None = None) -> SealLM:
        """The same from "key=value,key=value"."""
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    # ------------------------------------------------------------ what lm-eval calls

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Answers in the order of the requests; those of our tasks are answered by the mode's rules."""
        self._check_mode(requests)
        ours = [i for i, request in enumerate(requests) if domain_of(request.doc) == KNOWLEDGE]
        puzzles = [i for i, request in enumerate(requests) if domain_of(request.doc) == ARC]
        others = sorted({*range(len(requests))} - {*ours, *puzzles})
        said: dict[int, str] = {}
        if others:
            said |= zip(others, super().generate_until([requests[i] for i in others], disable_tqdm), strict=True)
        if ours:
            asked = [_read_request(requests[i], self.settings.inner_loop.seed) for i in ours]
            said |= zip(ours, self._answer(asked, disable_tqdm), strict=True)
        if puzzles:
            docs = [requests[i].doc for i in puzzles]
            said |= zip(puzzles, answer_tasks(self.engine, self.base, docs, self.settings, disable_tqdm), strict=True)
        return [said[i] for i in range(len(requests))]

    def _check_mode(self, requests: Sequence[Instance]) -> None:
        """Raises InputError for a mode that a task does not have."""
        for domain, foreign, use in ((KNOWLEDGE, ("ttt",), "passage"), (ARC, ("in_context", "passage"), "base or ttt")):
            if self.settings.mode in foreign and any(domain_of(request.doc) == domain for request in requests):
                raise InputError(f"mode={self.settings.mode} is not for tasks of {domain}; use mode={use}")

    def set_cache_hook(self, cache_hook: Any) -> None:
        """Called by `--use_cache` only. Raises InputError."""
        raise InputError(
            "--use_cache cannot be used with --model seal: it recognises a request by its prompt alone, and the same "
            "question is asked closed-book about different contexts and with different adapters; leave it out"
        )

    def get_model_info(self) -> dict[str, Any]:
        """What the results file says of the model: enough to run the same evaluation again."""
        settings = self.settings
        return {
            "model_num_parameters": self.base.module.num_parameters(),
            "model_dtype": str(self.base.dtype),
            "model_revision": "",
            "model_sha": self.base.identity,
            NAME: {
                "base": self.base.name,
                "base_identity": self.base.identity,
                "device": str(self.base.device),  # lm-eval itself reports the device it was asked for
                "mode": settings.mode,
                "adapter": settings.model.adapter,
                "adapter_revision": self.adapter_revision,
                "seed": settings.inner_loop.seed,
                "limit_contexts": settings.model.limit_contexts,
                "inner_loop": asdict(settings.inner_loop) if settings.adapts else None,
                "self_edit": asdict(settings.self_edit) if settings.adapts else None,
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

    def _answer(self, asked: Sequence[_Asked], quiet: bool) -> list[str]:
        """One answer per question, a chunk of contexts after the other; adapters die with their chunk."""
        contexts = list(dict.fromkeys(one.context for one in asked))
        said: dict[int, str] = {}
        with tqdm(total=len(asked), disable=quiet, unit="question") as bar:
            for start in range(0, len(contexts), CONTEXTS_AT_ONCE):
                chunk = contexts[start : start + CONTEXTS_AT_ONCE]
                label = f"contexts {start + 1}–{start + len(chunk)} of {len(contexts)}"
                tell = _teller(bar, label)
                learnt = dict(zip(chunk, self._learn(chunk, tell), strict=True))
                rows = [i for i, one in enumerate(asked) if one.context in learnt]
                said |= self._ask({i: asked[i] for i in rows}, learnt, tell)
                bar.update(len(rows))
        return [said[i] for i in range(len(asked))]

    def _learn(self, contexts: Sequence[Context], tell: _Teller) -> Sequence[LoraAdapter | _Unlearnt | None]:
        """What answers the questions of each context: an adapter, or None for the base model."""
        if not self.settings.adapts:
            return [self.adapter] * len(contexts)
        config, inner_loop = self.settings.self_edit, self.settings.inner_loop
        lessons = write_lessons(
            self.engine, self.base, contexts, config, seed=inner_loop.seed, progress=tell("writing self-edits")
        )
        jobs = [job_of(self.engine, self.base, lesson, inner_loop) for lesson in lessons]
        return self._train(jobs, tell)

    def _train(self, jobs: Sequence[TrainJob], tell: _Teller) -> list[LoraAdapter | _Unlearnt]:
        """All jobs together; if that fails, one by one, so that a bad context spoils only itself."""
        try:
            return [trained.adapter for trained in train(self.base, jobs, tell("training"))]
        except TrainingError as err:
            if len(jobs) == 1:
                return [_Unlearnt(str(err))]
            return [learnt for job in jobs for learnt in self._train([job], tell)]

    def _ask(
        self, asked: Mapping[int, _Asked], learnt: Mapping[Context, LoraAdapter | _Unlearnt | None], tell: _Teller
    ) -> dict[int, str]:
        """Answers by the questions' own numbers."""
        said: dict[int, str] = {}
        by_sampling: dict[Sampling, list[tuple[int, LoraAdapter | None]]] = {}
        for i, one in asked.items():
            adapter = learnt[one.context]
            if isinstance(adapter, _Unlearnt):
                said[i] = f"{UNANSWERED}{adapter.reason}]"
            else:
                by_sampling.setdefault(one.sampling, []).append((i, adapter))
        for sampling, rows in by_sampling.items():
            prompts = [(Message("user", self._prompt(asked[i])),) for i, _ in rows]
            adapters = [adapter for _, adapter in rows]
            completions = self.engine.generate(prompts, sampling, adapters, tell("answering"))
            said |= {i: completion.text.strip() for (i, _), completion in zip(rows, completions, strict=True)}
        return said

    def _prompt(self, asked: _Asked) -> str:
        context = asked.context
        if self.settings.mode == "in_context":
            return question_with_passage(context.title, context.text, asked.question)
        return question_prompt(context.title, asked.question)


# ---------------------------------------------------------------- building the model


def _load(name: str, settings: Settings) -> BaseModel:
    model = settings.model
    return load_model(name, device=model.device, dtype=model.dtype, trust_remote_code=model.trust_remote_code)


def _stored_adapter(base: BaseModel, settings: Settings) -> tuple[LoraAdapter | None, str | None]:
    """The adapter named by `adapter=`, and its revision. Raises AdapterError, InputError."""
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


def _flags(flags: Mapping[str, object]) -> dict[str, object]:
    """lm-eval's own flags under our names. It names cuda:0 where no device was given, as its `hf` model expects."""
    given = {name: value for name, value in flags.items() if value is not None}
    if "batch_size" in given:
        given["eval_batch_size"] = given.pop("batch_size")
    if str(given.get("device", "")).startswith("cuda") and not torch.cuda.is_available():
        given["device"] = "auto"
    return given


def _rows(batch_size: int | str) -> int:
    """Rows that our engine decodes at once; lm-eval's default of 1, and its "auto", leave that to the engine."""
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


def _read_request(request: Instance, seed: int) -> _Asked:
    doc, options = request.doc, request.args[1]
    context = Context(doc["context"], doc["title"])
    until = options.get("until") or ()
    sampling = Sampling(
        max_tokens=int(options.get("max_gen_toks", AnswerConfig().max_tokens)),
        temperature=float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0,
        top_p=float(options.get("top_p", 1.0)),
        stop=(until,) if isinstance(until, str) else tuple(until),
        seed=seed,
    )
    return _Asked(context, doc["question"], sampling)


def _teller(bar: Any, label: str) -> _Teller:
    """Names the stage in front of the bar that counts questions, and shows the stage's progress behind it."""

    def stage(name: str) -> Callable[[int, int], None]:
        bar.set_description(f"{label}: {name}")
        return lambda done, total: bar.set_postfix_str(f"{done}/{total}")

    return stage


register()
