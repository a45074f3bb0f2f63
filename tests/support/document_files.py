"""Small PDF, Word and EPUB files, made in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence

Placed = tuple[float, float, float, str]
"""A line of a page: x, y (from the bottom, in points), type size, text."""


def pdf(*pages: Sequence[Placed], title: str = "") -> bytes:
    """A PDF file with the lines drawn in the order in which they are given."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    objects.append("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    objects.append(f"<< /Title ({title}) >>")
    kids = []
    for lines in pages:
        drawn = "\n".join(f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET" for x, y, size, text in lines)
        objects.append(f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream")
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Contents {len(objects)} 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
        )
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    body, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj\n{content}\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    return f"{body}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode("latin-1")


def epub(title: str, *pages: str) -> bytes:
    """An EPUB file whose spine lists the pages in another order than its archive."""
    names = [f"page {number}.xhtml" for number in range(len(pages))]
    manifest = "".join(
        f'<item id="p{i}" href="page%20{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(pages))
    )
    spine = "".join(f'<itemref idref="p{i}"/>' for i in range(len(pages)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        for name, page in reversed(list(zip(names, pages, strict=True))):
            book.writestr(
                f"text/{name}",
                f'<html xmlns="http://www.w3.org/1999/xhtml"><head><title>x</title></head><body>{page}</body></html>',
            )
        book.writestr(
            "META-INF/container.xml",
            '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="text/book.opf"/></rootfiles></container>',
        )
        book.writestr(
            "text/book.opf",
            '<package xmlns="http://www.idpf.org/2007/opf"><metadata>'
            f'<title xmlns="http://purl.org/dc/elements/1.1/">{title}</title></metadata>'
            f"<manifest>{manifest}</manifest><spine>{spine}</spine></package>",
        )
    return out.getvalue()


def with_file(archive: bytes, name: str, content: str, method: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP archive with one more file."""
    out = io.BytesIO(archive)
    with zipfile.ZipFile(out, "a") as book:
        book.writestr(name, content, method)
    return out.getvalue()


def docx_of(body: str) -> bytes:
    """A Word file with this XML in its body."""
    import docx as word
    from docx.oxml.parser import parse_xml

    document = word.Document()
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    for child in parse_xml(f'<w:body xmlns:w="{space}">{body}</w:body>'):
        document.element.body.insert_element_before(child, "w:sectPr")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def docx(title: str = "") -> bytes:
    """A handbook: headings, a paragraph, a list, a table with named columns."""
    import docx as word

    document = word.Document()
    document.core_properties.title = title
    document.add_heading("Remote work", 1)
    document.add_paragraph("Staff may work from home on two days a week.")
    document.add_heading("Equipment", 2)
    document.add_paragraph("A laptop is lent", style="List Bullet")
    table = document.add_table(rows=0, cols=3)
    for row in (("City", "Opens", "Head"), ("Orrin", "9:00", "Tamsin Vole"), ("Vell", "10:00", "Bo Wren")):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()
