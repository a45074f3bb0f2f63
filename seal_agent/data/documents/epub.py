"""Reads EPUB books: the pages of a zip archive, in the order of the package's spine."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from seal_agent.data.documents.document import Block, Document, Heading, document_of
from seal_agent.data.documents.html import parse_html, parts_of
from seal_agent.errors import InputError, MissingDependency

_ENCRYPTION = "META-INF/encryption.xml"
MAX_PAGE_BYTES = 64 << 20  # of one page, unpacked; a larger one is no book


def read_epub(raw: bytes, source: str) -> Document:
    """The document in an EPUB file; InputError names it as `source`. Raises MissingDependency."""
    try:
        from lxml import etree
    except ImportError as err:
        raise MissingDependency("reading EPUB needs lxml: pip install 'seal-agent[documents]'") from err
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as book:
            parser = etree.XMLParser(resolve_entities=False, no_network=True)
            container = etree.fromstring(_page(book, "META-INF/container.xml"), parser)
            package_path = unquote(next(container.iter("{*}rootfile")).get("full-path"))
            package = etree.fromstring(_page(book, package_path), parser)
            title = next((element.text or "" for element in package.iter("{*}title")), "")
            pages = list(_pages(package, posixpath.dirname(package_path)))
            if not _encrypted(book, parser).isdisjoint(pages):
                raise InputError(f"{source} is protected against copying; give a book without protection")
            return document_of([part for page in pages for part in _parts(book, page)], title)
    except InputError:
        raise
    except Exception as err:  # zip, XML and package errors of all kinds
        raise InputError(f"{source} is no readable EPUB file ({type(err).__name__}); export it again") from err


def _pages(package: Any, folder: str) -> Iterator[str]:
    """The names of the pages in the archive, as one reads on."""
    items = {item.get("id"): item for item in package.iter("{*}item")}
    for reference in package.iter("{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or "html" not in (item.get("media-type") or "") or "nav" in (item.get("properties") or ""):
            continue
        yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href"))))


def _parts(book: zipfile.ZipFile, page: str) -> Iterator[Heading | Block]:
    text = _page(book, page).decode("utf-8-sig", errors="replace")
    if text.strip():
        yield from parts_of(parse_html(text))


def _encrypted(book: zipfile.ZipFile, parser: Any) -> frozenset[str]:
    """What is encrypted in the archive. Often that is only its fonts."""
    from lxml import etree

    if _ENCRYPTION not in book.namelist():
        return frozenset()
    references = etree.fromstring(_page(book, _ENCRYPTION), parser).iter("{*}CipherReference")
    return frozenset(posixpath.normpath(unquote(reference.get("URI") or "")) for reference in references)


def _page(book: zipfile.ZipFile, name: str) -> bytes:
    if book.getinfo(name).file_size > MAX_PAGE_BYTES:
        raise KeyError(name)
    return book.read(name)
