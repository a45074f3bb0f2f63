"""`seal ask` and `seal chat`: talk to an adapter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.options import (
    Adapter,
    AnswerStyleChoice,
    EngineOptions,
    Home,
    Json,
    LeastConfidence,
    ModelOptions,
    Seed,
    Style,
    print_json,
)
from seal_agent.errors import InputError, SealError, TooLongError

if TYPE_CHECKING:
    from seal_agent.base_model.model import BaseModel
    from seal_agent.types import Message

ASK_EXAMPLE = (
    'Example: seal ask "On which island does Tarnby Light stand?" --title "Tarnby Light"; '
    'seal ask "What is this?" --image map.png'
)


def ask(
    question: Annotated[str, typer.Argument(help="Asked without any passage.")],
    model_options: ModelOptions,
    engine_options: EngineOptions,
    adapter: Adapter = "default",
    title: Annotated[str, typer.Option(help="The topic, as it was given to `seal adapt`.")] = "",
    style: Style = AnswerStyleChoice.SHORT,
    least_confidence: LeastConfidence = None,
    image: Annotated[
        list[Path] | None, typer.Option(help="A picture in view of the question, for a model that sees; repeatable.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Ask an adapter one question. Where it did not learn the answer, the base model answers."""
    from seal_agent.images.pictures import as_pictures

    pictures = as_pictures(image) if image else None
    seal = model_options.load(home, engine_options=engine_options)
    if pictures is None and style is not AnswerStyleChoice.PLAIN and seal.adapter(adapter) is not None:
        _learn_to_read(seal.base)
    with console.waiting("thinking"):
        reply = seal.reply(
            question,
            adapter=adapter,
            title=title,
            style=style.value,
            least_confidence=least_confidence,
            image=pictures,
        )
    if as_json:
        print_json(
            question=question,
            answer=reply.text,
            confidence=reply.confidence,
            recalled=reply.recalled,
            from_adapter=reply.from_adapter,
            adapter=adapter,
            revision=adapter.partition("@")[2] or seal.ledger.active(adapter),
        )
    else:
        console.out.print(reply.text, markup=False, soft_wrap=True)


def _learn_to_read(base: BaseModel) -> None:
    """Train the model's reader where there is none yet, and say so."""
    from seal_agent.answering.reader import has_reader, reader_of
    from seal_agent.progress import begin_stage

    if has_reader(base):
        return
    told = "seal: this model has no reader yet; it is trained once, which takes half an hour and more on a CPU"
    console.err.print(f"{told} (--style plain does without)", markup=False, soft_wrap=True)
    with console.stage_bars() as bars:
        reader_of(base, begin_stage(bars, "learn to read"))


def chat(
    model_options: ModelOptions,
    engine_options: EngineOptions,
    adapter: Adapter = "default",
    title: Annotated[str, typer.Option(help="The topic of the questions, as it was given to `seal adapt`.")] = "",
    max_tokens: Annotated[int, typer.Option(help="Longest reply, in tokens.", min=1)] = 256,
    temperature: Annotated[float, typer.Option(help="0 is greedy.", min=0)] = 0.0,
    style: Style = AnswerStyleChoice.SHORT,
    home: Home = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Talk with an adapter, line by line; with --json each reply is one JSON line."""
    from seal_agent.answering.turns import is_question
    from seal_agent.prompts import question_prompt
    from seal_agent.types import Message

    seal = model_options.load(home, seed, engine_options=engine_options)
    seal.adapter(adapter)
    turns: list[Message] = []
    failed = False
    for line, readable in _user_lines():
        turns.append(Message("user", question_prompt(title, line) if title and is_question(line) else line))
        reply = ""
        try:
            if not readable:
                raise InputError("this line is not UTF-8 text and was left out; set the terminal or the file to UTF-8")
            for piece in _reply(
                lambda: seal.chat(
                    turns,
                    adapter=adapter,
                    max_tokens=max_tokens,
                    temperature=temperature,
                    style=style.value,
                    stream=True,
                ),
                turns,
            ):
                reply += piece
                if not as_json:
                    console.out.print(piece, end="", markup=False, soft_wrap=True)
        except SealError as error:  # the conversation goes on without this turn
            failed = True
            turns.pop()
            console.err.print(f"seal: {error}", style="red", markup=False, soft_wrap=True)
            if as_json:
                print_json(user=line, error=str(error))
            continue
        turns.append(Message("assistant", reply))
        if as_json:
            print_json(user=line, assistant=reply)
        else:
            console.out.print()
    if failed and not sys.stdin.isatty():
        raise typer.Exit(1)


def _reply(chat: Callable[[], Iterator[str]], turns: list[Message]) -> Iterator[str]:
    """The pieces of a reply. The oldest turns are dropped where the conversation is longer than the model's window."""
    while True:
        try:
            yield from chat()
            return
        except TooLongError:  # raised before the first piece
            if len(turns) == 1:
                raise
            del turns[:2]
            console.err.print("seal: the conversation is longer than the model's window; its oldest turn is left out")


def _user_lines() -> Iterator[tuple[str, bool]]:
    """Lines from standard input without the empty ones, each with a prompt sign in a terminal; whether it is UTF-8."""
    interactive = sys.stdin.isatty()
    lines = getattr(sys.stdin, "buffer", sys.stdin)
    while True:
        if interactive:
            console.err.print("› ", end="", style="bold")
        raw = lines.readline()
        if not raw:
            return
        line = raw if isinstance(raw, str) else raw.decode(errors="replace")
        if line.strip():
            yield line.strip(), isinstance(raw, str) or line.encode() == raw
