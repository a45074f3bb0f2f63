"""Options that several commands share, groups of options, and JSON output."""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from seal_agent.cli import console
from seal_agent.cli.completion import adapter_names

if TYPE_CHECKING:
    from seal_agent.config import ArcConfig, InnerLoopConfig, SelfEditConfig, VLLMConfig
    from seal_agent.generation.engine import Engine
    from seal_agent.grading.grader import Grader
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.store.ledger import Ledger

Model = Annotated[str, typer.Option("--model", "-m", help='"default" (bundled), a hub id, or a folder.')]
Home = Annotated[Path | None, typer.Option(help="Adapter store. \\[default: $SEAL_HOME or ~/.local/share/seal-agent]")]
Adapter = Annotated[str, typer.Option("--adapter", "-a", help="Name of the adapter.", autocompletion=adapter_names)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16, float16.")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run model code from the hub.")]
PolicyName = Annotated[
    str | None, typer.Option(help="Who writes the notes: a folder of `seal train`, or a stored adapter's name.")
]

RecipeName = Annotated[
    str | None,
    typer.Option(
        help="How texts are learnt: a name of `seal recipes`, a TOML file, or a run of `seal tune`. "
        "\\[default: default]"
    ),
]

LeastConfidence = Annotated[
    float | None,
    typer.Option(help="Below this confidence the base model answers; 0: the adapter always does.", min=0, max=1),
]


class AnswerStyleChoice(StrEnum):
    """How an adapter answers; the values are those of `config.AnswerStyle`."""

    SHORT = "short"
    SENTENCE = "sentence"
    PLAIN = "plain"


Style = Annotated[
    AnswerStyleChoice,
    typer.Option(
        help="short: in a few words; sentence: with the sentence that it recalls; plain: what it says itself."
    ),
]

Config = TypeVar("Config", "SelfEditConfig", "InnerLoopConfig", "ArcConfig")


@dataclasses.dataclass(frozen=True, slots=True)
class EngineOptions:
    """What answers: transformers in this process, vLLM in this process, or a vLLM server."""

    engine: Annotated[
        str | None, typer.Option(help="hf (transformers) or vllm. \\[default: hf; with --server: vllm]")
    ] = None
    server: Annotated[str | None, typer.Option(help="Address of a running `vllm serve` on this machine.")] = None

    @property
    def name(self) -> str:
        return self.engine or ("vllm" if self.server else "hf")

    def config(self) -> VLLMConfig:
        """Settings of vLLM. Raises InputError where they belong to no vLLM."""
        from seal_agent.config import VLLMConfig
        from seal_agent.generation.engines import check_engine

        config = VLLMConfig(server=self.server)
        check_engine(self.name, config)
        return config


@dataclasses.dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which base model a command loads, and how."""

    model: Model = "default"
    device: Device = "auto"
    dtype: Dtype = "auto"
    trust_remote_code: TrustRemoteCode = False

    def load(
        self,
        home: Path | None = None,
        seed: int = 0,
        policy: str | None = None,
        engine_options: EngineOptions | None = None,
        recipe: str | None = None,
    ) -> SelfAdaptingModel:
        """The model with its adapter store. Raises ModelError, InputError."""
        from seal_agent.model import SelfAdaptingModel

        engine_options = engine_options or EngineOptions()
        vllm = engine_options.config()

        with console.waiting("loading the model"):
            return SelfAdaptingModel.from_pretrained(
                self.model,
                home=home,
                engine=engine_options.name,
                vllm=vllm,
                device=self.device,
                dtype=self.dtype,
                policy=policy,
                recipe=recipe,
                seed=seed,
                trust_remote_code=self.trust_remote_code,
            )


@dataclasses.dataclass(frozen=True, slots=True)
class GraderOptions:
    """Who judges answers."""

    grader: Annotated[
        str, typer.Option(help="lexical (compares words), judge (a model at an endpoint), or model (the model itself).")
    ] = "lexical"
    judge_model: Annotated[str | None, typer.Option(help="The judge's name at its endpoint.")] = None
    judge_url: Annotated[
        str | None, typer.Option(help="The judge's endpoint, without /chat/completions. \\[default: OpenAI's]")
    ] = None

    def check(self) -> None:
        """Refuse options that no grader can be made of, before a model is loaded. Raises InputError."""
        from seal_agent.grading.graders import check_grader

        check_grader(self.grader, self.judge_model, self.judge_url)

    def make(self, engine: Engine | None = None) -> Grader:
        """The grader. Raises InputError."""
        from seal_agent.grading.graders import make_grader

        return make_grader(self.grader, engine=engine, judge_model=self.judge_model, judge_url=self.judge_url)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command for typer: every parameter that is a dataclass becomes one option per field."""
    hints = get_type_hints(command, include_extras=True)
    groups = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint) and isinstance(hint, type)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        parameters += _field_parameters(groups[name]) if name in groups else [parameter.replace(annotation=hints[name])]

    def flat(**values: Any) -> None:
        arguments = {
            name: group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        command(**arguments, **values)

    flat.__name__, flat.__doc__ = command.__name__, command.__doc__
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return flat


def _field_parameters(group: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        inspect.Parameter(field.name, kind, default=field.default, annotation=hints[field.name])
        for field in dataclasses.fields(group)
    ]


def open_ledger(home: Path | None) -> Ledger:
    """Open the ledger without loading a model."""
    from seal_agent.paths import default_home
    from seal_agent.store.ledger import Ledger

    return Ledger(home.expanduser() if home else default_home())


def configured(config: Config, **options: Any) -> Config:
    """The config with the options that are not None."""
    return dataclasses.replace(config, **{name: value for name, value in options.items() if value is not None})


def print_json(**values: Any) -> None:
    """Print one object on one line of standard output, with escapes where its encoding lacks a character."""
    line, encoding = json.dumps(values, ensure_ascii=False), sys.stdout.encoding or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        line = json.dumps(values)
    typer.echo(line)
