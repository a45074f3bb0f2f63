"""Files of every kind are read by their ending; what cannot be read is one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from document_files import docx, docx_of, epub, pdf, with_file

from seal_agent.data.documents.pdf import _goes_on, _paragraph
from seal_agent.data.documents.read import read_document
from seal_agent.errors import InputError, MissingDependency

LEFT = ["The left column begins here and", "tells of the mill of Orrin, whose mil-", "ler is Tamsin Vole."]
CHANGED = """<w:p><w:pPr><w:tabs><w:tab w:val="left" w:pos="720"/></w:tabs></w:pPr>
<w:r><w:t xml:space="preserve">Ask </w:t></w:r>
<w:del><w:r><w:delText>Bo</w:delText></w:r></w:del><w:ins><w:r><w:t>Ann</w:t></w:r></w:ins>
<w:moveFrom><w:r><w:t> today</w:t></w:r></w:moveFrom><w:r><w:t xml:space="preserve"> about </w:t></w:r>
<w:sdt><w:sdtPr/><w:sdtContent><w:r><w:t>leave</w:t></w:r></w:sdtContent></w:sdt>
<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:r><w:t>Click here</w:t></w:r></w:sdtContent></w:sdt>
<w:smartTag><w:smartTagPr/><w:r><w:t xml:space="preserve"> in room </w:t></w:r></w:smartTag>
<w:fldSimple><w:r><w:t>3</w:t></w:r></w:fldSimple>
<w:moveTo><w:ins><w:r><w:t xml:space="preserve"> on Monday</w:t></w:r></w:ins></w:moveTo></w:p>
<w:sdt><w:sdtContent><w:p><w:r><w:t>All of it is in a control</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>City</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>Opens</w:t></w:r></w:p></w:tc>
<w:tc><w:p><w:r><w:t>Head</w:t></w:r></w:p></w:tc></w:tr>
<w:tr><w:tc><w:p><w:r><w:t>Orrin</w:t></w:r></w:p></w:tc><w:tc><w:sdt><w:sdtContent><w:p><w:r><w:t>9:00</w:t></w:r></w:p>
</w:sdtContent></w:sdt></w:tc><w:tc><w:p><w:ins><w:r><w:t>Tamsin Vole</w:t></w:r></w:ins></w:p></w:tc></w:tr>
<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>Vell</w:t></w:r></w:p></w:tc><w:tc><w:p/></w:tc><w:tc><w:p/></w:tc></w:tr>
</w:tbl></w:sdtContent></w:sdt>"""
RIGHT = ["The right column comes second", "and tells of the ferry of Vell. The", "captain of it is"]


def column(x: float, lines: list[str]) -> list[tuple[float, float, float, str]]:
    return [(x, 700 - 14 * i, 11, line) for i, line in enumerate(lines)]


def written(tmp_path: Path, name: str, content: bytes | str) -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_pdf_is_read_column_by_column_over_its_pages(tmp_path: Path) -> None:
    rows = [line for pair in zip(column(330, RIGHT), column(72, LEFT), strict=True) for line in pair]
    margins = [(72, 770, 9, "Staff handbook"), (300, 30, 9, "Page 1")]
    first = [*rows, *margins, (72, 740, 20, "Remote work")]
    second = [
        (72, 700, 11, "named Bo Wren. She sails on Mondays."),
        (72, 650, 14, "Leave"),
        (72, 630, 11, "Leave is granted."),
        (72, 770, 9, "Staff handbook"),
        (300, 30, 9, "Page 2"),
    ]
    document = read_document(written(tmp_path, "handbook.pdf", pdf(first, second, title="Handbook")))
    assert [(document.title_of(section), section.place) for section in document.sections] == [
        ("Handbook: Remote work", "page 1"),
        ("Handbook: Remote work: Leave", "page 2"),
    ]
    assert [block.text for block in document.sections[0].blocks] == [
        "The left column begins here and tells of the mill of Orrin, whose miller is Tamsin Vole.",
        "The right column comes second and tells of the ferry of Vell. "
        "The captain of it is named Bo Wren. She sails on Mondays.",
    ]
    assert document.sections[1].text == "Leave is granted."


def test_a_sentence_of_a_pdf_goes_on_with_a_capital_and_a_hyphen_stays_before_and(tmp_path: Path) -> None:
    first = column(72, ["The captain of the old ferry that sails from Vell is", "named"])
    second = column(72, ["Tamsin Vole. She knows the Vor-", "und Nachteile of the river."])
    document = read_document(written(tmp_path, "ferry.pdf", pdf(first, second)))
    assert document.text == (
        "The captain of the old ferry that sails from Vell is named Tamsin Vole. "
        "She knows the Vor- und Nachteile of the river."
    )


def test_captions_and_items_of_a_pdf_end_where_they_end(tmp_path: Path) -> None:
    caption = [(72, 700, 11, "Figure 1: the mill")]
    items = [
        (72, 600, 11, "- a rope that the miller of Orrin keeps in the old mill"),
        (72, 500, 11, "- a torch"),
    ]
    document = read_document(written(tmp_path, "mill.pdf", pdf(caption, items)))
    assert [block.text for section in document.sections for block in section.blocks] == [
        "Figure 1: the mill.",
        "- a rope that the miller of Orrin keeps in the old mill.",
        "- a torch.",
    ]


def test_lines_without_spaces_are_joined_without_one() -> None:
    assert _paragraph(["老磨坊，", "由约纳斯建造，用", "Python", "控制。"]) == "老磨坊，由约纳斯建造，用 Python 控制。"
    assert _goes_on("布伦尼克的老磨坊由木匠约纳斯于一七八二", "年建造。")
    assert not _goes_on("पुरानी चक्की १७८२ में बढ़ई जोनास ने बनाई थी।", "इसके चार पंख हैं।")


def test_a_pdf_without_text_asks_for_text_recognition(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="OCR"):
        read_document(written(tmp_path, "scan.pdf", pdf([])))


def test_a_word_file_is_read(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "handbook.docx", docx("Handbook")))
    assert [(document.title_of(section), section.text) for section in document.sections] == [
        ("Handbook: Remote work", "Staff may work from home on two days a week."),
        (
            "Handbook: Remote work: Equipment",
            "A laptop is lent.\n\nFor Orrin, opens is 9:00 and head is Tamsin Vole.\n\n"
            "For Vell, opens is 10:00 and head is Bo Wren.",
        ),
    ]


def test_an_epub_is_read_in_the_order_of_its_spine(tmp_path: Path) -> None:
    book = epub("Handbook", "<h1>Remote work</h1><p>Two days.</p>", "<h1>Leave</h1><p>Ask Ann.</p>")
    document = read_document(written(tmp_path, "handbook.epub", book))
    assert [(document.title_of(section), section.place, section.text) for section in document.sections] == [
        ("Handbook: Remote work", "section Remote work", "Two days."),
        ("Handbook: Leave", "section Leave", "Ask Ann."),
    ]


@pytest.mark.parametrize("kind", ["txt", "py", "csv", "log"])
def test_a_plain_text_has_no_structure(tmp_path: Path, kind: str) -> None:
    text = "# Turn the mill\nwheel = 3\nmill.turn(wheel)\n"
    document = read_document(written(tmp_path, f"mill.{kind}", text))
    assert not document.has_structure
    assert document.text == text


def test_a_page_in_the_charset_that_it_names_is_read(tmp_path: Path) -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body><p>Grüße</p></body></html>'.encode("latin-1")
    assert read_document(written(tmp_path, "page.html", page)).text == "Grüße."


@pytest.mark.parametrize(
    ("label", "charset", "text"),
    [
        ("iso-8859-1", "cp1252", "10–18 “Uhr”"),
        ("latin1", "cp1252", "it’s 5 €"),
        ("gb2312", "gb18030", "镕基"),
        ("Shift_JIS", "cp932", "①髙橋"),
        ("euc-kr", "cp949", "똠방각하"),
    ],
)
def test_a_charset_is_what_browsers_take_it_for(tmp_path: Path, label: str, charset: str, text: str) -> None:
    page = f'<html><head><meta charset="{label}"></head><body><p>{text}.</p></body></html>'.encode(charset)
    assert read_document(written(tmp_path, "page.html", page)).text == f"{text}."


def test_windows_dashes_are_read_as_references_and_a_byte_order_mark_counts_first(tmp_path: Path) -> None:
    text = "10&#150;18 &#x93;Grüße&#x94;\x85 &#1500;."
    page = f'<html><head><meta charset="iso-8859-1"></head><body><p>{text}</p></body></html>'
    assert read_document(written(tmp_path, "page.html", page.encode("utf-8-sig"))).text == "10–18 “Grüße”… ל."


def test_what_stands_in_insertions_controls_tags_and_fields_of_a_word_file_is_read(tmp_path: Path) -> None:
    document = read_document(written(tmp_path, "changed.docx", docx_of(CHANGED)))
    assert [block.text for section in document.sections for block in section.blocks] == [
        "Ask Ann about leave in room 3 on Monday.",
        "All of it is in a control.",
        "For Orrin, opens is 9:00 and head is Tamsin Vole.",
    ]


def test_superscripts_of_a_word_file_are_no_digits_of_the_number_before_them(tmp_path: Path) -> None:
    raised = "<w:r><w:rPr><w:vertAlign w:val='superscript'/></w:rPr><w:t>{}</w:t></w:r>"
    body = "".join(
        f"<w:r><w:t xml:space='preserve'>{text}</w:t></w:r>{raised.format(mark)}"
        for text, mark in (("It has 10", "6"), (" bricks, built in 1867", "[1]"), (" by Odile Brannock.", "2"))
    )
    document = read_document(written(tmp_path, "raised.docx", docx_of(f"<w:p>{body}</w:p>")))
    assert document.text == "It has 10⁶ bricks, built in 1867 by Odile Brannock."


def test_text_boxes_and_merged_cells_of_a_word_file_are_read_once(tmp_path: Path) -> None:
    paragraph = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>".format
    box = f"<w:r><w:pict><w:txbxContent>{paragraph('The cafe is shut.')}</w:txbxContent></w:pict></w:r>"
    cell = "<w:tc><w:tcPr>{}</w:tcPr><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>".format
    merged = cell("<w:gridSpan w:val='2'/>", "Town")
    table = f"<w:tbl><w:tr>{merged}</w:tr><w:tr>{cell('', 'Orrin')}{cell('', 'Vole')}</w:tr></w:tbl>"
    body = f"<w:p><w:r><w:t>The office opens at nine.</w:t></w:r>{box}</w:p>{table}"
    document = read_document(written(tmp_path, "boxes.docx", docx_of(body)))
    assert document.text.startswith("The office opens at nine.\n\nThe cafe is shut.")
    assert document.text.count("Town") == 1


def test_a_book_is_refused_if_a_page_of_it_is_encrypted_and_not_for_its_fonts(tmp_path: Path) -> None:
    book = epub("Handbook", "<h1>Leave</h1><p>Ask Ann.</p>")
    for name, uri in (("fonts", "text/font.otf"), ("pages", "text/page%200.xhtml")):
        listed = (
            f'<e:CipherData xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:CipherReference URI="{uri}"/></e:CipherData>'
        )
        path = written(
            tmp_path, f"{name}.epub", with_file(book, "META-INF/encryption.xml", f"<encryption>{listed}</encryption>")
        )
        if name == "fonts":
            assert read_document(path).text.endswith("Ask Ann.")
        else:
            with pytest.raises(InputError, match="protected against copying"):
                read_document(path)


@pytest.mark.parametrize(("field", "value"), [(10, 8), (10, 99), (8, 1)], ids=["bytes", "method", "locked"])
def test_a_damaged_book_is_one_sentence(tmp_path: Path, field: int, value: int) -> None:
    book = bytearray(epub("Handbook", "<p>Ask Ann.</p>"))
    entry = book.rindex(b"META-INF/container.xml") - 46  # of the archive's list; the file itself stands where it says
    local = int.from_bytes(book[entry + 42 : entry + 46], "little")
    book[entry + field] = book[local + field - 2] = value
    with pytest.raises(InputError, match="no readable EPUB file"):
        read_document(written(tmp_path, "book.epub", bytes(book)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"%PDF-1.4 nonsense", "no readable PDF file"),
        ("a.docx", b"PK\x03\x04\0\0", "no readable Word file"),
        ("a.epub", b"PK\x03\x04\0\0", "no readable EPUB file"),
        ("a.doc", b"\xd0\xcf\x11\xe0", r"save it as \.docx"),
        ("a.txt", b"\x89PNG\r\n\0\0", "binary file"),
        ("a.bin", b"\x89PNG\r\n\0\0", "binary file"),
        ("a.md", "Gr\xfc\xdfe".encode("latin-1"), "save it as UTF-8"),
        ("a.md", "# Only a heading\n", "no text below its headings"),
        ("a.md", "[" * 100_000, "holds no words"),
        ("a.txt", "[" * 100_000, "holds no words"),
        ("a.html", "<html><body></body></html>", "no text"),
        ("a.rst", "", "is empty"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, content: bytes | str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        read_document(written(tmp_path, name, content))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "module", "content"),
    [
        ("a.pdf", "pdfminer.high_level", pdf([(72, 700, 11, "Text.")])),
        ("a.docx", "docx", docx()),
        ("a.rst", "docutils.core", b"Text."),
    ],
)
def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, content: bytes
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match=r"pip install 'seal-agent\[documents\]'"):
        read_document(written(tmp_path, name, content))
