"""Reads HTML: headings, paragraphs, lists, tables and listings; scripts, styles and navigation are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from seal_agent.data.documents.document import Block, Document, Heading, document_of, is_heading_like, sentence
from seal_agent.data.documents.superscripts import superscript
from seal_agent.data.documents.tables import table_blocks
from seal_agent.errors import InputError, MissingDependency
from seal_agent.text.layout import split_lead_in

_LEFT_OUT = re.compile(  # of a form only its controls: some pages stand in one as a whole
    "head|script|style|template|noscript|nav|svg|math|iframe|object|button|select|textarea|input|datalist|label|legend"
    "|rt|rp|rtc"  # how a word of ruby is read aloud
)
_LEFT_OUT_CLASSES = {"headerlink", "admonition-title"}  # of Sphinx and docutils
_NOTE_MARKS = {"doc-noteref", "doc-backlink", "noteref"}  # roles of links to notes and back, in ARIA and EPUB
_INLINE = re.compile(
    r"a|abbr|acronym|bd[io]|b|big|cite|code|data|del|dfn|em|font|i|img|ins|kbd|mark|output|q|rb|ruby|s|samp|small"
    r"|span|strike|strong|su[bp]|time|tt|u|var|wbr"
)
_LISTS = ("ul", "ol", "menu")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BOLD_HEADING = 7  # the level of a paragraph that is nothing but a few bold words
MAX_ROWS = 1000  # that a cell may reach down
MAX_SUPERSCRIPT = 40  # letters; a longer one is text
MAX_ITEM_WORDS = 12  # not tuned; longer items of a list are paragraphs
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?\s*([\w-]+)", re.IGNORECASE)
_WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") or chr(code) for code in range(0x80, 0xA0)}
"""What the HTML standard takes the control characters from U+0080 on for: dashes, quotes and "…" of Windows."""
_REFERENCE = re.compile(r"&#(?:0*(1(?:2[89]|[345]\d))(?!\d)|x0*([89][0-9a-f])(?![0-9a-f]));?", re.IGNORECASE)
_LABELS = {  # the charset that pages mean by a label, in Python's names (encoding.spec.whatwg.org)
    label: charset
    for charset, labels in (
        ("latin-1", ("ascii", "us-ascii", "iso-8859-1", "iso8859-1", "latin1", "l1", "windows-1252", "cp1252")),
        ("cp1254", ("iso-8859-9", "iso8859-9", "latin5")),
        ("cp874", ("iso-8859-11", "tis-620")),
        ("gb18030", ("gb2312", "gb_2312-80", "gbk", "x-gbk", "chinese")),
        ("cp932", ("shift_jis", "shift-jis", "sjis", "x-sjis", "ms_kanji")),
        ("cp949", ("euc-kr", "ks_c_5601-1987", "ksc5601", "korean")),
        ("big5hkscs", ("big5",)),
        ("utf-8", ("utf8", "utf-16", "utf-16le", "utf-16be")),  # in UTF-16 the label could not have been read
    )
    for label in labels
}
_XML_ENCODING = re.compile(r"^\s*<\?xml[^>]*\?>")


def read_html(text: str, title: str = "") -> Document:
    """The document in an HTML page. Raises InputError, MissingDependency."""
    root = parse_html(text)
    found = root.findtext(".//title") or ""
    try:
        return document_of(parts_of(root), title or found)
    except RecursionError as err:
        raise InputError("the HTML is nested too deeply to be read; save it as plain text") from err


def declared_charset(raw: bytes) -> str | None:
    """The encoding that an HTML page names for itself, and Python's name of what browsers take it for."""
    found = _CHARSET.search(raw[:4096])
    label = found.group(1).decode("ascii").lower() if found else ""
    return _LABELS.get(label, label) or None


def parse_html(text: str) -> Any:
    """The root element of a page. Raises InputError where nothing can be parsed, MissingDependency."""
    try:
        from lxml import etree, html
    except ImportError as err:
        raise MissingDependency("reading HTML needs lxml: pip install 'seal-agent[documents]'") from err
    text = _REFERENCE.sub(lambda found: chr(int(found[1] or found[2], 10 if found[1] else 16)), text)
    try:
        return html.document_fromstring(_XML_ENCODING.sub("", text.translate(_WINDOWS)))
    except (etree.ParserError, ValueError) as err:
        raise InputError(f"the HTML holds no text ({err}); give a page with a body") from err


def parts_of(root: Any) -> Iterator[Heading | Block]:
    """The headings and blocks of an element, in order."""
    body = root.find("body") if root.tag == "html" else root
    yield from _Reader().read(body if body is not None else root)


class _Reader:
    """Walks elements and collects inline text until a block begins or ends."""

    def __init__(self, ended: bool = True) -> None:
        """`ended`: paragraphs get a full stop where they lack one."""
        self._ended = ended
        self._parts: list[Heading | Block] = []
        self._inline: list[str] = []

    def read(self, element: Any) -> list[Heading | Block]:
        self._walk(element)
        self._flush()
        return self._parts

    def _walk(self, element: Any) -> None:
        self._add(_spaced(element.text))
        for child in element:
            if isinstance(child.tag, str):
                self._child(child)
            self._add(_spaced(child.tail))

    def _add(self, text: str) -> None:
        if text:
            self._inline.append(text)

    def _child(self, element: Any) -> None:
        tag = element.tag.rpartition("}")[2].lower()
        classes = (element.get("class") or "").split()
        if _LEFT_OUT.fullmatch(tag) or element.get("hidden") is not None or _LEFT_OUT_CLASSES.intersection(classes):
            return
        if not _NOTE_MARKS.isdisjoint((element.get("role"), element.get("epub:type"))):
            return
        if tag == "br":
            self._add("\n")
        elif tag == "sup" and len(raised := "".join(element.itertext())) <= MAX_SUPERSCRIPT:
            before = self._inline[-1] if self._inline else ""
            self._add(superscript(_spaced(raised), before, element.tail or "", _is_linked(element)))
        elif _INLINE.fullmatch(tag):
            self._walk(element)
        else:
            self._flush()
            self._block(tag, element)
            self._flush()

    def _block(self, tag: str, element: Any) -> None:
        if tag in _HEADINGS:
            self._parts.append(Heading(_HEADINGS[tag], _text(element)))
        elif tag == "pre":
            self._parts.append(Block("".join(element.itertext()), whole=True))
        elif tag in _LISTS and _is_plain_list(element):
            self._list(_items(element))
        elif tag == "dl":
            self._definitions(element)
        elif tag == "table" and _is_data_table(element):
            self._parts += [Block(sentence(_text(caption))) for caption in element.iter("caption")]
            self._parts += table_blocks(*_rows(element))
        elif tag == "p" and _is_bold(element) and is_heading_like(_text(element)):
            self._parts.append(Heading(_BOLD_HEADING, _text(element)))
        else:
            self._walk(element)

    def _list(self, items: list[str]) -> None:
        """Short items behind "…:" make one sentence with it; others are paragraphs that begin with it."""
        last = self._parts[-1] if self._parts else None
        short = all(len(item.split()) <= MAX_ITEM_WORDS and item[-1] not in ".!?。！？" for item in items)
        if isinstance(last, Block) and not last.whole and last.text.endswith((":", "：")) and short and items:
            self._parts[-1] = Block(f"{last.text} {'; '.join(item.rstrip(';,') for item in items)}.")
        else:
            lead_in = self._taken_lead_in()
            self._parts += [Block(sentence(f"{lead_in} {item.rstrip(';,')}".strip())) for item in items]

    def _taken_lead_in(self) -> str:
        """The sentence behind which a list stands, taken from the last paragraph: each item begins with it."""
        last = self._parts[-1] if self._parts else None
        rest, lead_in = split_lead_in(last.text) if isinstance(last, Block) and not last.whole else ("", "")
        if lead_in:
            self._parts[-1:] = [Block(rest)] if rest else []
        return lead_in

    def _definitions(self, element: Any) -> None:
        terms, defined = [""], True
        for child in _terms(element):
            if child.tag == "dt":
                terms, defined = [*([] if defined else terms), _text(child).rstrip(":")], False
            else:
                self._parts.append(Block(sentence(f"{', '.join(terms)}: {_text(child)}".removeprefix(": "))))
                defined = True

    def _flush(self) -> None:
        text = _collapsed("".join(self._inline))
        self._inline = []
        if text:
            self._parts.append(Block(sentence(text) if self._ended else text))


def _spaced(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "")


def _collapsed(text: str) -> str:
    """Single spaces; the line breaks are those of <br>."""
    return re.sub(r" *\n *", "\n", re.sub(r"[^\S\n]+", " ", text)).strip()


def _text(element: Any) -> str:
    """All text of an element on one line."""
    return " ".join(" ".join(part.text for part in _Reader(ended=False).read(element)).removesuffix("¶").split())


def _is_bold(element: Any) -> bool:
    return _is_only(element, "b", "strong")


def _is_linked(element: Any) -> bool:
    """Whether an element holds only a link, or is all that a link holds."""
    around = element.getparent()
    return _is_only(element, "a") or (around is not None and around.tag == "a" and _is_only(around, element.tag))


def _is_only(element: Any, *tags: str) -> bool:
    """Whether an element holds nothing but one element of these tags."""
    children = list(element)
    return (
        len(children) == 1
        and children[0].tag in tags
        and not (element.text or "").strip()
        and not (children[0].tail or "").strip()
    )


def _is_plain_list(element: Any) -> bool:
    return not any(len(list(item.iter("p"))) > 1 or _holds(item, "pre", "table", "dl", *_HEADINGS) for item in element)


def _holds(element: Any, *tags: str) -> bool:
    """Whether one of these stands in it. An element of lxml is no truth value: without children it is False."""
    return next(element.iter(*tags), None) is not None


def _items(element: Any) -> list[str]:
    """The items of a list; one that holds a list goes on with that list's items."""
    items = []
    for item in element:
        if item.tag != "li":
            continue
        nested = [child for child in item.iter(*_LISTS) if child is not item]
        outer = nested[0] if nested else None
        inner = _items(outer) if outer is not None else []
        if outer is not None:
            tail = outer.tail
            outer.getparent().remove(outer)
            item.text = item.text if not tail else f"{item.text or ''} {tail}"
        own = _text(item)
        items.append(f"{own.rstrip(':.')}: {'; '.join(inner)}" if inner and own else own or "; ".join(inner))
    return [item for item in items if item]


def _is_data_table(element: Any) -> bool:
    """Not one that only lays out a page."""
    return (
        element.get("role") != "presentation"
        and not _holds(element, "pre", *_LISTS, *_HEADINGS)
        and not any(inner is not element for inner in element.iter("table"))
    )


def _terms(element: Any) -> Iterator[Any]:
    """The dt and dd of a list of definitions, in groups or not; those of a list within one of them belong to it."""
    for child in element:
        if child.tag in ("dt", "dd"):
            yield child
        else:
            yield from _terms(child)


def _rows(element: Any) -> tuple[list[list[str]], bool]:
    """The texts of the cells, and whether the first row names the columns."""
    rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in element.iter("tr")]
    rows = [row for row in rows if row]
    header = bool(rows) and all(cell.tag == "th" for cell in rows[0])
    texts = [[_text(cell) for cell in row] for row in rows]
    is_plain = all(cell.get("colspan", "1") == "1" for row in rows for cell in row)
    return _carried_down(texts, [[_rows_of(cell) for cell in row] for row in rows]) if is_plain else texts, header


def _rows_of(cell: Any) -> int:
    written = cell.get("rowspan", "1")
    return min(int(written), MAX_ROWS) if written.isdecimal() else 1


def _carried_down(rows: list[list[str]], spans: list[list[int]]) -> list[list[str]]:
    """Rows of which each has the cells that reach down to it from rows above."""
    whole: list[list[str]] = []
    reaching: dict[int, tuple[str, int]] = {}  # by column: a text, and how many rows it still reaches
    for row, row_spans in zip(rows, spans, strict=True):
        cells: list[tuple[str, int]] = []
        for cell in zip(row, row_spans, strict=True):
            while len(cells) in reaching:
                cells.append(reaching[len(cells)])
            cells.append(cell)
        while len(cells) in reaching:
            cells.append(reaching[len(cells)])
        whole.append([text for text, _ in cells])
        reaching = {column: (text, span - 1) for column, (text, span) in enumerate(cells) if span > 1}
    return whole
