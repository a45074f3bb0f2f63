"""Reads Word files (.docx): headings by their styles, paragraphs, lists, tables, notes and text boxes."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from seal_agent.data.documents.document import Block, Document, Heading, document_of, is_heading_like, sentence
from seal_agent.data.documents.superscripts import superscript
from seal_agent.data.documents.tables import table_blocks
from seal_agent.errors import InputError, MissingDependency

_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
_BOLD_HEADING = 10  # below Word's nine levels
_TABLE_OF_CONTENTS = re.compile(r"toc (?:\d|heading)", re.IGNORECASE)
_AROUND = ("ins", "moveTo", "sdt", "smartTag", "fldSimple", "customXml")
"""What stands around text and tables without a meaning of its own: insertions, content controls, tags, fields."""
_UNTITLED = ("word document", "microsoft word")


def read_word(raw: bytes, source: str) -> Document:
    """The document in a .docx file; InputError names it as `source`. Raises MissingDependency."""
    try:
        import docx
    except ImportError as err:
        raise MissingDependency("reading Word files needs python-docx: pip install 'seal-agent[documents]'") from err
    try:
        word = docx.Document(io.BytesIO(raw))
        _insert_notes(word)
        _take_out_of_boxes(word.element.body)
        _accept_changes(word.element.body)
        parts = list(_parts(word))
    except Exception as err:  # zip, XML and package errors of all kinds
        raise InputError(f"{source} is no readable Word file ({type(err).__name__}); save it as .docx again") from err
    title = str(word.core_properties.title or "")
    return document_of(parts, "" if title.lower().startswith(_UNTITLED) else title)


def _accept_changes(body: Any) -> None:
    """Take out what was deleted, and put the content of each of `_AROUND` in its place, which python-docx skips."""
    from docx.oxml.ns import qn

    for mark in list(body.iter(qn("w:del"))):
        row = mark.getparent()
        if row is not None and row.tag == qn("w:trPr"):
            mark = row.getparent()
        _remove(mark)
    for deleted in list(body.iter(qn("w:moveFrom"))):
        _remove(deleted)
    for outer in list(body.iter(*(qn(f"w:{name}") for name in _AROUND))):
        content = outer.find(qn("w:sdtContent")) if outer.tag == qn("w:sdt") else outer
        prompt = outer.find(f"{qn('w:sdtPr')}/{qn('w:showingPlcHdr')}")  # "Click here to enter text"
        for child in list(content) if content is not None and prompt is None else []:
            outer.addprevious(child)
        _remove(outer)


def _insert_notes(word: Any) -> None:
    """Put each footnote and endnote behind the paragraph or table that refers to it."""
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml.ns import qn
    from docx.oxml.parser import parse_xml

    body = word.element.body
    for kind, relation in (("footnote", RELATIONSHIP_TYPE.FOOTNOTES), ("endnote", RELATIONSHIP_TYPE.ENDNOTES)):
        parts = [rel.target_part for rel in word.part.rels.values() if rel.reltype == relation]
        notes = {note.get(qn("w:id")): note for part in parts for note in parse_xml(part.blob).iter(qn(f"w:{kind}"))}
        for reference in reversed(list(body.iter(qn(f"w:{kind}Reference")))):
            note = notes.get(reference.get(qn("w:id")))
            _put_behind(reference, body, [] if note is None else list(note))


def _take_out_of_boxes(body: Any) -> None:
    """Put what stands in a text box behind the paragraph or table that the box is in."""
    from docx.oxml.ns import qn

    for other in list(body.iter("{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback")):
        _remove(other)  # the same box again, for older programs
    for box in reversed(list(body.iter(qn("w:txbxContent")))):
        _put_behind(box, body, list(box))


def _put_behind(element: Any, body: Any, blocks: list[Any]) -> None:
    """Put blocks behind that child of the body which holds an element."""
    around = element
    while around is not None and around.getparent() is not body:
        around = around.getparent()
    for block in reversed(blocks if around is not None else []):
        around.addnext(block)


def _remove(element: Any) -> None:
    if (parent := element.getparent()) is not None:
        parent.remove(element)


def _parts(word: Any) -> Iterator[Heading | Block]:
    for item in word.iter_inner_content():
        if hasattr(item, "rows"):
            yield from _table(item)
        elif _text(item) and not _TABLE_OF_CONTENTS.match(_style_of(item)):
            yield _paragraph(item)


def _style_of(paragraph: Any) -> str:
    return str(getattr(paragraph.style, "name", "") or "")


def _text(paragraph: Any) -> str:
    """The text of a paragraph and its links."""
    parts = [""]
    runs = [run for part in paragraph.iter_inner_content() for run in getattr(part, "runs", (part,))]
    for i, run in enumerate(runs):
        after = runs[i + 1].text if i + 1 < len(runs) else ""
        parts.append(superscript(run.text, parts[-1], after) if run.font.superscript else run.text)
    return "".join(parts).strip()


def _paragraph(paragraph: Any) -> Heading | Block:
    text, style = _text(paragraph), _style_of(paragraph)
    if style.lower() == "title":
        return Heading(0, text)
    if found := _HEADING.match(style):
        return Heading(int(found.group(1)), text)
    runs = [run for run in paragraph.runs if run.text.strip()]
    if runs and all(run.bold for run in runs) and is_heading_like(text):
        return Heading(_BOLD_HEADING, text)
    return Block(sentence(text))


def _table(table: Any) -> list[Block]:
    rows = [_cells(row) for row in table.rows]
    names = rows[0] if rows else []
    header = (len(rows) > 1 and len(set(names)) == len(names) > 2) or _is_marked_header(table)
    return table_blocks(rows, bool(header) and not any(map(str.isdigit, "".join(names))))


def _cells(row: Any) -> list[str]:
    """The texts of a row's cells; one that is merged over several columns comes once, and empty ones follow it."""
    cells = row.cells
    repeats = [before is not None and cell._tc is before._tc for before, cell in pairwise([None, *cells])]
    return [
        "" if repeat else " ".join(" ".join(map(_text, cell.paragraphs)).split())
        for cell, repeat in zip(cells, repeats, strict=True)
    ]


def _is_marked_header(table: Any) -> bool:
    """Whether the first row is repeated on every page, or all in bold."""
    if not table.rows:
        return False
    first = table.rows[0]
    properties = first._tr.trPr
    if properties is not None and any(child.tag.endswith("}tblHeader") for child in properties):
        return True
    runs = [run for cell in first.cells for paragraph in cell.paragraphs for run in paragraph.runs if run.text.strip()]
    return bool(runs) and all(run.bold for run in runs)
