"""`seal adapt`: learn a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.cli import console
from seal_agent.cli.adapt_files import LessonOptions, Lessons, file_argument
from seal_agent.cli.adapt_options import GateOptions, NoteOptions, RecipeOptions, TrainingOptions
from seal_agent.cli.options import EngineOptions, GraderOptions, Home, Json, ModelOptions, Seed, print_json

if TYPE_CHECKING:
    from seal_agent.config import InnerLoopConfig, SelfEditConfig
    from seal_agent.model import SelfAdaptingModel
    from seal_agent.types import Revision

EXAMPLE = (
    'Example: seal adapt handbook.txt --adapter work --title "Staff handbook"; seal adapt notes/ --into work; '
    'seal adapt page.png --title "Floor plan"'
)
Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE…",
        parser=file_argument,
        help="Text, Markdown, HTML, reStructuredText, PDF, .docx or .epub; a picture, for a model that sees; a "
        "folder of such; or - for standard input. Of several files each is learnt by an adapter of its name, all "
        "side by side.",
    ),
]


def adapt(
    files: Files,
    lesson_options: LessonOptions,
    recipe_options: RecipeOptions,
    note_options: NoteOptions,
    training_options: TrainingOptions,
    gate_options: GateOptions,
    model_options: ModelOptions,
    engine_options: EngineOptions,
    grader_options: GraderOptions,
    home: Home = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn texts: write notes about each, train an adapter on them, keep the change if the gate agrees."""
    note_options.check()
    gate_options.check()
    grader_options.check()
    recipe, lessons = recipe_options.chosen(), lesson_options.read(files)
    self_edit = note_options.config(recipe.self_edit)
    inner_loop = training_options.config(recipe.inner_loop, seed)
    seal = model_options.load(home, seed, recipe_options.policy, engine_options, recipe_options.recipe)
    seal.grader = grader_options.make(seal.engine)
    if seal.policy and seal.policy.formats and not note_options.formats:
        self_edit = replace(self_edit, formats=seal.policy.formats)
    began = datetime.now(UTC)
    with console.interruptible(seal.ledger, lessons.adapters), console.stage_bars(quiet=as_json) as bars:
        revisions = _learn(seal, lessons, self_edit, inner_loop, gate_options, bars)
    _show(revisions, as_json)
    for revision in revisions:
        if datetime.fromisoformat(revision.created) < began:
            said = f"adapter {revision.adapter!r} had learnt this text with these settings before; nothing was trained"
            console.err.print(f"seal: {said}", markup=False, soft_wrap=True)


def _learn(
    seal: SelfAdaptingModel,
    lessons: Lessons,
    self_edit: SelfEditConfig,
    inner_loop: InnerLoopConfig,
    gate_options: GateOptions,
    bars: console.StageBars,
) -> list[Revision]:
    """One document with its title and questions, or many side by side, an adapter each."""
    from seal_agent.adaptation.gate.approval import ask_on_terminal

    gate, trust = gate_options.gate(), gate_options.trust
    approve = bars.pausing(ask_on_terminal) if gate_options.approve else None
    if len(lessons.adapters) == 1:
        revision = seal.adapt(
            lessons.documents[0],
            adapter=lessons.adapters[0],
            title=lessons.title,
            questions=lessons.questions,
            self_edit=self_edit,
            inner_loop=inner_loop,
            gate=gate,
            approve=approve,
            trust=trust,
            progress=bars,
        )
        return [revision]
    return seal.adapt_many(
        lessons.documents,
        adapters=lessons.adapters,
        self_edit=self_edit,
        inner_loop=inner_loop,
        gate=gate,
        approve=approve,
        trust=trust,
        progress=bars,
    )


def _show(revisions: Sequence[Revision], as_json: bool) -> None:
    if not as_json:
        for revision in revisions:
            console.out.print(str(revision), markup=False, soft_wrap=True)
    elif len(revisions) == 1:
        print_json(**console.revision_json(revisions[0]))
    else:
        print_json(revisions=[console.revision_json(revision) for revision in revisions])
