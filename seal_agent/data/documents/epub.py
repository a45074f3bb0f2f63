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

MAX_PAGE_BYTES = 64 << 20  # of one page, unpacked; a larger one is no book


def read_epub(raw: bytes, source: str) -> Document:
    """The document in an EPUB file; InputError names it as `source`. Raises MissingDependency."""
    try:
        from lxml import etree
    except ImportError as err:
        raise MissingDependency("reading EPUB needs lxml: pip install 'seal-agent[documents]'") from err
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as book:
            if "META-INF/encryption.xml" in book.namelist() and "META-INF/rights.xml" in book.namelist():
                raise InputError(f"{source} is protected against copying; give a book without protection")
            parser = etree.XMLParser(resolve_entities=False, no_network=True)
            container = etree.fromstring(_page(book, "META-INF/container.xml"), parser)
            package_path = unquote(next(container.iter("{*}rootfile")).get("full-path"))
            package = etree.fromstring(_page(book, package_path), parser)
            title = next((element.text or "" for element in package.iter("{*}title")), "")
            return document_of(list(_parts(book, package, posixpath.dirname(package_path))), title)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, KeyError, StopIteration, OSError, TypeError) as err:
        raise InputError(f"{source} is no readable EPUB file ({type(err).__name__}); export it again") from err


def _parts(book: zipfile.ZipFile, package: Any, folder: str) -> Iterator[Heading | Block]:
    items = {item.get("id"): item for item in package.iter("{*}item")}
    for reference in package.iter("{*}itemref"):
        item = items.get(reference.get("idref"))
        if item is None or "html" not in (item.get("media-type") or "") or "nav" in (item.get("properties") or ""):
            continue
        page = _page(book, posixpath.normpath(posixpath.join(folder, unquote(item.get("href")))))
        text = page.decode("utf-8-sig", errors="replace")
        if text.strip():
            yield from parts_of(parse_html(text))


def _page(book: zipfile.ZipFile, name: str) -> bytes:
    if book.getinfo(name).file_size > MAX_PAGE_BYTES:
        raise KeyError(name)
    return book.read(name)
