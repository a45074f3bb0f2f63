"""`seal adapt`: learn a text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seal_agent.cli import console
from seal_agent.cli.adapt_files import adapter_names, check_separate, documents_in, is_picture, joined
from seal_agent.cli.options import (
    Adapter,
    EngineOptions,
    GraderOptions,
    Home,
    Json,
    ModelOptions,
    PolicyName,
    Seed,
    configured,
    print_json,
)
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.config import InnerLoopConfig, SelfEditConfig
    from seal_agent.data.documents.document import Document
    from seal_agent.types import Context, Question, Revision, Trust

EXAMPLE = (
    'Example: seal adapt handbook.txt --adapter work --title "Staff handbook"; seal adapt notes/ --into work; '
    'seal adapt page.png --title "Floor plan"'
)


@dataclass(frozen=True, slots=True)
class NoteOptions:
    """How the model writes its notes. Options that are not given keep the recipe's values."""

    formats: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            help="passage, implications, implications-long, rewrite, self-qa, sentences, shuffled, cloze, sentence-qa, "
            "evidence, picture-in-view (questions about a picture, with it in view), or a .txt file.",
        ),
    ] = None
    notes: Annotated[int | None, typer.Option(help="Self-edits per format.", min=1)] = None
    temperature: Annotated[float | None, typer.Option(help="Sampling temperature of the notes.")] = None
    verify: Annotated[
        str | None,
        typer.Option(help="Check what the model wrote against the text before training: strict, lenient or off."),
    ] = None
    self_test: Annotated[
        int | None, typer.Option(help="Questions it writes to test itself where --questions gives none; 0 for none.")
    ] = None

    def config(self, recipe: SelfEditConfig) -> SelfEditConfig:
        """The recipe's config with these options."""
        return configured(
            recipe,
            per_format=self.notes,
            formats=tuple(self.formats) if self.formats else None,
            temperature=self.temperature,
            verify=self.verify,
            self_test=self.self_test,
        )


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How the model trains on the notes. Options that are not given keep the recipe's values."""

    targets: Annotated[
        str | None,
        typer.Option(
            help="default, all, vision (layers that see), all+vision, or names such as q_proj,v_proj or "
            "layers.28,layers.29."
        ),
    ] = None
    rank: Annotated[int | None, typer.Option(help="LoRA rank.")] = None
    alpha: Annotated[float | None, typer.Option(help="LoRA alpha.")] = None
    epochs: Annotated[int | None, typer.Option(help="Passes over the notes.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None
    openings: Annotated[
        int | None,
        typer.Option(help="Of the format evidence: truncated cues per sentence, which teach its first words."),
    ] = None
    full_answers: Annotated[
        int | None,
        typer.Option(help="Of the format evidence: notes per sentence and epoch that are learnt whole; 0 for all."),
    ] = None
    objective: Annotated[
        str | None,
        typer.Option(help="sft, distill (question-answer pairs, taught by the model with the text), or both."),
    ] = None
    null_space: Annotated[
        float | None,
        typer.Option(help="Share of the directions of reference text that the adapter may not read (0..1)."),
    ] = None
    shrink: Annotated[
        float | None, typer.Option(help="Weight of reference text in the ridge refit after training; 0 for none.")
    ] = None
    max_update: Annotated[
        float | None, typer.Option(help="Largest change of a layer, as a share of its weights' norm.")
    ] = None
    anchors: Annotated[
        int | None, typer.Option(help="Reference texts trained beside the notes, to retain other knowledge.")
    ] = None
    replay: Annotated[
        float | None, typer.Option(help="Sequences of earlier texts for every new one, on an adapter that exists.")
    ] = None

    def config(self, recipe: InnerLoopConfig, seed: int) -> InnerLoopConfig:
        """The recipe's config with these options and the seed."""
        return configured(
            recipe,
            seed=seed,
            targets=tuple(self.targets.split(",")) if self.targets else None,
            rank=self.rank,
            alpha=self.alpha,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            openings=self.openings,
            full_answers=self.full_answers,
            objective=self.objective,
            null_space=self.null_space,
            shrink=self.shrink,
            max_update=self.max_update,
            anchors=self.anchors,
            replay=self.replay,
        )


def adapt(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…",
            help="Text, Markdown, HTML, reStructuredText, PDF, .docx or .epub; a picture, for a model that sees; a "
            "folder of such; or - for standard input. Of several files each is learnt by an adapter of its name, all "
            "side by side.",
        ),
    ],
    note_options: NoteOptions,
    training_options: TrainingOptions,
    model_options: ModelOptions,
    engine_options: EngineOptions,
    grader_options: GraderOptions,
    adapter: Adapter = "default",
    into: Annotated[
        str | None, typer.Option(metavar="NAME", help="One adapter that learns all the files, not one each.")
    ] = None,
    title: Annotated[str, typer.Option(help="What the text is about; put before every note.")] = "",
    questions: Annotated[
        Path | None, typer.Option(help='JSON lines {"question", "answer"}, asked before and after.')
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A name of `seal recipes` (default, or paper: as published, for models of 7B, and taken with "
            "--policy), a TOML file, or a folder of `seal tune` or `seal train`; the options below change it."
        ),
    ] = None,
    minimum_gain: Annotated[
        float | None,
        typer.Option(help="Take the change back unless accuracy on the questions rises by this (0..1), not above 0."),
    ] = None,
    no_gate: Annotated[
        bool,
        typer.Option(
            "--no-gate",
            help="Keep the change unchecked: not whether it learned, what it forgot, and how far it drifted.",
        ),
    ] = False,
    approve: Annotated[bool, typer.Option("--approve", help="Ask before the change becomes active.")] = False,
    untrusted: Annotated[
        bool, typer.Option("--untrusted", help="A stranger may have written it: quarantine what is learned.")
    ] = False,
    policy: PolicyName = None,
    home: Home = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn texts: write notes about each, train an adapter on them, keep the change if the gate agrees."""
    from seal_agent.config import GateConfig, recipe_named
    from seal_agent.self_edits.formats.registry import check_format

    for name in note_options.formats or ():
        check_format(name)
    base_recipe = recipe_named(recipe or ("paper" if policy else "default"))
    if base_recipe.mode != "self_edit":
        raise InputError(f"the recipe {recipe} learns nothing; use one that writes notes, such as default or paper")
    if base_recipe.inner_loop.full:
        raise InputError(f"the recipe {recipe} trains no adapter that could be kept; it is for `seal bench squad_cpt`")
    paths = documents_in(files)
    if into is None and len(paths) > 1:
        check_separate(adapter, title, questions)
    documents = [_read_file(path) for path in paths]
    names = adapter_names(paths) if into is None and len(paths) > 1 else [into or adapter]
    asked = _read_questions(questions)
    self_edit = note_options.config(base_recipe.self_edit)
    inner_loop = training_options.config(base_recipe.inner_loop, seed)
    gate = None if no_gate else GateConfig(minimum_gain=minimum_gain)
    grader_options.check()
    seal = model_options.load(home, seed, policy or base_recipe.policy or None, engine_options, recipe)
    seal.grader = grader_options.make(seal.engine)
    if seal.policy and seal.policy.formats and not note_options.formats:
        self_edit = replace(self_edit, formats=seal.policy.formats)
    approval: Literal["ask"] | None = "ask" if approve else None
    trust: Trust | None = "untrusted" if untrusted else None
    with console.interruptible(seal.ledger, names), console.stage_bars(quiet=as_json) as bars:
        if len(names) > 1:
            revisions = seal.adapt_many(
                documents,
                adapters=names,
                self_edit=self_edit,
                inner_loop=inner_loop,
                gate=gate,
                approve=approval,
                trust=trust,
                progress=bars,
            )
        else:
            revision = seal.adapt(
                documents[0] if len(documents) == 1 else joined(documents, paths, title),
                adapter=names[0],
                title=title or None,
                questions=asked,
                self_edit=self_edit,
                inner_loop=inner_loop,
                gate=gate,
                approve=approval,
                trust=trust,
                progress=bars,
            )
            revisions = [revision]
    _show(revisions, as_json)


def _show(revisions: Sequence[Revision], as_json: bool) -> None:
    if not as_json:
        for revision in revisions:
            console.out.print(str(revision), markup=False, soft_wrap=True)
    elif len(revisions) == 1:
        print_json(**console.revision_json(revisions[0]))
    else:
        print_json(revisions=[console.revision_json(revision) for revision in revisions])


def _read_file(file: Path) -> Document | Context:
    """A document, or a context that is a picture."""
    if not is_picture(file):
        return _read_document(file)
    from seal_agent.images.pictures import as_pictures
    from seal_agent.types import Context

    return Context("", images=as_pictures(file))


def _read_document(file: Path) -> Document:
    from seal_agent.data.documents.read import document_from_text, read_document
    from seal_agent.data.text_files import decode_text

    if str(file) != "-":
        return read_document(file)
    piped = getattr(sys.stdin, "buffer", None)
    raw = piped.read() if piped else sys.stdin.read().encode(errors="surrogatepass")
    return document_from_text(decode_text(raw, "standard input"))


def _read_questions(file: Path | None) -> tuple[Question, ...]:
    from seal_agent.data.contexts import read_questions

    return read_questions(file) if file else ()
