"""From a context to a proposal: self-edits written and checked, and a self-test where no questions are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seal_agent.adaptation.edits import checked_self_edits
from seal_agent.adaptation.pictures import check_learnable, look_at_each, picture_edits, picture_passages
from seal_agent.adaptation.self_test import write_self_test
from seal_agent.base_model.model import BaseModel
from seal_agent.config import PictureConfig, SelfEditConfig
from seal_agent.data.documents.document import Document, Section
from seal_agent.errors import InputError
from seal_agent.generation.engine import Engine
from seal_agent.lora.adapter import LoraAdapter
from seal_agent.progress import StageClock
from seal_agent.self_edits.formats.registry import IN_VIEW
from seal_agent.self_edits.pictures import Seen
from seal_agent.self_edits.writing import passages_of
from seal_agent.text.documents import MAX_DOCUMENT_TOKENS
from seal_agent.types import Context, PassageSource, Proposal, Question, SelfEdit

TITLE_SHARE = 8  # a title may take this part of the window: it stands in every prompt and before every note


def write_proposal(
    engine: Engine,
    base: BaseModel,
    context: Context,
    document: Document | None,
    config: SelfEditConfig,
    clock: StageClock,
    *,
    adapter: str,
    parent: str | None,
    writer: LoraAdapter | None,
    seed: int,
    pictures: PictureConfig | None = None,
) -> Proposal:
    """Write the self-edits of a context.

    Args:
        context: The text, its title and its questions.
        document: The sections of the text; None for a plain one.
        adapter: Name of the adapter that is to learn them.
        parent: The revision that it continues from.
        writer: The policy that writes; None for the base model.
        pictures: How the pictures of the context are looked at.

    Raises InputError for an unusable context.
    """
    looking = pictures or PictureConfig()
    _check_title(base, context.title)
    seen = _look(engine, base, context, config.formats, looking, clock, seed)
    sources = [
        *(_sources(base, context, document, config.max_context_tokens) if context.text.strip() else ()),
        *(
            (PassageSource(context.title, f"picture {number}", number), passages)
            for number, passages in picture_passages(base, seen, config.max_context_tokens)
        ),
    ]
    titled = [(source.title, passages) for source, passages in sources]
    edits = checked_self_edits(engine, base, titled, config, writer=writer, seed=seed, stage=clock.stage)
    test: tuple[Question, ...] = ()
    if config.self_test and not context.questions:
        with clock.stage("write self-test") as report:
            test = write_self_test(engine, titled, config.self_test, seed=seed, progress=report)
    counts = [len(passages) for _, passages in sources]
    firsts = {source.picture: sum(counts[:i]) for i, (source, _) in enumerate(sources) if source.picture}
    return Proposal(
        adapter,
        context,
        tuple(passage for _, passages in sources for passage in passages),
        (*_numbered(edits, counts), *picture_edits(seen, firsts, config, looking, seed)),
        parent,
        base.identity,
        test,
        clock.stages,
        tuple(source for source, passages in sources for _ in passages) if document or seen else (),
    )


def _look(
    engine: Engine,
    base: BaseModel,
    context: Context,
    formats: Sequence[str],
    config: PictureConfig,
    clock: StageClock,
    seed: int,
) -> list[Seen]:
    """What the model sees in the pictures.

    Raises InputError where it sees nothing and there is nothing else, and for formats that it cannot learn.
    """
    if not context.images:
        return []
    if IN_VIEW in formats:
        base.sight.check_learns_in_view(base.name, f"leave the format {IN_VIEW} out")
    with clock.stage("look at pictures") as report:
        (seen,) = look_at_each(engine, base, [context], config, seed, report)
    check_learnable(context, seen)
    return seen


def _check_title(base: BaseModel, title: str) -> None:
    """Raises InputError for a title that leaves too little room behind it."""
    room = base.window // TITLE_SHARE
    if (length := len(base.tokens(title))) > room:
        raise InputError(
            f"the title has {length} tokens, more than the {room} that the model's window of {base.window} leaves for "
            "it; give a shorter one"
        )


def _sources(
    base: BaseModel, context: Context, document: Document | None, limit: int
) -> list[tuple[PassageSource, list[str]]]:
    """The passages of each section with its title, or of the whole text. Raises InputError where nothing fits."""
    room = base.window // TITLE_SHARE
    if document is None:
        return [(PassageSource(context.title), passages_of(base, context.text, limit))]
    if (total := len(base.tokens(document.text))) > MAX_DOCUMENT_TOKENS:
        raise InputError(
            f"the document has {total} tokens, more than the {MAX_DOCUMENT_TOKENS} that one call takes; "
            "split it and adapt to one part after the other"
        )
    return [
        (PassageSource(_shortened(base, document.title_of(section), room), section.place), passages)
        for section in document.sections
        if (passages := _section_passages(base, section, limit))
    ]


def _section_passages(base: BaseModel, section: Section, limit: int) -> list[str]:
    """Its paragraphs cut to size, and each table or listing as a passage of its own."""
    texts: list[str] = []
    after_prose = False
    for block in section.blocks:
        if after_prose and not block.whole:
            texts[-1] += f"\n\n{block.text}"
        else:
            texts.append(block.text)
        after_prose = not block.whole
    return [passage for text in texts if text.strip() for passage in passages_of(base, text, limit)]


def _shortened(base: BaseModel, title: str, room: int) -> str:
    """A section's title with the headings above cut to what fits."""
    if len(base.tokens(title)) <= room:
        return title
    words = title.split()
    while len(words) > 1 and len(base.tokens(" ".join(words) + " …")) > room:
        words.pop()
    return " ".join(words) + " …"


def _numbered(edits: Sequence[Sequence[SelfEdit]], passages: Sequence[int]) -> tuple[SelfEdit, ...]:
    """The self-edits of all sections; `part` counts the passages of the whole context."""
    before = [sum(passages[:i]) for i in range(len(passages))]
    return tuple(
        replace(edit, part=edit.part + offset) if offset else edit
        for offset, of_section in zip(before, edits, strict=True)
        for edit in of_section
    )
