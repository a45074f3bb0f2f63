"""A document as sections under their headings, and how these are put together from what a reader finds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from seal_agent.text.inflection import composed
from seal_agent.text.layout import without_invisible
from seal_agent.text.lines import ends_a_sentence

_SIGNS = ")]%‰°€$£¥\"'“”’»」』）"  # what a sentence that lacks its full stop may end in, besides letters and digits
MAX_HEADING_WORDS = 15  # a longer line is a paragraph, whatever its type looks like


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the outermost."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph; or (`whole`) a table or a listing, whose lines mean something. `page` counts from 1, 0: unknown."""

    text: str
    whole: bool = False
    page: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below a heading, and on one page where the document has pages. `heading`: outermost first."""

    blocks: tuple[Block, ...]
    heading: tuple[str, ...] = ()
    page: int = 0

    @property
    def text(self) -> str:
        return "\n\n".join(block.text for block in self.blocks)

    @property
    def place(self) -> str:
        """Where in the document it stands: "page 3", "section Leave > Parental leave", or "" for all of it."""
        if self.page:
            return f"page {self.page}"
        return f"section {' > '.join(self.heading)}" if self.heading else ""


@dataclass(frozen=True, slots=True)
class Document:
    """A title ("" where there is none) and sections."""

    title: str
    sections: tuple[Section, ...]

    @property
    def text(self) -> str:
        """All of it, with the headings as lines of their own."""
        lines: list[str] = []
        shown: tuple[str, ...] = (self.title,)
        for section in self.sections:
            new = [heading for heading in section.heading if heading not in shown]
            shown = (self.title, *section.heading)
            lines += [*new, section.text]
        return "\n\n".join(lines)

    @property
    def has_structure(self) -> bool:
        """Whether there is more to it than one text without a heading or page."""
        return len(self.sections) > 1 or any(
            section.heading or section.page or len(section.blocks) > 1 or not section.blocks[0].whole
            for section in self.sections
        )

    def title_of(self, section: Section) -> str:
        """The document's title and the section's headings, as "Handbook: Remote work"."""
        names = [self.title, *section.heading]
        return ": ".join(
            name
            for name, before in zip(names, ["", *names], strict=False)
            if name and name.casefold() != before.casefold()
        )


def document_of(parts: Iterable[Heading | Block], title: str = "") -> Document:
    """The document that headings and blocks make, in their order.

    Without a title, a first heading that is above all others is the title; also where the title given only adds to it,
    as "Remote work - Orrin Mills" does.
    """
    parts = [cleaned for part in parts if (cleaned := _cleaned(part)).text]
    path: list[Heading] = []
    sections: list[Section] = []
    begins = True
    for part in parts:
        if isinstance(part, Heading):
            path = [*(heading for heading in path if heading.level < part.level), part]
            begins = True
        elif begins or sections[-1].page != part.page:
            sections.append(Section((part,), tuple(heading.text for heading in path), part.page))
            begins = False
        else:
            sections[-1] = replace(sections[-1], blocks=(*sections[-1].blocks, part))
    title, top = single_line(title), _top_heading(parts)
    return Document(top if top.casefold() in title.casefold() and top else title or top, tuple(sections))


def join(documents: Iterable[Document], title: str = "") -> Document:
    """One document of several: the title of each is the outermost heading of its sections."""
    return Document(single_line(title), tuple(chain.from_iterable(map(_under_its_title, documents))))


def _under_its_title(document: Document) -> Iterator[Section]:
    for section in document.sections:
        has_it = not document.title or section.heading[:1] == (document.title,)
        yield section if has_it else replace(section, heading=(document.title, *section.heading))


def sentence(text: str) -> str:
    """A paragraph, with a full stop where it ends in a word, a bracket or a sign: what follows is another sentence."""
    text = text.strip()
    open_ended = text and (text[-1] in _SIGNS or unicodedata.category(text[-1])[0] in "LMN")
    return f"{text}." if open_ended and not ends_a_sentence(text) else text


def single_line(text: str) -> str:
    """A text without line breaks and control characters."""
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in text).split())


def is_heading_like(text: str) -> bool:
    """Whether a line that looks like a heading is short enough, has letters, and does not end like a sentence."""
    return (
        0 < len(text.split()) <= MAX_HEADING_WORDS
        and sum(map(str.isalpha, text)) > 1
        and text.rstrip()[-1] not in ".!?:;,。！？：；，।"
    )


def _cleaned(part: Heading | Block) -> Heading | Block:
    text = without_invisible(composed(part.text.encode("utf-8", "ignore").decode()))
    if isinstance(part, Heading):
        return Heading(part.level, single_line(text))
    kept = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) != "Cc")
    return replace(part, text=kept.strip("\n").rstrip() if part.whole else kept.strip())


def _top_heading(parts: list[Heading | Block]) -> str:
    headings = [part for part in parts if isinstance(part, Heading)]
    if not headings or parts[0] != headings[0]:
        return ""
    first, *others = headings
    return first.text if all(other.level > first.level for other in others) else ""
