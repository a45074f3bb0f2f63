"""Reads PDF files in reading order, columns too: headings by their type size, paragraphs joined again."""

from __future__ import annotations

import io
import logging
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seal_agent.data.documents.document import Block, Document, Heading, document_of, is_heading_like, sentence
from seal_agent.errors import InputError, MissingDependency
from seal_agent.text.layout import ITEM, is_divided
from seal_agent.text.lines import ends_a_sentence
from seal_agent.text.scripts import UNSPACED, word_count

HEADING_SIZE = 1.12  # not tuned; type this much larger than that of most of the text is a heading's
MARGIN = 0.1  # share of a page's height at its top and bottom where page numbers and running titles stand
_PAGE_NUMBER = re.compile(r"(?:page |p\. ?)?[\divxlc]+(?: ?(?:of|/) ?\d+)?|[-–—] ?\d+ ?[-–—]", re.IGNORECASE)
_FILE_NAME = re.compile(r"microsoft word|untitled|.*\.\w{2,4}$", re.IGNORECASE)
MIN_CUT_WORDS = 8  # not tuned; fewer words without a full stop are a caption or a cell rather than half a sentence
_COLON = re.compile(r"[:：][\"'”’)\]]*$")
_UNSPACED_EDGE = re.compile(rf"{UNSPACED.pattern}|[\u3000-\u303f\uff00-\uff65]")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float
    bold: bool


@dataclass(frozen=True, slots=True)
class _Box:
    """Lines that stand together; `margin`: at the top or bottom of its page."""

    lines: tuple[_Line, ...]
    page: int
    margin: bool

    @property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)


def read_pdf(raw: bytes, source: str) -> Document:
    """The document in a PDF file; InputError names it as `source`. Raises MissingDependency."""
    try:
        from pdfminer.high_level import extract_pages
        from pdfminer.pdfdocument import PDFDocument, PDFPasswordIncorrect
        from pdfminer.pdfparser import PDFParser
    except ImportError as err:
        raise MissingDependency("reading PDF files needs pdfminer.six: pip install 'seal-agent[documents]'") from err
    logging.getLogger("pdfminer").setLevel(logging.ERROR)  # it warns of every oddity of a font
    try:
        information = PDFDocument(PDFParser(io.BytesIO(raw))).info
        pages = list(extract_pages(io.BytesIO(raw)))
    except PDFPasswordIncorrect as err:
        raise InputError(f"{source} is protected by a password; save it without one") from err
    except Exception as err:  # pdfminer raises errors of all kinds for damaged files
        raise InputError(f"{source} is no readable PDF file ({type(err).__name__}); print it as PDF again") from err
    boxes = _without_running_titles([box for number, page in enumerate(pages, 1) for box in _boxes(page, number)])
    if not boxes:
        raise InputError(f"{source} holds no text, only pictures; run text recognition (OCR) on it first")
    return document_of(_joined_over_pages(list(_parts(boxes))), _title(information))


def _title(information: Sequence[Any]) -> str:
    from pdfminer.utils import decode_text

    raw = information[0].get("Title") if information else None
    title = decode_text(raw) if isinstance(raw, bytes) else ""
    return "" if _FILE_NAME.match(title) else title


# ---------------------------------------------------------------- lines and boxes


def _boxes(page: Any, number: int) -> Iterator[_Box]:
    from pdfminer.layout import LTTextBox

    for box in page:
        if isinstance(box, LTTextBox):
            lines = tuple(line for raw in box if (line := _line(raw)) and line.text)
            if lines:
                low, high = page.y0 + MARGIN * page.height, page.y1 - MARGIN * page.height
                yield _Box(lines, number, box.y0 > high or box.y1 < low)


def _line(raw: Any) -> _Line | None:
    from pdfminer.layout import LTChar, LTTextLine

    if not isinstance(raw, LTTextLine):
        return None
    letters = [letter for letter in raw if isinstance(letter, LTChar) and letter.get_text().strip()]
    if not letters:
        return None
    (size, _), *_ = Counter(round(letter.size, 1) for letter in letters).most_common()
    bold = all("bold" in letter.fontname.lower() for letter in letters)
    text = "".join(unicodedata.normalize("NFKC", c) if "\ufb00" <= c <= "\ufb06" else c for c in raw.get_text())
    return _Line(" ".join(text.replace("\u00ad", "").split()), size, bold)


def _without_running_titles(boxes: list[_Box]) -> list[_Box]:
    """Without page numbers, and without what stands in the margins of most pages."""
    pages = len({box.page for box in boxes})
    repeated = Counter(re.sub(r"\d+", "", box.text) for box in boxes if box.margin)
    return [
        box
        for box in boxes
        if not box.margin
        or not (_PAGE_NUMBER.fullmatch(box.text) or (pages > 1 and repeated[re.sub(r"\d+", "", box.text)] > pages / 2))
    ]


# ---------------------------------------------------------------- headings and paragraphs


def _parts(boxes: Sequence[_Box]) -> Iterator[Heading | Block]:
    letters: Counter[float] = Counter()
    for box in boxes:
        for line in box.lines:
            letters[line.size] += len(line.text)
    (body, _), *_ = letters.most_common()
    larger = sorted((size for size in letters if size >= HEADING_SIZE * body), reverse=True)
    levels = {size: level for level, size in enumerate(larger, 1)}
    for box in boxes:
        for is_heading, lines in _runs(box, body):
            text = _paragraph([line.text for line in lines])
            if is_heading and is_heading_like(text):
                yield Heading(levels.get(lines[0].size, len(levels) + 1), text)
            else:
                yield Block(text, page=box.page)


def _runs(box: _Box, body: float) -> Iterator[tuple[bool, list[_Line]]]:
    """The lines of a box, cut where the type changes between that of a heading and that of the text."""
    run: list[_Line] = []
    for line in box.lines:
        if run and _type_of(line, body) != _type_of(run[-1], body):
            yield _type_of(run[-1], body) != (False, 0.0), run
            run = []
        run.append(line)
    yield _type_of(run[-1], body) != (False, 0.0), run


def _type_of(line: _Line, body: float) -> tuple[bool, float]:
    """(False, 0) for the type of the text; bold, or a larger size, for that of a heading."""
    larger = line.size if line.size >= HEADING_SIZE * body else 0.0
    return line.bold and not larger, larger


def _paragraph(lines: Sequence[str]) -> str:
    """Lines joined to one, with words that were divided at the end of a line whole again."""
    text = lines[0]
    for line in lines[1:]:
        divided = is_divided(text, line)
        unspaced = _UNSPACED_EDGE.match(text[-1:]) and _UNSPACED_EDGE.match(line)
        text = text[:-1] + line if divided else f"{text}{'' if unspaced else ' '}{line}"
    return text


def _joined_over_pages(parts: list[Heading | Block]) -> list[Heading | Block]:
    """A sentence that goes on in the next box or on the next page belongs to where it begins."""
    joined: list[Heading | Block] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Block) and isinstance(last, Block) and _goes_on(last.text, part.text):
            joined[-1] = replace(last, text=_paragraph([last.text, part.text]))
        else:
            joined.append(part)
    return [replace(part, text=sentence(part.text)) if isinstance(part, Block) else part for part in joined]


def _goes_on(text: str, after: str) -> bool:
    """Whether a paragraph goes on in the next: with a small letter, or behind many words with any, but for an item."""
    if ends_a_sentence(text) or _COLON.search(text):
        return False
    if after[:1].islower():
        return True
    return word_count(text) >= MIN_CUT_WORDS and not ITEM.match(text) and not ITEM.match(after)
