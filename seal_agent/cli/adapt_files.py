"""The files of `seal adapt`: which there are, which adapter learns each, and several as one document."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seal_agent.cli.options import Adapter
from seal_agent.errors import InputError

if TYPE_CHECKING:
    from seal_agent.data.documents.document import Document
    from seal_agent.types import Context, Question

STANDARD_INPUT = Path("-")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def file_argument(value: str) -> Path:
    """The path that was typed; an empty one, as of a variable that is not set, would be the current folder."""
    if not value:
        raise typer.BadParameter("the name of a file is empty; is a variable not set?")
    return Path(value)


@dataclass(frozen=True, slots=True)
class Lessons:
    """What is learnt: a document for each adapter. Title and questions are those of a single document."""

    documents: Sequence[Document | Context]
    adapters: list[str]
    title: str | None
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class LessonOptions:
    """Which adapter learns the files, under which title, and what is asked about them."""

    adapter: Adapter = "default"
    into: Annotated[
        str | None, typer.Option(metavar="NAME", help="One adapter that learns all the files, not one each.")
    ] = None
    title: Annotated[str, typer.Option(help="What the text is about; put before every note.")] = ""
    questions: Annotated[
        Path | None, typer.Option(help='JSON lines {"question", "answer"}, asked before and after.')
    ] = None

    def read(self, files: Sequence[Path]) -> Lessons:
        """Read the files. Raises InputError for one that cannot be read, and for options that do not fit them."""
        if self.into is not None and self.adapter != "default":
            raise InputError("--into and --adapter both name the adapter that learns; give one of them")
        paths = documents_in(files)
        if self.into is None and len(paths) > 1:
            check_separate(self.adapter, self.title, self.questions)
        documents = [_read_file(path) for path in paths]
        # A folder's documents have adapters of their names, even where it holds one only.
        own = len(paths) > 1 or (self.adapter == "default" and any(os.path.isdir(file) for file in files))
        adapters = adapter_names(paths) if self.into is None and own else [self.into or self.adapter]
        if len(documents) > len(adapters):
            documents = [joined(documents, paths, self.title)]
        return Lessons(documents, adapters, self.title or None, _read_questions(self.questions))


def documents_in(files: Sequence[Path]) -> list[Path]:
    """The files, and the documents of each folder, sorted by name; its pictures where it has nothing else.

    Raises InputError for a folder without any.
    """
    from seal_agent.data.documents.read import KINDS

    paths: list[Path] = []
    for file in files:
        if not os.path.isdir(file):  # a name may be too long to ask the system otherwise
            paths.append(file)
            continue
        try:
            every = sorted(path for path in file.iterdir() if path.is_file())
        except OSError as err:
            raise InputError(f"the folder {file} cannot be read ({err.strerror or err})") from err
        inside = [path for path in every if path.suffix.lower() in KINDS] or [*filter(is_picture, every)]
        if not inside:
            raise InputError(f"the folder {file} holds no document; it may hold {', '.join((*KINDS, *PICTURES))}")
        paths += inside
    if STANDARD_INPUT in paths and len(paths) > 1:
        raise InputError("standard input (-) is learnt alone; leave the other files out, or write it to a file")
    return paths


def is_picture(file: Path) -> bool:
    """Whether a file's name is a picture's."""
    return file.suffix.lower() in PICTURES


def check_separate(adapter: str, title: str, questions: Path | None) -> None:
    """Raises InputError for options that say something of a single text, where several are learnt separately."""
    given = [
        option
        for option, value in (
            ("--adapter", adapter if adapter != "default" else ""),
            ("--title", title),
            ("--questions", questions),
        )
        if value
    ]
    if given:
        raise InputError(
            f"{' and '.join(given)} cannot be for several files that are learnt separately, each by an adapter of its "
            "name; for one adapter that learns them all, use --into NAME"
        )


def adapter_names(paths: Sequence[Path]) -> list[str]:
    """An adapter's name for each file, from the file's. Raises InputError where two files would get the same."""
    names = [_NOT_IN_NAMES.sub("-", path.stem).strip("-._")[:64] or "text" for path in paths]
    for i, name in enumerate(names):
        if name in names[:i]:
            first = paths[names.index(name)]
            raise InputError(f"{first} and {paths[i]} would both be learnt by adapter {name!r}; rename one of them")
    return names


def joined(documents: Sequence[Document | Context], paths: Sequence[Path], title: str) -> Document | Context:
    """One document of several files; one without a title stands under its file's name.

    With pictures among them it is a context of the whole text and all pictures.
    """
    from seal_agent.data.documents.document import Document, join
    from seal_agent.types import Context

    titled = [
        document if document.title else replace(document, title=path.stem.replace("_", " ").replace("-", " "))
        for document, path in zip(documents, paths, strict=True)
        if isinstance(document, Document)
    ]
    images = [image for document in documents if isinstance(document, Context) for image in document.images]
    if not images:
        return join(titled, title)
    return Context(join(titled, title).text if titled else "", title, images=tuple(images))


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
